"""What is in the services, read with their users' own clients as the app identity, all in one form.

A value is what JSON has for it: numbers with a point and times are texts, so that 1.10 is not 1.1 and any two services
can be compared; times as in 2025-01-01T12:00:00.000000Z.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

import kafka
import minio
import psycopg
import redis
from psycopg import sql
from psycopg.rows import dict_row

from envctl.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Row = dict[str, Any]

PATIENCE = 120.0
"""Seconds until all records of all topics must have come; machines that run tests are busy."""


@dataclass(frozen=True)
class Message:
    """A record of a topic; `value` is parsed, None for a tombstone."""

    partition: int
    offset: int
    key: str
    value: Any
    headers: dict[str, str]
    timestamp: int


@dataclass(frozen=True)
class Readers:
    """Clients of one environment, by what `envctl env` hands over. What was read once is not read again."""

    variables: dict[str, str]

    def database(self) -> psycopg.Connection[Any]:
        """A connection; use it as a context manager."""
        return psycopg.connect(self.variables["DATABASE_URL"])

    @cached_property
    def tables(self) -> dict[str, list[Row]]:
        """Every table in the order of its key."""
        with self.database() as connection:
            names = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
            ).fetchall()
            return {name: self._table(connection, name) for (name,) in names}

    def _table(self, connection: psycopg.Connection[Any], name: str) -> list[Row]:
        query = sql.SQL("SELECT * FROM {} ORDER BY 1, 2").format(sql.Identifier(name))
        with connection.cursor(row_factory=dict_row) as cursor:
            return [{column: plain(value) for column, value in row.items()} for row in cursor.execute(query)]

    def query(self, query: str) -> list[tuple[Any, ...]]:
        """What a query gives."""
        with self.database() as connection:
            return connection.execute(query.encode()).fetchall()

    @cached_property
    def topics(self) -> dict[str, list[Message]]:
        """Every record of every topic, by partition and offset."""
        consumer = kafka.KafkaConsumer(
            bootstrap_servers=self.variables["KAFKA_BOOTSTRAP_SERVERS"],
            group_id=None,
        )
        try:
            found: dict[str, list[Message]] = {name: [] for name in sorted(consumer.topics())}
            for record in _all(consumer, found):
                headers = {name: value.decode() for name, value in record.headers}
                value = None if record.value is None else parsed(record.value)
                message = Message(
                    record.partition, record.offset, record.key.decode(), value, headers, record.timestamp
                )
                found[record.topic].append(message)
        finally:
            consumer.close()
        return {name: sorted(all_, key=lambda m: (m.partition, m.offset)) for name, all_ in found.items()}

    @cached_property
    def redis(self) -> redis.Redis:
        """Redis."""
        return redis.Redis.from_url(self.variables["REDIS_URL"], decode_responses=True)

    @cached_property
    def cache(self) -> dict[str, Any]:
        """The content of each key as its type has it; of streams a list of (id, fields)."""
        return {key: self._key(key) for key in sorted(self.redis.scan_iter(count=1000))}

    def _key(self, key: str) -> Any:  # noqa: ANN401 - as the type has it
        client = self.redis
        kind = client.type(key)
        if kind == "zset":
            return dict(client.zrange(key, 0, -1, withscores=True))
        read = {
            "string": client.get,
            "hash": client.hgetall,
            "set": client.smembers,
            "list": lambda key: client.lrange(key, 0, -1),
            "stream": client.xrange,
        }
        return read[kind](key)

    @cached_property
    def store(self) -> minio.Minio:
        """MinIO."""
        address = self.variables["AWS_ENDPOINT_URL_S3"].removeprefix("http://")
        key, secret = self.variables["AWS_ACCESS_KEY_ID"], self.variables["AWS_SECRET_ACCESS_KEY"]
        return minio.Minio(address, key, secret, secure=False)

    def keys(self) -> list[str]:
        """The keys of all objects."""
        return [found.object_name for found in self.store.list_objects("app", recursive=True)]

    def body(self, key: str) -> bytes:
        """The bytes of one object."""
        response = self.store.get_object("app", key)
        try:
            return response.read()
        finally:
            response.close()
            response.release_conn()


def _all(consumer: kafka.KafkaConsumer, topics: Iterable[str]) -> Iterator[Any]:
    """Every record up to the ends of now: a consumer that hears nothing for a while need not have reached them."""
    places = [kafka.TopicPartition(name, n) for name in topics for n in consumer.partitions_for_topic(name) or ()]
    if not places:
        return
    consumer.assign(places)
    consumer.seek_to_beginning()
    ends, patience = consumer.end_offsets(places), Deadline(PATIENCE)
    while any(consumer.position(place) < end for place, end in ends.items()):
        assert not patience.passed, f"not all records came within {PATIENCE:g} s"
        for records in consumer.poll(timeout_ms=500).values():
            yield from records


def parsed(text: str | bytes) -> Any:  # noqa: ANN401 - JSON
    """JSON whose numbers with a point stay texts."""
    return json.loads(text, parse_float=str)


def plain(value: Any) -> Any:  # noqa: ANN401 - what a client gives
    """As JSON has it."""
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, Decimal | uuid.UUID):
        return str(value)
    return value.isoformat() if isinstance(value, dt.date) else value


def millis(time: str) -> int:
    """A time in whole milliseconds since 1970."""
    return (dt.datetime.fromisoformat(time) - dt.datetime.fromtimestamp(0, dt.UTC)) // dt.timedelta(milliseconds=1)


def by(rows: Iterable[Row], column: str) -> dict[Any, Row]:
    """Rows by a column that is unique."""
    return {row[column]: row for row in rows}
