"""Helpers of tables and figures: the terminal, figure files, styles. Only these load rich and matplotlib."""
