"""What all studies share: the driver, rounds, statistics, claims and the result file."""
