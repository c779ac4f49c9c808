"""The study of counting methods."""
