"""Who runs a function over items: the caller, threads, processes, or interpreters. Nothing here knows of counting."""
