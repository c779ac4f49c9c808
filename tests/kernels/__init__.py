"""Of `parcount.kernels`."""
