"""Reading: names and paths, `extends`, scaling, files, digests."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from envctl.errors import ConfigurationError, UnknownName, UsageError
from envctl.seeding.spec import load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.seeding.spec.conftest import Problems, Read

BASE = """\
description: The base.
seed: 7
words:
  colours: [red, no, 1]
generate:
  items:
    rows: 100
    columns: {id: row + 1, colour: word("colours"), one: 1, yes_: true}
  parts:
    per: items
    count: number(0, 3)
    most: 3
    columns: {item: parent.id, number: line + 1}
postgres:
  sql: schema.sql
  tables:
    items: items
    parts: {from: parts, columns: [item, number]}
kafka:
  topics:
    items: {from: items, key: text(id), value: json(id=id), headers: {b: colour, a: id}, config: {retention.ms: 0700}}
redis:
  keys:
    items: {from: items, key: 'f"item:{id}"', hash: {id: id, colour: colour}, ttl: 1h}
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder with a base dataset, its schema, and nothing else."""
    folder = tmp_path / "seeds"
    folder.mkdir()
    (folder / "base.yaml").write_text(BASE)
    (folder / "schema.sql").write_text("CREATE TABLE items (id int);")
    return folder


def test_a_dataset_is_what_its_file_says(base: Path) -> None:
    """Expressions as text, paths absolute, defaults filled in."""
    found = load("base", folders=[base])
    assert (found.name, found.file, found.seed, found.scale) == ("base", base / "base.yaml", 7, 1.0)
    assert found.words == {"colours": ("red", "no", "1")}
    assert found.relations["items"].columns["one"] == "1"
    assert found.relations["items"].columns["yes_"] == "True"
    assert found.postgres.sql == (base / "schema.sql",)
    assert found.postgres.tables["items"].relation == "items"
    assert found.postgres.tables["parts"].columns == {"item": "item", "number": "number"}
    assert found.topics["items"].config == {"retention.ms": "0700"}
    assert (found.redis.keys[0].type, found.redis.keys[0].ttl) == ("hash", 3600)
    assert found.services == ("postgres", "kafka", "redis")


def test_an_unknown_name_is_told_the_nearest(base: Path) -> None:
    """With all that can be loaded."""
    with pytest.raises(UnknownName) as caught:
        load("bsae", folders=[base])
    assert caught.value.advice == "did you mean 'base'?"
    assert caught.value.known == ["base", "large", "medium", "small"]


def test_a_path_to_nothing_is_said_to_be_that(base: Path) -> None:
    """A reference with a slash or a suffix is a path."""
    with pytest.raises(ConfigurationError) as caught:
        load("seeds/nothing", folders=[base])
    assert "seeds/nothing: no such file" in str(caught.value)


def test_the_first_folder_with_a_name_wins(base: Path, tmp_path: Path) -> None:
    """Beside the configuration comes before what ships."""
    (tmp_path / "small.yaml").write_text("kafka: {topics: {mine: {}}}")
    assert list(load("small", folders=[tmp_path, base]).topics) == ["mine"]


def test_extending_merges_mappings_and_replaces_all_else(base: Path, tmp_path: Path) -> None:
    """Deeply; lists and values are the extending file's alone."""
    (tmp_path / "mine.yaml").write_text(
        "extends: base\nwords: {colours: [blue]}\ngenerate: {items: {rows: 5}}\nkafka: {topics: {more: {}}}\n"
    )
    found = load("mine", folders=[tmp_path, base])
    assert found.description == "The base."
    assert found.words["colours"] == ("blue",)
    assert (found.relations["items"].rows, found.relations["items"].columns["id"]) == (5, "row + 1")
    assert set(found.topics) == {"items", "more"}


def test_null_removes_what_is_extended(base: Path, tmp_path: Path) -> None:
    """A service's whole part, or one key."""
    (tmp_path / "mine.yaml").write_text("extends: base\nkafka: null\nredis: {keys: {items: {ttl: null}}}\n")
    found = load("mine", folders=[tmp_path, base])
    assert (found.topics, found.redis.keys[0].ttl) == ({}, 0)


def test_null_where_there_is_nothing_to_remove_is_a_forgotten_value(problems: Problems) -> None:
    """Nobody writes a key for nothing."""
    assert problems("kafka: {topics: {t: }}\nredis:\n") == ["1: kafka.topics.t: is empty", "2: redis: is empty"]


def test_a_comma_that_yaml_took_is_said_to_be_that(problems: Problems) -> None:
    """Between braces an expression with commas needs quotes."""
    found = problems("generate: {a: {rows: 1, columns: {x: number(0, 9)}}}\nkafka: {topics: {t: {}}}")
    assert found[0] == "1: generate.a.columns.9): is empty; a value with a comma needs quotes between { and }"


def test_paths_start_at_the_file_that_names_them(base: Path, tmp_path: Path) -> None:
    """The base's schema is beside the base, the extending file's own beside itself."""
    (tmp_path / "mine.yaml").write_text("extends: base\npostgres: {after: [more.sql]}\n")
    (tmp_path / "more.sql").write_text("ANALYZE;")
    found = load("mine", folders=[tmp_path, base])
    assert found.postgres.sql == (base / "schema.sql",)
    assert found.postgres.after == (tmp_path / "more.sql",)


def test_problems_name_the_file_of_the_chain_in_which_they_are(base: Path, tmp_path: Path) -> None:
    """Line and file of whoever wrote it."""
    (tmp_path / "mine.yaml").write_text("extends: base\nredis: {keys: {items: {hash: {x: idd}}}}\n")
    (base / "schema.sql").unlink()
    with pytest.raises(ConfigurationError) as caught:
        load("mine", folders=[tmp_path, base])
    found = [(problem.file, problem.line, problem.key) for problem in caught.value.problems]
    assert found == [
        (tmp_path / "mine.yaml", 2, "redis.keys.items.hash.x"),
        (base / "base.yaml", 15, "postgres.sql"),
    ]


def test_a_users_small_can_extend_the_small_that_ships(base: Path, tmp_path: Path) -> None:
    """A name never means the file itself."""
    shutil.copy(base / "base.yaml", base / "small.yaml")
    (tmp_path / "small.yaml").write_text("extends: small\ndescription: mine\n")
    found = load("small", folders=[tmp_path, base])
    assert (found.file, found.description, len(found.relations)) == (tmp_path / "small.yaml", "mine", 2)


def test_what_is_beside_a_file_is_extended_before_what_has_the_same_name_elsewhere(base: Path, tmp_path: Path) -> None:
    """So a user's `base` does not change a shipped dataset that extends its own."""
    (base / "child.yaml").write_text("extends: base")
    (tmp_path / "base.yaml").write_text("description: another")
    assert load("child", folders=[tmp_path, base]).description == "The base."


@pytest.mark.parametrize(
    ("extends", "expected"),
    [
        ("mine.yaml", "extends itself: mine.yaml -> mine.yaml"),
        ("other.yaml", "extends itself: mine.yaml -> other.yaml -> mine.yaml"),
        ("smal", "no dataset is named 'smal'; did you mean 'small'?"),
        ("no/where.yaml", "no such file: "),
        ("[small]", "must be a dataset's name, or a path"),
    ],
)
def test_extending_what_cannot_be_extended_is_the_only_problem(tmp_path: Path, extends: str, expected: str) -> None:
    """All else would be said of a half."""
    (tmp_path / "mine.yaml").write_text(f"extends: {extends}\nnonsense: 1")
    (tmp_path / "other.yaml").write_text("extends: mine.yaml")
    with pytest.raises(ConfigurationError) as caught:
        load(str(tmp_path / "mine.yaml"))
    (only,) = caught.value.problems
    assert (only.key, only.line) == ("extends", 1)
    assert expected in only.message


def test_an_abstract_dataset_is_extended_and_not_loaded(base: Path, tmp_path: Path) -> None:
    """Whoever extends it is not abstract by that."""
    (base / "base.yaml").write_text(f"abstract: true\n{BASE}")
    (tmp_path / "mine.yaml").write_text("extends: base")
    assert load("mine", folders=[tmp_path, base]).relations
    with pytest.raises(ConfigurationError, match="is there to be extended"):
        load("base", folders=[base])


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_scale_is_refused(base: Path, scale: float) -> None:
    """Before anything is read."""
    with pytest.raises(UsageError, match="a scale above 0"):
        load("base", scale, folders=[base])


def test_scaling_multiplies_rows_and_sizes_and_leaves_nothing_empty(read: Read) -> None:
    """Never below a row and 4096 bytes; what is fixed stays."""
    text = """
        generate:
          many: {rows: 1000, columns: {id: row}}
          kinds: {rows: 10, fixed: true, columns: {id: row}}
          records: {per: many, open: true, columns: {id: row}}
        minio:
          buckets:
            app:
              objects:
                - {from: many, key: text(id), size: 1MB, format: "'csv'", content: records, versions: {1: {id: id}}}
    """
    found = [read(text, scale) for scale in (0.0001, 0.0125, 2.5)]
    assert [dataset.relations["many"].rows for dataset in found] == [1, 12, 2500]
    assert {dataset.relations["kinds"].rows for dataset in found} == {10}
    assert [dataset.buckets["app"].objects[0].size for dataset in found] == [4096, 12500, 2_500_000]


def test_the_version_of_objects_that_have_only_one_need_not_be_said(read: Read) -> None:
    """It is the one."""
    dataset = read("""
        generate:
          files: {rows: 1, columns: {id: row}}
          records: {per: files, open: true, columns: {id: row}}
        minio:
          buckets:
            app:
              objects:
                x: {from: files, key: text(id), size: 4 KiB, format: "'csv'", content: records, versions: {a: {i: id}}}
    """)
    rule = dataset.buckets["app"].objects[0]
    assert (rule.version, rule.content_of, rule.defect, rule.versions) == ("'a'", "row", "'none'", {"a": {"i": "id"}})


def test_files_are_all_that_was_read(base: Path, tmp_path: Path) -> None:
    """The chain of datasets, and whatever they name; folders, so that a new file in one is noticed."""
    (tmp_path / "data" / "in").mkdir(parents=True)
    (tmp_path / "data" / "in" / "a.txt").write_text("x")
    (tmp_path / "words.txt").write_text("x")
    (tmp_path / "mine.yaml").write_text(
        "extends: base\nwords: {w: words.txt}\nminio: {buckets: {app: {folders: data}}}\n"
    )
    found = load("mine", folders=[tmp_path, base]).files
    data = tmp_path / "data"
    assert found[:2] == (tmp_path / "mine.yaml", base / "base.yaml")
    assert set(found[2:]) == {tmp_path / "words.txt", base / "schema.sql", data, data / "in", data / "in" / "a.txt"}


def test_the_digest_is_the_same_wherever_and_in_whatever_order_it_is_written(base: Path, tmp_path: Path) -> None:
    """Another folder, another name, another order of keys, another way to write it: the same data."""
    moved = tmp_path / "elsewhere"
    shutil.copytree(base, moved)
    parts = BASE.partition("postgres:")
    (moved / "renamed.yaml").write_text(f"{parts[1]}{parts[2]}{parts[0]}".replace("1h", "3600"))
    swapped = BASE.replace("{id: id, colour: colour}", "{colour: colour, id: id}").replace("The base", "Another")
    (moved / "swapped.yaml").write_text(swapped)
    digests = {load(str(file)).digest for file in (base / "base.yaml", *moved.glob("*.yaml"))}
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("seed: 7", "seed: 8"),
        ("rows: 100", "rows: 101"),
        ("row + 1", "row + 2"),
        ("[red, no, 1]", "[no, red, 1]"),
        ("{b: colour, a: id}", "{a: id, b: colour}"),
        ("ttl: 1h", "ttl: 2h"),
        ("items: items\n", "itemz: items\n"),
        ("{id: id, colour: colour}", "{id: id, colour: id}"),
    ],
)
def test_the_digest_changes_with_what_is_loaded(base: Path, old: str, new: str) -> None:
    """Values, names, and the order of words and of headers."""
    before = load("base", folders=[base]).digest
    assert old in BASE
    (base / "base.yaml").write_text(BASE.replace(old, new))
    assert load("base", folders=[base]).digest != before


def test_the_digest_changes_with_scale_and_with_the_content_of_files(base: Path) -> None:
    """A changed schema is another dataset."""
    before = load("base", folders=[base]).digest
    assert load("base", 2.0, folders=[base]).digest != before
    (base / "schema.sql").write_text("CREATE TABLE items (id bigint);")
    assert load("base", folders=[base]).digest != before


def test_looking_a_name_up_imports_no_arrow(base: Path) -> None:
    """It costs 80 ms, which only trying expressions needs."""
    (base / "empty.yaml").write_text("kafka: {topics: {t: {}}}")
    code = (
        f"import sys, pathlib; from envctl.seeding.spec import load; load({str(base / 'empty.yaml')!r});"
        "print(sorted({'numpy', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_what_ships_can_be_added_to(read: Read) -> None:
    """Files, tables, topics, keys and objects, each beside those that are there."""
    more = """
        extends: small
        postgres: {sql: {mine: mine.sql}, tables: {mine: sources}, after: {mine: mine.sql}}
        kafka: {topics: {mine: {}}}
        redis: {keys: {mine: {from: sources, key: name, string: name}}}
        minio: {buckets: {mine: {}, app: {objects: {sent: {size: 5000}}}}}
        spark: {sql: {mine: mine.sql}, clear: {mine: mine.sql}}
    """
    mine, small = read(more, mine_sql="SELECT 1;"), load("small")
    assert [path.name for path in mine.postgres.sql] == [*(path.name for path in small.postgres.sql), "mine.sql"]
    assert set(mine.postgres.tables) == {*small.postgres.tables, "mine"}
    assert set(mine.topics) == {*small.topics, "mine"}
    assert mine.redis.keys[:-1] == small.redis.keys
    assert [rule.size for rule in mine.buckets["app"].objects] == [5000]
    assert mine.spark.sql == (*small.spark.sql, "SELECT 1")


@pytest.mark.parametrize("name", ["small", "medium", "large"])
def test_the_datasets_that_ship_are_right_at_every_scale(name: str) -> None:
    """Whole, and at a hundredth and a hundred-thousandth of their size."""
    digests = {load(name, scale).digest for scale in (1.0, 0.01, 0.00001)}
    assert len(digests) == 3
