"""Counters: totals that threads and processes add to concurrently, without losing a count."""
