"""The study of how many workers append to one file."""
