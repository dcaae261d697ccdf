"""PostgreSQL's first start: a server that only initialises answers inside the container, and is not the real one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

if TYPE_CHECKING:
    from tests.scenarios.scene import Scene

OVERRIDE = "services: {postgres: {volumes: ['./init:/docker-entrypoint-initdb.d:ro']}}\n"
LONG = "until [ -e /tmp/go ]; do sleep 0.05; done\n"


def test_up_is_not_ready_while_the_init_server_runs(scene: Scene) -> None:
    """A long init script of the user's: what answers on the socket is nothing to the host, until it is done."""
    (scene.folder / "init").mkdir()
    (scene.folder / "init" / "1-long.sh").write_text(LONG)
    (scene.folder / "init" / "2-table.sql").write_text(
        "CREATE TABLE made AS SELECT 42 AS n; GRANT ALL ON made TO public"
    )
    file = scene.folder / "mine.yaml"
    file.write_text(OVERRIDE)

    scene.step("`up` gives the init server some seconds in which a false probe would be content")
    up = ("up", "--json", "--file", str(file), "--service", "postgres", "--timeout", "6", "--keep-on-failure")
    *events, result = scene.envctl(*up, exits=1).events
    assert "service.ready" not in {event["event"] for event in events}
    assert [one["service"] for one in result["unmet"]] == ["postgres"]

    scene.step("inside, the init server answers; from here nobody does")
    container = scene.containers()["postgres"]

    def init_server_answers() -> None:
        asked = container.exec_run(["psql", "-U", "envctl", "-d", "app", "-Atqc", "select 1"])
        assert asked.output.strip() == b"1"

    scene.eventually(init_server_answers)
    variables = scene.envctl("env", "--format", "json").document
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(variables["DATABASE_URL"], connect_timeout=5)
    assert scene.envctl("wait", "--timeout", "1", "--json", exits=1).events[-1]["unmet"]

    scene.step("the init script ends")
    container.exec_run(["touch", "/tmp/go"])  # noqa: S108 - in the container
    scene.envctl("wait")
    with psycopg.connect(variables["DATABASE_URL"]) as db:
        assert db.execute("SELECT n FROM made").fetchone() == (42,)
    scene.envctl("down")
    scene.is_gone()
