"""How PostgreSQL can be hurt: credentials and transactions."""
