"""A study of transports for people."""
