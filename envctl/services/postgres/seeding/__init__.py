"""PostgreSQL's share of a dataset: SQL files, tables by COPY, and what undoes both."""

from envctl.services.postgres.seeding.clearing import clear
from envctl.services.postgres.seeding.loader import PostgresLoader

__all__ = ["PostgresLoader", "clear"]
