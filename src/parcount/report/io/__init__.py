"""A study of I/O for people."""
