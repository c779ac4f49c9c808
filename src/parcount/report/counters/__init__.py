"""A study of counters for people."""
