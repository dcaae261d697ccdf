"""The list of datasets: which there are, how much they load, and the broken ones with their reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from envctl.datasets import list_datasets
from envctl.errors import UsageError
from envctl.seeding import estimate
from envctl.seeding.loading import Size
from envctl.seeding.spec import load
from envctl.seeding.texts import text
from envctl.seeding.world import World

FILLED = """\
description: Everything.
generate:
  a: {rows: 20000, columns: {id: row + 1, name: 'f"number {row:05}"', kept: row % 4 == 0, n: "number(0, 4)"}}
  b: {per: a, count: n, most: 4, columns: {of: parent.id}}
  files: {rows: 3, columns: {id: row}}
  records: {per: files, open: true, columns: {id: line}}
postgres: {tables: {a: a, b: b, prices: {csv: prices.csv}, logs: {jsonl: logs.jsonl}}}
kafka: {topics: {t: {from: b, key: text(of), value: json(of=of)}, empty: {}, u: {jsonl: logs.jsonl}}}
redis: {keys: [{from: a, key: name, string: text(id), when: kept}], commands: more.redis}
minio:
  buckets:
    app:
      folders: data
      objects: [{from: files, key: text(id), size: 5000, format: "'csv'", content: records, versions: {1: {id: id}}}]
spark: {sql: views.sql}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of datasets with one that fills everything."""
    (tmp_path / "filled.yaml").write_text(FILLED)
    (tmp_path / "prices.csv").write_text("a,b\n1,2\n3,4\n")
    (tmp_path / "logs.jsonl").write_text('{"value": 1}\n' * 5)
    (tmp_path / "more.redis").write_text("SET a 1\nSET b 2\n")
    (tmp_path / "views.sql").write_text("SELECT 1;")
    (tmp_path / "data" / "in").mkdir(parents=True)
    (tmp_path / "data" / "in" / "x.bin").write_bytes(b"x" * 1000)
    return tmp_path


def test_what_ships_is_listed_the_smallest_first() -> None:
    """The abstract one that they extend is not a dataset to load."""
    assert [found.name for found in list_datasets(())] == ["small", "medium", "large"]
    assert all(found.shipped and found.description and not found.problem for found in list_datasets(()))


def test_what_has_rows_and_what_is_in_files_is_counted_exactly(folder: Path) -> None:
    """Objects and folders to the byte."""
    sizes = estimate.sizes(load("filled", folders=[folder]))
    assert sizes["minio"] == Size(4, 3 * 5000 + 1000)
    assert sizes["redis"].rows == 20000 // 4 + 2
    assert sizes["spark-connect"] == Size(0, 0)


def test_an_object_that_is_empty_weighs_nothing(folder: Path) -> None:
    """As those of `small` do that are."""
    defective = FILLED.replace("size: 5000", """size: 5000, defect: "'empty' if id == 1 else 'corrupt'\"""")
    (folder / "defective.yaml").write_text(defective)
    assert estimate.sizes(load("defective", folders=[folder]))["minio"] == Size(4, 2 * 5000 + 1000)
    assert estimate.sizes(load("large"))["minio"] == Size(1100, 1000 * 100_000_000)


@pytest.mark.parametrize(
    ("rows", "key", "keys"),
    [(4000, "text(row % 7)", 7), (100_000, "text(row % 7)", 7), (100_000, "text(row)", 100_000), (10, "text(7)", 1)],
)
def test_keys_that_rows_fill_together_are_counted_once(tmp_path: Path, rows: int, key: str, keys: int) -> None:
    """As whoever looks into Redis counts them."""
    rule = f"{{from: a, key: {key}, set: text(row)}}"
    text = f"generate: {{a: {{rows: {rows}, columns: {{id: row}}}}}}\nredis: {{keys: [{rule}]}}\n"
    (tmp_path / "sets.yaml").write_text(text)
    assert estimate.sizes(load("sets", folders=[tmp_path]))["redis"].rows == keys


def test_what_depends_on_chance_is_about_right(folder: Path) -> None:
    """Within a tenth of what is really generated."""
    dataset = load("filled", folders=[folder])
    sizes, world = estimate.sizes(dataset), World(dataset)
    parts = world.rows("b")
    assert sizes["kafka"].rows == pytest.approx(parts + 5, rel=0.1)
    assert sizes["postgres"].rows == pytest.approx(20000 + parts + 2 + 5, rel=0.1)
    written = sum(
        len("".join(text(chunk.column(name)).to_pylist()))
        for relation in ("a", "b")
        for chunk in world.iterate(relation)
        for name in dataset.relations[relation].columns
    )
    assert sizes["postgres"].bytes == pytest.approx(written + 20000 * 4 + parts, rel=0.1)


def test_the_largest_is_reckoned_from_a_few_rows() -> None:
    """Rows grow with the scale, and nothing is generated for that."""
    small, huge = (next(d for d in list_datasets((), scale) if d.name == "large") for scale in (0.01, 10.0))
    assert huge.sizes["kafka"].rows == pytest.approx(small.sizes["kafka"].rows * 1000, rel=0.2)
    assert huge.seconds > small.seconds


def test_a_broken_dataset_is_listed_with_its_first_problem(folder: Path) -> None:
    """It does not keep the others from being listed."""
    (folder / "broken.yaml").write_text("description: x\nkafka: {topics: {t: {from: nothing, value: x}}}\n")
    (folder / "garbage.yml").write_bytes(b"\xff\xff")
    found = {summary.name: summary for summary in list_datasets([folder])}
    assert "kafka.topics.t.from: no relation is named 'nothing'" in found["broken"].problem
    assert "is no UTF-8 text" in found["garbage"].problem
    assert (found["broken"].sizes, found["filled"].problem) == ({}, "")


def test_a_users_dataset_hides_the_one_of_its_name_that_ships(folder: Path) -> None:
    """As `seed` would load it."""
    (folder / "small.yaml").write_text("description: mine\nextends: small\n")
    (small,) = (summary for summary in list_datasets([folder]) if summary.name == "small")
    assert (small.description, small.shipped) == ("mine", False)


def test_an_impossible_scale_is_refused() -> None:
    """Not listed as the problem of every dataset."""
    with pytest.raises(UsageError, match="a scale above 0"):
        list_datasets((), -1.0)


def test_folders_that_are_not_there_hold_nothing() -> None:
    """Nobody has to make `seeds/`."""
    assert list_datasets([Path("/nowhere/seeds")])
