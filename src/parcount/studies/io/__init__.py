"""The study of I/O."""
