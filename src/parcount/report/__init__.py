"""Output of tables and figures: files, the terminal, styles. Only `terminal` and `figure` load rich and matplotlib."""
