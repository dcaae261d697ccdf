"""How Redis can be hurt: credentials and transactions."""
