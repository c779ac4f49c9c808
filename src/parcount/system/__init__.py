"""The machine as this process sees it: cores, and the threads of numerical libraries."""
