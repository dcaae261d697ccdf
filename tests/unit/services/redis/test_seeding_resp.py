"""Commands in bulk are the same bytes that one would write one by one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envctl.services.redis.seeding import resp
from envctl.services.redis.seeding.connection import command_bytes

TEXTS = st.lists(st.tuples(st.text(), st.text(max_size=300), st.booleans()), min_size=1, max_size=30)


def written(commands: resp.Commands) -> bytes:
    """All bytes of all rows."""
    return b"".join(commands.rows.to_pylist())


def one_by_one(commands: list[list[str]]) -> bytes:
    """What a simple client would send."""
    return b"".join(command_bytes(command) for command in commands)


def columns(rows: list[tuple[str, str, bool]]) -> tuple[pa.Array, pa.Array, np.ndarray]:
    """Keys, values and flags."""
    keys, values, flags = zip(*rows, strict=True)
    return pa.array(keys, pa.string()), pa.array(values, pa.string()), np.array(flags)


@settings(deadline=None)
@given(TEXTS)
def test_strings_with_an_end_are_set_one_by_one(rows: list[tuple[str, str, bool]]) -> None:
    """SET key value PXAT ms."""
    keys, values, _ = columns(rows)
    expected = one_by_one([["SET", key, value, "PXAT", "1700"] for key, value, _ in rows])
    assert written(resp.strings(keys, values, 1700)) == expected


@settings(deadline=None)
@given(TEXTS)
def test_strings_without_an_end_are_set_together(rows: list[tuple[str, str, bool]]) -> None:
    """MSET key value key value."""
    keys, values, _ = columns(rows)
    expected = one_by_one([["MSET", *(part for key, value, _ in rows for part in (key, value))]])
    assert written(resp.strings(keys, values, 0)) == expected


@settings(deadline=None)
@given(TEXTS)
def test_a_hash_has_the_fields_that_are_not_null(rows: list[tuple[str, str, bool]]) -> None:
    """A field that is null in a row is not in that row's command."""
    keys, values, flags = columns(rows)
    fields = {"always": (values, None), "sometimes": (values, flags)}
    expected = [["HSET", key, "always", value, *(["sometimes", value] if there else [])] for key, value, there in rows]
    assert written(resp.hashes(keys, fields, 0)) == one_by_one(expected)


@settings(deadline=None)
@given(TEXTS)
def test_stream_entries_have_their_ids_and_an_end(rows: list[tuple[str, str, bool]]) -> None:
    """XADD key id field value, then PEXPIREAT."""
    keys, values, _ = columns(rows)
    expected = [
        command
        for key, value, _ in rows
        for command in (["XADD", key, value, "name", value], ["PEXPIREAT", key, "1700"])
    ]
    found = resp.entries(keys, values, {"name": (values, None)}, 1700)
    assert written(found) == one_by_one(expected)
    assert found.counts.sum() == len(expected)


@pytest.mark.parametrize("kind", ["list", "set", "zset"])
@pytest.mark.parametrize("expires", [0, 1700])
@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers()), min_size=1, max_size=50))
def test_members_of_the_same_key_go_together(kind: str, expires: int, rows: list[tuple[str, int]]) -> None:
    """Consecutive rows of one key are one command, and its end follows it."""
    keys = pa.array([key for key, _ in rows])
    numbers = pa.array([str(number) for _, number in rows])
    parts = [numbers, numbers] if kind == "zset" else [numbers]
    expected: list[list[str]] = []
    for place, (key, number) in enumerate(rows):
        if place == 0 or rows[place - 1][0] != key:
            expected.append([resp.VERBS[kind].decode(), key])
        expected[-1] += [str(number)] * len(parts)
    if expires:
        expected = [command for one in expected for command in (one, ["PEXPIREAT", one[1], str(expires)])]
    found = resp.members(kind, keys, parts, expires)
    assert written(found) == one_by_one(expected)
    assert found.counts.sum() == len(expected)


def test_a_command_has_at_most_a_thousand_members() -> None:
    """However many rows have the key."""
    found = resp.members("list", pa.repeat("key", 2500), [pa.repeat("x", 2500)], 0)
    assert np.flatnonzero(found.counts).tolist() == [0, 1000, 2000]
    assert written(found).startswith(b"*1002\r\n")


@settings(deadline=None)
@given(TEXTS, st.integers(1, 200))
def test_batches_are_all_bytes_in_order_cut_between_commands(rows: list[tuple[str, str, bool]], size: int) -> None:
    """Nothing is lost or sent twice, and no command is torn."""
    keys, values, _ = columns(rows)
    commands = resp.strings(keys, values, 1700)
    batches = list(commands.batches(0, size))
    assert b"".join(bytes(data) for _, _, data in batches) == written(commands)
    assert [start for start, _, _ in batches] == [0, *(stop for _, stop, _ in batches[:-1])]
    assert all(bytes(data).startswith(b"*5\r\n") for _, _, data in batches)


def test_batches_begin_where_they_are_told() -> None:
    """After a resume the rows before are not sent again."""
    commands = resp.strings(pa.array(list("abc")), pa.array(list("xyz")), 1700)
    ((start, stop, data),) = commands.batches(2, 1000)
    assert (start, stop, bytes(data)) == (2, 3, one_by_one([["SET", "c", "z", "PXAT", "1700"]]))


def test_a_command_larger_than_a_batch_is_a_batch_of_its_own() -> None:
    """A thousand members stay together."""
    commands = resp.members("set", pa.repeat("key", 10), [pa.repeat("x" * 100, 10)], 0)
    assert [(start, stop) for start, stop, _ in commands.batches(0, 50)] == [(0, 10)]


def test_the_key_of_a_command_is_found_by_its_number() -> None:
    """Counted from the first row of a batch, over rows of two commands and of none."""
    commands = resp.members("set", pa.array(["a", "a", "b", "c"]), [pa.array(list("1234"))], 1700)
    assert [commands.key_of(0, number) for number in range(6)] == ["a", "a", "b", "b", "c", "c"]
    assert commands.key_of(2, 1) == "b"
