"""Which objects there are, and that their bytes and facts depend on what they should alone."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from envctl.seeding.expressions import ExpressionError
from envctl.seeding.facts import Facts
from envctl.seeding.objects import Bodies, Defect, Entry, compute
from envctl.seeding.objects.lines import LineBody
from envctl.seeding.objects.stream import Pieces, Stream
from envctl.seeding.spec import Objects, Relation
from envctl.seeding.world import World, WorldError
from tests.unit.seeding.objects.sample import FORMATS, RELATIONS, VERSIONS, bodies, dataset, rule, taken, usual

MIXED = {
    "format": "choose(['jsonl', 'csv', 'parquet'])",
    "version": "choose(['plain', 'all', 'nested'])",
    "defect": "choose(['none', 'none', 'corrupt', 'truncated', 'empty', 'encoding'])",
    "content_of": "row if row % 5 > 0 else row // 2",
}


def mixed(size: int = 20_000) -> Objects:
    """Objects of every kind."""
    return Objects("files", key='f"{name}.data"', size=size, content="records", versions=VERSIONS, **MIXED)


def test_there_is_an_entry_for_each_row() -> None:
    """With what its expressions say."""
    objects = bodies(8000, content_of="row // 2")
    found = list(objects.entries())
    assert objects.count() == len(found) == 20
    assert found[3] == Entry(3, "file-0003.data", 8000, "jsonl", "all", Defect.NONE, 1)


def test_an_entry_can_be_had_alone() -> None:
    """It is the same."""
    objects = Bodies(World(dataset()), mixed())
    assert [objects.entry(row) for row in range(20)] == list(objects.entries())


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("defect", ["none", "corrupt", "truncated", "encoding"])
def test_objects_that_share_content_are_copies(kind: str, defect: str) -> None:
    """All else being equal."""
    objects = bodies(20_000, kind, "all", defect, content_of="row // 2 * 2")
    first, second, third = [objects.fact(objects.entry(row)) for row in (4, 5, 6)]
    assert first == second
    assert third.etag != first.etag


def test_facts_are_those_of_the_stream() -> None:
    """Of every kind of object, made by another world."""
    facts = Facts(compute(World(dataset()), dataset(mixed())))
    objects = Bodies(World(dataset()), mixed())
    for entry in objects.entries():
        body, rows = taken(objects, entry)
        fact = facts.of("files", entry.row)
        assert (fact.size, fact.etag, fact.rows) == (
            len(body),
            hashlib.md5(body, usedforsecurity=False).hexdigest(),
            rows,
        )


def test_facts_can_be_columns_of_the_objects_own_relation() -> None:
    """A file knows its checksum, where neither its content nor its kind depends on it."""
    world = with_sum({}, mixed())
    etags = world.chunk("files", 0).column("sum").pylist()
    objects = Bodies(world, mixed())
    assert etags == [objects.fact(entry).etag for entry in objects.entries()]


def with_sum(columns: dict[str, str], rules: Objects) -> World:
    """A world whose files know their checksum, with more columns of the files' content."""
    content = replace(RELATIONS["records"], columns={**RELATIONS["records"].columns, **columns})
    files = replace(RELATIONS["files"], columns={**RELATIONS["files"].columns, "sum": "fact('etag')"})
    spec = dataset(rules, relations={"files": files, "records": content})
    world = World(spec)
    world.facts = Facts(compute(world, spec)).columns
    return world


def test_a_key_may_be_the_checksum() -> None:
    """The bytes do not depend on it."""
    rules = replace(rule(3000), key="sum")
    objects = Bodies(with_sum({}, rules), rules)
    assert [entry.key for entry in objects.entries()] == [objects.fact(entry).etag for entry in objects.entries()]


def test_content_that_depends_on_the_checksum_is_refused_at_once() -> None:
    """Nobody waits for what waits for him."""
    rules = replace(rule(3000), versions={"all": {"sum": "sum"}})
    with pytest.raises(WorldError, match="depend on what is asked of them"):
        Bodies(with_sum({"sum": "parent.sum"}, rules), rules)


def test_facts_of_a_relation_without_objects_are_refused() -> None:
    """The relation is named."""
    with pytest.raises(ExpressionError, match="'records'"):
        compute(World(dataset()), dataset(mixed()))("records", 0)


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
@pytest.mark.parametrize("defect", list(Defect))
def test_the_size_of_pieces_changes_no_byte(kind: str, defect: Defect) -> None:
    """However few rows are made at a time."""
    file, found = usual(kind, "all")._file(kind, "all", 0), set()
    for piece in (1, 100, 4096, 1 << 20):
        found.add(b"".join(LineBody(file, 2, 50_001, defect, piece).pieces()))
    assert len(found) == 1


def test_rows_are_told_when_the_bytes_were_taken_and_not_before() -> None:
    """Also if the stream is asked again."""
    stream = Stream(_two())
    assert not hasattr(stream, "rows")
    assert list(stream) == [b"a", b"b"]
    assert list(stream) == []
    assert stream.rows == 2


def test_files_whose_relation_has_gaps_have_their_own_content() -> None:
    """Rows of a relation per another one are numbered with gaps."""
    relations = {
        "runs": Relation("runs", {"count": "row % 3"}, rows=9),
        "files": Relation("files", {"name": 'f"{row}"', "at": "time('2025-01-01')"}, per="runs", count="count", most=4),
        "records": RELATIONS["records"],
    }
    objects = Bodies(World(dataset(relations=relations)), rule(3000, "jsonl", "plain"))
    entries = list(objects.entries())
    assert [entry.row for entry in entries] == [4, 8, 9, 16, 20, 21, 28, 32, 33]
    for entry in entries:
        assert taken(objects, entry)[0].startswith(f'{{"id":"{entry.row}/000000"'.encode())
        assert objects.entry(entry.row) == entry


@pytest.mark.parametrize("seed", ["0", "4711"])
def test_another_process_makes_the_same_bytes(seed: str) -> None:
    """Whatever order its sets have."""
    program = "from tests.unit.seeding.objects.test_bodies import digest\nprint(digest())"
    root = Path(__file__).parents[4]
    environ = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == digest()


GOLDEN = {
    "jsonl": "350e361823ca0ef139f78d99ee8c93ff",
    "csv": "a4478fdeb4c909fee6567de1dcaf55de",
    "parquet": "7451db93688329dc084bbb4a69f628b7",
}


@pytest.mark.parametrize("kind", FORMATS)
def test_bytes_are_the_same_for_ever(kind: str) -> None:
    """On any machine, with any version of Python and pyarrow: of rows without chance, for this is about formats."""
    inner = {"at": "time('2025-01-31') + seconds(line)", "doc": "json(n=line)"}
    shape = {
        "n": "line * 7 - 100", "half": "decimal(line, 1)", "even": "line % 2 == 0", "name": 'f"née {line}"',
        "odd": "line if line % 2 == 1 else None", "in": inner,
    }  # fmt: skip
    objects = bodies(100_000, kind, "1", versions={"1": shape})
    assert objects.fact(objects.entry(0)).etag == GOLDEN[kind]


WRONG = {
    "format": ("'xml'", r"files\.format: of row 0 is 'xml'; must be one of jsonl, csv, parquet"),
    "version": ("2", r"files\.version: of row 0 is '2'; must be one of plain, numbers, all, nested, narrow, one"),
    "defect": ("lost", r"files\.defect: of row 0 is 'lost'; must be one of none, corrupt"),
    "content_of": ("'a'", r"files\.content_of: is text; must be the number of a row"),
    "content": ("files", r"files\.: must be open"),
    "key": ("'' if row == 7 else 'a'", r"files\.key: of row 7 is ''; must be a text"),
}


@pytest.mark.parametrize("name", sorted(WRONG))
def test_what_is_wrong_is_named(name: str) -> None:
    """The place, what was found and what it must be."""
    source, said = WRONG[name]
    with pytest.raises(WorldError, match=said):
        list(Bodies(World(dataset()), rule(9000, **{name: source})).entries())


def test_content_of_a_row_that_does_not_exist_is_refused() -> None:
    """The row is named."""
    with pytest.raises(WorldError, match=r"files\.row: 99 does not exist"):
        bodies(9000, content_of="99")


def test_two_columns_of_csv_must_not_have_one_name() -> None:
    """Nested fields are named after those that they are in."""
    with pytest.raises(WorldError, match="a_b, a_b"):
        bodies(9000, "csv", "1", versions={"1": {"a_b": "line", "a": {"b": "line"}}})


def digest() -> str:
    """Of the bytes of all objects."""
    objects, found = Bodies(World(dataset()), mixed()), hashlib.sha256()
    for entry in objects.entries():
        found.update(repr(entry).encode())
        found.update(objects.fact(entry).etag.encode())
    return found.hexdigest()


def _two() -> Pieces:
    yield b"a"
    yield b""
    yield b"b"
    return 2
