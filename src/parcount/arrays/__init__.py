"""The array functions: NumPy's results, counted on every core."""
