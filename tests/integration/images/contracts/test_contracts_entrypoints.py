"""The contract of the official images' entrypoints: arguments, variables, files, init scripts."""

from __future__ import annotations

import gzip
import lzma
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.images.contracts.conftest import Box

    Run = Callable[..., Box]
    Tar = Callable[[dict[str, bytes]], bytes]


@pytest.mark.parametrize(
    ("image", "command", "words"),
    [
        ("postgres", ["--version"], "postgres (PostgreSQL) 17"),
        ("postgres", ["echo", "it is me"], "it is me"),
        ("redis", ["--version"], "Redis server v=8"),
        ("redis", ["echo", "it is me"], "it is me"),
        ("minio", ["--version"], "minio version RELEASE.2025-09-07T16-13-09Z"),
        ("zookeeper", ["echo", "it is me"], "it is me"),
        ("kafka", ["echo", "it is me"], "it is me"),
        ("spark-connect", ["echo", "it is me"], "it is me"),
    ],
)
def test_arguments_are_the_servers_unless_they_are_a_command(
    run: Run, image: str, command: list[str], words: str
) -> None:
    """What the entrypoint puts in front of them, and what it leaves alone."""
    code, said = run(image, *command).ended()
    assert code == 0, said
    assert words in said


@pytest.mark.parametrize(
    ("image", "variables", "words"),
    [
        ("postgres", {}, "POSTGRES_PASSWORD"),
        ("postgres", {"POSTGRES_PASSWORD": "a", "POSTGRES_PASSWORD_FILE": "/b"}, "are exclusive"),
        ("zookeeper", {}, "ZOOKEEPER_CLIENT_PORT"),
        ("kafka", {}, "KAFKA_ZOOKEEPER_CONNECT"),
        ("kafka", {"KAFKA_ZOOKEEPER_CONNECT": "z:1"}, "KAFKA_ADVERTISED_LISTENERS"),
    ],
)
def test_missing_and_contradicting_variables_end_the_container(
    run: Run, image: str, variables: dict[str, str], words: str
) -> None:
    """With 1, and the name of the variable."""
    code, said = run(image, environment=variables).ended()
    assert code == 1
    assert words in said


def test_postgres_takes_its_four_variables_from_files(run: Run, tar: Tar) -> None:
    """User, database, password and initdb's options; the password counts from outside."""
    values = {"USER": "chief", "DB": "shop", "PASSWORD": "a word", "INITDB_ARGS": "--data-checksums"}
    archive = tar({f"POSTGRES_{key}": value.encode() for key, value in values.items()})
    variables = {f"POSTGRES_{key}_FILE": f"/POSTGRES_{key}" for key in values}
    server = run("postgres", archive=archive, environment=variables)
    login = "psql -h $(hostname -i) -U chief -d shop -Atc 'SHOW data_checksums'"
    assert server.answers(f"PGPASSWORD='a word' {login}").strip() == "on"
    assert server.container.exec_run(["sh", "-c", f"PGPASSWORD=wrong {login}"]).exit_code == 2


def test_minio_takes_its_password_from_a_file(run: Run, tar: Tar) -> None:
    """It is root's, then."""
    variables = {
        "MINIO_ROOT_USER": "somebody",
        "MINIO_ROOT_PASSWORD_FILE": "/word",
        "MC_HOST_here": "http://somebody:from-a-file@127.0.0.1:9000",
    }
    server = run("minio", "server", "/data", archive=tar({"word": b"from-a-file"}), environment=variables)
    assert "127.0.0.1:9000" in server.answers("mc admin info here")


def test_postgres_runs_init_scripts_of_every_kind_in_order_and_once(run: Run, tar: Tar) -> None:
    """SQL, packed SQL and shell, by name; what is neither is passed over; a start with data runs none."""
    scripts = {
        "1.sql": b"CREATE TABLE ran (step serial, name text); INSERT INTO ran (name) VALUES ('sql');",
        "2.sql.gz": gzip.compress(b"INSERT INTO ran (name) VALUES ('gz');"),
        "3.sql.xz": lzma.compress(b"INSERT INTO ran (name) VALUES ('xz');"),
        "4.sh": b'psql -U "$POSTGRES_USER" -c "INSERT INTO ran (name) VALUES (\'sh\')"',
        "5.txt": b"INSERT INTO ran (name) VALUES ('txt');",
    }
    archive = tar({f"docker-entrypoint-initdb.d/{name}": content for name, content in scripts.items()})
    server = run("postgres", archive=archive, environment={"POSTGRES_PASSWORD": "word"})
    names = "psql -h 127.0.0.1 -U postgres -Atc 'SELECT name FROM ran ORDER BY step'"
    assert server.answers(names).split() == ["sql", "gz", "xz", "sh"]
    server.container.restart(timeout=30)
    assert server.answers(names).split() == ["sql", "gz", "xz", "sh"]


@pytest.mark.parametrize(("name", "content"), [("1.sql", b"SELECT 1/0;"), ("1.sh", b"false\n")])
def test_a_failing_init_script_ends_postgres(run: Run, tar: Tar, name: str, content: bytes) -> None:
    """It does not serve what is half made."""
    archive = tar({f"docker-entrypoint-initdb.d/{name}": content})
    code, said = run("postgres", archive=archive, environment={"POSTGRES_PASSWORD": "word"}).ended()
    assert code != 0
    assert "ready for start up" not in said
