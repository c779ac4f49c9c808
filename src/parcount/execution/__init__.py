"""Executions run a function over items: in the caller, threads, processes or interpreters. None depends on counting."""
