"""The tests mirror `src/parcount`. A package, so that worker processes can import what tests send them."""
