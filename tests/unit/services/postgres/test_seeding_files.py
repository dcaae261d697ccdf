"""SQL files and row files, read without a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from envctl.errors import SeedFailed
from envctl.seeding.spec import Dataset, Relation
from envctl.seeding.world import World
from envctl.services.postgres.seeding import files, plan, scripts


def script(folder: Path, text: str) -> Path:
    """An SQL file."""
    path = folder / "x.sql"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "SELECT ';' AS a; SELECT E'\\';\\\\' ; -- ; no\n SELECT 1",
        'SELECT "a;b"; /* ; \\d */ SELECT $x$;COMMIT;$x$; SELECT $$;$$',
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; SELECT 2; END; SELECT 1; TABLE",
    ],
)
def test_a_file_is_parted_where_its_statements_end(tmp_path: Path, text: str) -> None:
    """Not within texts, names, comments and bodies."""
    found = scripts.read(script(tmp_path, text))
    assert len(found.ends) == 3
    assert found.text == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT 1;\n\n\\d", "x.sql:3: '\\\\d' is a command of psql"),
        ("COPY a FROM stdin;\n1\n\\.\n", "x.sql:3: '\\\\.' is a command of psql"),
        ("SELECT 1;\n begin;", "x.sql:2: BEGIN would end"),
        ("start transaction;", "x.sql:1: START would end"),
    ],
)
def test_what_only_psql_or_a_transaction_of_its_own_can_run_is_told_with_its_line(
    tmp_path: Path, text: str, said: str
) -> None:
    """Before anything is sent."""
    with pytest.raises(SeedFailed) as caught:
        scripts.read(script(tmp_path, text))
    assert said in caught.value.found


@pytest.mark.parametrize(("end", "lines"), [("\n", {1: 1, 2: 2, 4: 2, 5: 5, 6: 6}), ("\r\n", {1: 1, 2: 2, 3: 5, 4: 6})])
def test_the_servers_line_of_csv_is_found_in_the_file(tmp_path: Path, end: str, lines: dict[int, int]) -> None:
    """It counts line ends in values only where they are like those of the file."""
    path = tmp_path / "x.csv"
    path.write_bytes(f'id,name{end}1,"a\nb\nc"{end}2,x{end}3,y{end}'.encode())
    file = files.opened(path, "csv")
    assert {line: int(file.place(line).rpartition(":")[2]) for line in lines} == lines


def test_rows_of_files_are_counted_as_lines(tmp_path: Path) -> None:
    """The header is none; the last line may lack its end."""
    path = tmp_path / "x"
    path.write_text("id\n1\n2")
    assert (files.rows(path, "csv"), files.rows(path, "jsonl")) == (2, 3)


def test_values_that_wait_for_facts_are_found_through_columns_parents_and_other_relations() -> None:
    """And no others."""
    relations = {
        "files": Relation("files", {"k": "row", "size": 'fact("size")', "double": "size * 2"}, rows=3),
        "lines": Relation("lines", {"s": "parent.k", "t": "line"}, per="files", count="2", most=2),
        "log": Relation("log", {"x": "at(files.k, row)", "y": "row"}, rows=5),
    }
    found = plan.waiting(World(Dataset("x", Path("x.yaml"), relations=relations)))
    assert found == {("files", "size"), ("files", "double"), ("lines", "s"), ("log", "x")}
