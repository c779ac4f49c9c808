"""The compiled loops: one module a workload, each with the loop that releases the GIL and the one that holds it."""
