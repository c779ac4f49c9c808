"""Counting of files on every core, and the journal that many processes write."""
