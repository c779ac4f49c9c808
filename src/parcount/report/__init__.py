"""Studies for people: a table and a progress bar in the terminal, and a plot."""
