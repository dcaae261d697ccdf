"""How MinIO can be hurt: credentials and transactions."""
