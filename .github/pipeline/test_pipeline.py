"""A user's test suite in miniature: it knows nothing of envctl, only the variables that libraries read."""

# ruff: noqa: INP001, S101 - tests, in a folder that is no package

import os

import psycopg
import redis


def test_the_database_answers_as_app() -> None:
    """Libpq's variables are all that psycopg needs."""
    with psycopg.connect() as connection:
        assert connection.execute("select current_user, current_database()").fetchone() == ("app", "app")


def test_redis_keeps_a_value() -> None:
    """The URL holds address and credentials."""
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    client.set("greeting", "hello")
    assert client.get("greeting") == b"hello"
