"""A study of the GIL for people."""
