"""Rules as commands, without a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from envctl.seeding.spec import Dataset, Keys, Relation
from envctl.seeding.world import World
from envctl.services.redis.seeding.connection import command_bytes
from envctl.services.redis.seeding.rules import Rule

COLUMNS = {
    "id": "row + 1",
    "even": "id % 2 == 0",
    "name": 'f"n{id}" if even else None',
    "one": "id if id == 1 else None",
}
WORLD = World(Dataset("t", Path("t.yaml"), relations={"things": Relation("things", COLUMNS, rows=4)}))


def commands(kind: str, fields: dict[str, str], key: str = 'f"k:{id}"', when: str = "") -> bytes:
    """All that a rule sends."""
    rule = Rule(0, Keys("things", key, kind, fields, when=when), WORLD)
    return b"".join(rule.commands(rule.rows_of(0)[0], 0).rows.to_pylist())


@pytest.mark.parametrize(
    ("kind", "fields", "when", "expected"),
    [
        ("string", {"value": "name"}, "", ["MSET k:2 n2 k:4 n4"]),
        ("string", {"value": "id"}, "even", ["MSET k:2 2 k:4 4"]),
        ("hash", {"a": "name", "b": "one"}, "", ["HSET k:1 b 1", "HSET k:2 a n2", "HSET k:4 a n4"]),
        ("set", {"member": "one"}, "", ["SADD k:1 1"]),
        ("zset", {"member": "name", "score": "id"}, "", ["ZADD k:2 2 n2", "ZADD k:4 4 n4"]),
        ("stream", {"id": "id", "a": "name"}, "", ["XADD k:2 2 a n2", "XADD k:4 4 a n4"]),
    ],
)
def test_rows_without_a_value_give_nothing(kind: str, fields: dict[str, str], when: str, expected: list[str]) -> None:
    """Null values, null fields, and rows that `when` leaves out."""
    assert commands(kind, fields, when=when) == b"".join(command_bytes(line.split()) for line in expected)


def test_a_rule_that_gives_nothing_sends_nothing() -> None:
    """No empty command."""
    assert commands("list", {"member": "id"}, "'all'", "id > 9") == b""


def test_a_null_key_gives_nothing() -> None:
    """As a null value."""
    assert commands("string", {"value": "id"}, "name") == command_bytes(["MSET", "n2", "2", "n4", "4"])


def test_some_keys_are_found_where_few_rows_give_one() -> None:
    """A look at some rows is not enough then."""
    columns = {"id": "row + 1"}
    world = World(Dataset("t", Path("t.yaml"), relations={"many": Relation("many", columns, rows=40_000)}))
    rule = Rule(0, Keys("many", 'f"k:{id}"', "string", {"value": "id"}, when="id % 40000 // 2 == 8000"), world)
    assert rule.some_keys(2) == ["k:16000", "k:16001"]
