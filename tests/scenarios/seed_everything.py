"""A dataset with something of every kind, and what a stranger finds in the services that are seeded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import kafka
import minio
import psycopg
import redis

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SERVICES = ("postgres", "redis", "kafka", "minio")

_RELATIONS = """
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v') ORDER BY 1
"""
_CONSTRAINTS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint
WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2
"""
_INDEXES = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"

# Enough readings for several chunks and transactions in each service, and for indexes that wait for the rows.
# What is in the files must happen once: it counts, appends and adds.
FILES = {
    "everything.yaml": """
description: Something of every kind.
generate:
  sensors:
    rows: 400
    columns:
      id: row
      name: f"sensor-{row:04}-{hex(6)}"
      readings: tally(readings.sensor)
  readings:
    rows: 120000
    columns:
      id: row + 1
      sensor: ref(sensors, skew=2)
      at: moment("2025-01-01", "2026-01-01")
      value: decimal(number(0, 99999), 2)
      note: f"noted {hex(8)}" if chance(0.3) else None
      told: row < 30000
  files:
    rows: 6
    columns: {name: 'f"made/{row:04}.csv"'}
  lines:
    per: files
    open: true
    columns: {sensor: "number(0, 399)", value: "number(0, 1000)"}
postgres:
  sql: schema.sql
  tables:
    sensors: {from: sensors, columns: [id, name, readings]}
    readings: {from: readings, columns: [id, sensor, at, value, note]}
    sent: {from: files, columns: {name: name, etag: fact("etag"), rows: fact("rows")}}
    limits: {csv: limits.csv}
    remarks: {jsonl: remarks.jsonl}
  after: [after.sql, later.sql]
kafka:
  topics:
    readings:
      partitions: 3
      from: readings
      key: text(sensor)
      value: json(id=id, at=at, value=value, note=note)
      timestamp: at
    sensors: {from: sensors, key: name, value: json(id=id), config: {cleanup.policy: compact}}
    audit: {jsonl: audit.jsonl, partitions: 2}
redis:
  keys:
    - {from: sensors, key: 'f"sensor:{id}"', hash: {name: name, readings: readings}, ttl: 30d}
    - {from: readings, key: 'f"sensor:{sensor}:values"', list: value, when: told}
    - {from: sensors, key: "'busiest'", zset: {member: name, score: readings}}
  commands: [counted.redis, appended.redis]
minio:
  buckets:
    app:
      folders: [{path: documents, prefix: documents/}]
      objects:
        - {from: files, key: name, size: 600kB, format: "'csv'", content: lines, versions: {1: {s: sensor, v: value}}}
    only-here: {folders: documents}
python: fixtures.py:load
""",
    "schema.sql": """
CREATE TABLE sensors (id int PRIMARY KEY, name text UNIQUE NOT NULL, readings int NOT NULL);
CREATE TABLE readings (
    id int PRIMARY KEY, sensor int NOT NULL REFERENCES sensors, at timestamptz NOT NULL, value numeric(10, 2), note text
);
CREATE INDEX by_sensor ON readings (sensor, at);
CREATE TABLE sent (name text PRIMARY KEY, etag text, rows int);
CREATE TABLE limits (sensor int REFERENCES sensors, most numeric);
CREATE TABLE remarks (id int, remark jsonb);
""",
    "after.sql": "UPDATE limits SET most = most + 1; INSERT INTO remarks VALUES (-1, '{}');",
    "later.sql": "CREATE VIEW noted AS SELECT * FROM readings WHERE note IS NOT NULL; CREATE INDEX ON readings (note);",
    "limits.csv": "sensor,most\n" + "".join(f"{sensor},{sensor / 4}\n" for sensor in range(400)),
    "remarks.jsonl": "".join(f'{{"id": {n}, "remark": {{"said": "{n * n}"}}}}\n' for n in range(20_000)),
    "audit.jsonl": "".join(f'{{"key": "user-{n % 97}", "value": {{"n": {n}}}}}\n' for n in range(20_000)),
    "counted.redis": "INCRBY counted 7\n" * 50,
    "appended.redis": "".join(f"RPUSH appended {n}\n" for n in range(50)),
    "fixtures.py": 'def load(env):\n    env.redis.client().set("by-function", 1)\n',
    "documents/a/one.txt": "one\n" * 100_000,
    "documents/two.bin": "2" * 300_000,
}


def written(folder: Path) -> str:
    """The dataset in a folder; its path as an argument of `seed`."""
    for name, text in FILES.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return str(folder / "everything.yaml")


def seen(variables: Mapping[str, str]) -> dict[str, Any]:
    """All that the app finds, by service; nothing that a load left behind is passed over."""
    return {
        "postgres": _in_postgres(variables["DATABASE_URL"]),
        "redis": _in_redis(variables["REDIS_URL"]),
        "kafka": _in_kafka(variables["KAFKA_BOOTSTRAP_SERVERS"]),
        "minio": _in_minio(variables),
    }


def _in_postgres(url: str) -> list[object]:
    """Every table and view with the number and the digest of its rows; constraints; indexes."""
    with psycopg.connect(url) as db:
        found: list[object] = []
        for (name,) in db.execute(_RELATIONS).fetchall():
            # Without enums and their like, which have another OID in each load: the text of a row.
            digest = f"SELECT count(*), sum(hashtextextended(t::text, 0))::text FROM {name} t"  # noqa: S608
            found.append((name, *db.execute(digest.encode()).fetchall()))
        return [*found, *db.execute(_CONSTRAINTS), *db.execute(_INDEXES)]


def _in_redis(url: str) -> dict[bytes, object]:
    """Every key with its length, or its content where that is small."""
    with redis.Redis.from_url(url) as client, client.pipeline(transaction=False) as pipeline:
        keys = sorted(client.scan_iter(count=1000))
        for key in keys:
            pipeline.type(key)
        kinds = pipeline.execute()
        lengths = {b"string": "GET", b"hash": "HLEN", b"list": "LLEN", b"set": "SCARD", b"zset": "ZCARD"}
        for key, kind in zip(keys, kinds, strict=True):
            pipeline.execute_command(lengths.get(kind, "XLEN"), key)
        return dict(zip(keys, zip(kinds, pipeline.execute(), strict=True), strict=True))


def _in_kafka(address: str) -> dict[object, int]:
    """Every partition with its end."""
    consumer = kafka.KafkaConsumer(bootstrap_servers=[address])
    try:
        topics = [topic for topic in consumer.topics() if not topic.startswith("__")]
        wanted = [kafka.TopicPartition(t, n) for t in topics for n in consumer.partitions_for_topic(t) or ()]
        return dict(sorted(consumer.end_offsets(wanted).items()))
    finally:
        consumer.close()


def _in_minio(variables: Mapping[str, str]) -> list[tuple[object, ...]]:
    """Every object of every bucket."""
    address, user = variables["AWS_ENDPOINT_URL"].removeprefix("http://"), variables["AWS_ACCESS_KEY_ID"]
    client = minio.Minio(address, access_key=user, secret_key=variables["AWS_SECRET_ACCESS_KEY"], secure=False)
    return [
        (bucket.name, found.object_name, found.size, found.etag)
        for bucket in client.list_buckets()
        for found in client.list_objects(bucket.name, recursive=True)
    ]
