"""Shared memory: blocks that hold arrays, segments that hold counters, and memory-mapped files."""
