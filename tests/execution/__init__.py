"""Of `parcount.execution`."""
