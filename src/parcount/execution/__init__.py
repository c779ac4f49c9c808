"""Who runs a function over items: the calling thread, threads, or processes. Nothing here knows of counting."""
