"""The study of transports."""
