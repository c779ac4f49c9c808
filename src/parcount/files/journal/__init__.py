"""A journal: one file that many threads and processes append records to."""
