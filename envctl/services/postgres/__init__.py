"""PostgreSQL."""

from envctl.services.postgres.service import Postgres, PostgresHandle

__all__ = ["Postgres", "PostgresHandle"]
