"""The counters: totals that many threads and processes add to at once, without losing a count."""
