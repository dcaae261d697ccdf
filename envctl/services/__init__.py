"""One package for each service: all that is particular to it."""
