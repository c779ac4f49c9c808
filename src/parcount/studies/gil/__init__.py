"""The study of threads, processes and compiled loops."""
