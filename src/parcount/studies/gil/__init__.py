"""The study of the GIL: how a counting loop scales."""
