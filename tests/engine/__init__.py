"""Of `parcount.engine`."""
