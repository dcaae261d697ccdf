"""Seeding: what a dataset says, and its values as functions of (seed, relation, column, row)."""
