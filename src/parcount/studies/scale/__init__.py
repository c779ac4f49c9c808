"""The study of the user's own function: how it scales under each execution, and why not more."""
