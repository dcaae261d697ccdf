"""`seed` and `up --seed` on real services: loaded once, gone on with, replaced, compared, refused."""

from __future__ import annotations

import json
import random
import signal
import time
from typing import TYPE_CHECKING

import psycopg
import pytest
import redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from typing import Any

    from tests.scenarios.program import Said
    from tests.scenarios.scene import Scene

SEED = 20261121
"""Decides the moments of kills; change it to try others."""

KILLS = 5
SMALL = ("small", "--scale", "0.2")
OWN = """
description: A dataset of a user's, with a function.
redis:
  commands: [mine.redis]
python: [fixtures.py:load]
"""
FUNCTION = """
def load(env):
    client = env.redis.client()
    client.set("by-function", client.get("mine"))
"""
BROKEN = """
description: A dataset with problems.
generate:
  people: {rows: 3, columns: {id: row + , name: nobody}}
redis:
  keys: [{from: peopel, key: id, string: id}]
"""


@pytest.fixture(scope="module")
def core(new_scene: Callable[[], AbstractContextManager[Scene]]) -> Iterator[Scene]:
    """PostgreSQL and Redis, for all tests that load into them; each loads what it looks at."""
    with new_scene() as scene:
        scene.envctl("up", "--profile", "core")
        yield scene


@pytest.fixture(scope="module")
def full(new_scene: Callable[[], AbstractContextManager[Scene]]) -> Iterator[tuple[Scene, Said]]:
    """All services, brought up with a dataset, and what that `up` said."""
    with new_scene() as scene:
        yield scene, scene.envctl("up", "--profile", "full", "--seed", *SMALL, "--json")


@pytest.fixture
def own(core: Scene) -> str:
    """A dataset of the user's own in the project's folder."""
    folder = core.folder / "seeds"
    folder.mkdir(exist_ok=True)
    (folder / "mine.yaml").write_text(OWN)
    (folder / "mine.redis").write_text("SET mine 1\n")
    (folder / "fixtures.py").write_text(FUNCTION)
    return "mine"


def outcomes(said: Said) -> dict[str, str]:
    """How each service's load went."""
    return {name: part["outcome"] for name, part in said.events[-1]["services"].items()}


def manifest(scene: Scene) -> Any:  # noqa: ANN401 - JSON
    """What the journal says of what was read back from the services."""
    pages = json.loads((scene.state / "envctl" / scene.name / "seed.json").read_text())
    return {service: page["manifest"] for service, page in pages.items()}


def client(scene: Scene) -> redis.Redis[bytes]:
    """A client as the tests' identity."""
    return redis.Redis.from_url(scene.envctl("env", "--format", "json").document["REDIS_URL"])


def test_up_loads_each_service_the_moment_it_is_ready(full: tuple[Scene, Said]) -> None:
    """Some are loaded before the last is ready; all of them have something at the end."""
    events = full[1].events
    loaded = {e["service"]: number for number, e in enumerate(events) if e["event"] == "seed.loaded"}
    ready = {e["service"]: number for number, e in enumerate(events) if e["event"] == "service.ready"}
    assert set(loaded) == {"postgres", "redis", "kafka", "minio", "spark-connect"}
    assert all(ready[service] < loaded[service] for service in loaded)
    assert min(loaded.values()) < max(ready.values())
    assert all(part["rows"] > 0 for part in events[-1]["seed"]["services"].values())


def test_a_second_up_with_the_same_dataset_does_no_work(full: tuple[Scene, Said]) -> None:
    """It says so, and imports nothing that generates."""
    scene = full[0]
    said = scene.envctl("up", "--profile", "full", "--seed", *SMALL, "--json")
    seeding = [event for event in said.events if event["event"].startswith("seed.")]
    assert [(event["event"], event["dataset"]) for event in seeding] == [("seed.skipped", "small")]
    assert (said.events[-1]["attached"], said.events[-1]["seed"]["services"]) == (True, {})
    code = f"import sys; from envctl.cli import main; main(['up', '--profile', 'full', '--seed', *{SMALL!r}, '-q']); "
    shown = scene.python(code + "print({'numpy', 'pyarrow'} & set(sys.modules))").finish()
    assert shown.out == "set()\n"


def test_status_names_the_dataset_and_verify_finds_it_equal(full: tuple[Scene, Said]) -> None:
    """Read back from all services."""
    scene = full[0]
    assert scene.envctl("status", "--json").document["dataset"] == "small at scale 0.2"
    said = scene.envctl("seed", "--verify", "--json")
    verified = {e["service"]: e["equal"] for e in said.events if e["event"] == "seed.verified"}
    assert verified == dict.fromkeys(("postgres", "redis", "kafka", "minio", "spark-connect"), True)


def test_the_app_finds_the_data(core: Scene) -> None:
    """With the connection data that `env` hands over; it may change what is there."""
    core.envctl("seed", *SMALL)
    variables = core.envctl("env", "--format", "json").document
    with psycopg.connect(variables["DATABASE_URL"]) as db:
        orders = db.execute("select count(*) from orders").fetchone()
        assert orders == (1000,)
        db.execute("update orders set id = id")
        db.rollback()
    assert client(core).dbsize() > 0


def test_a_second_seed_does_no_work_and_says_so(core: Scene) -> None:
    """Nor does it change anything."""
    core.envctl("seed", *SMALL)
    before = manifest(core)
    said = core.envctl("seed", *SMALL, "--json")
    assert outcomes(said) == {"postgres": "there", "redis": "there"}
    assert not [event for event in said.events if event["event"] in {"seed.progress", "seed.loaded"}]
    assert manifest(core) == before


def test_verify_names_the_first_difference_and_force_mends_it(core: Scene) -> None:
    """In each service that has one; the exit code is 1."""
    core.envctl("seed", *SMALL)
    variables = core.envctl("env", "--format", "json").document
    with psycopg.connect(variables["DATABASE_URL"]) as db:
        db.execute("update customers set city = 'Elsewhere' where id = 7")
    client(core).delete(next(client(core).scan_iter("product:*")))
    said = core.envctl("seed", "--verify", exits=1)
    assert "customers" in said.err
    assert "Elsewhere" in said.err
    assert "redis" in said.err
    assert "loaded already" not in core.envctl("seed", *SMALL, "--force").out
    core.envctl("seed", "--verify")


def test_another_dataset_replaces_the_first_and_says_so(core: Scene, own: str) -> None:
    """Only in the services that it fills; `verify` knows what is where."""
    core.envctl("seed", *SMALL)
    said = core.envctl("seed", own, "--json")
    replaced = {e["service"]: e["dataset"] for e in said.events if e["event"] == "seed.replaced"}
    assert replaced == {"redis": "small"}
    assert said.events[-1]["functions"] == ["fixtures.py:load"]
    assert client(core).get("by-function") == b"1"
    assert core.envctl("status", "--json").document["dataset"] == "small at scale 0.2 (postgres); mine (redis)"
    assert core.envctl("seed", *SMALL, "--verify", exits=1).err.count("holds dataset 'mine'") == 1
    assert outcomes(core.envctl("seed", *SMALL, "--json")) == {"postgres": "there", "redis": "replaced"}


def test_what_belongs_to_no_dataset_is_in_the_way_until_it_is_forced(core: Scene) -> None:
    """All of it is named before anything is loaded."""
    core.envctl("seed", *SMALL)
    variables = core.envctl("env", "--format", "json").document
    (core.folder / "own.sql").write_text("create table if not exists notes (id int primary key);\n")
    (core.folder / "notes.csv").write_text("id\n1\n")
    dataset = {"description": "d", "postgres": {"sql": "own.sql", "tables": {"notes": {"csv": "notes.csv"}}}}
    (core.folder / "notes.yaml").write_text(json.dumps(dataset))
    with psycopg.connect(variables["DATABASE_URL"]) as db:
        db.execute("create table notes (id int primary key)")
        db.execute("insert into notes values (99)")
    said = core.envctl("seed", "./notes.yaml", exits=1)
    assert "notes" in said.err
    with psycopg.connect(variables["DATABASE_URL"]) as db:
        assert db.execute("select id from notes").fetchall() == [(99,)]
        db.execute("drop table notes")
    core.envctl("seed", "./notes.yaml")
    with psycopg.connect(variables["DATABASE_URL"]) as db:
        assert db.execute("select id from notes").fetchall() == [(1,)]


@pytest.mark.parametrize("kill", range(KILLS))
def test_a_killed_seed_is_gone_on_with_and_ends_as_an_undisturbed_one(core: Scene, kill: int) -> None:
    """SIGKILL at any moment."""
    core.envctl("seed", *SMALL, "--force")
    whole = manifest(core)
    began = time.monotonic()
    core.envctl("seed", *SMALL, "--force")
    moment = (time.monotonic() - began) * random.Random(f"{SEED} {kill}").random()  # noqa: S311 - repeatable on purpose
    core.step(f"`seed` is killed after {moment:.2f} s")
    program = core.start("seed", *SMALL, "--force")
    program.lasts(moment)
    program.kill()
    core.envctl("seed", *SMALL)
    assert manifest(core) == whole
    core.envctl("seed", "--verify")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_with_130_and_the_next_seed_goes_on(core: Scene, number: int) -> None:
    """It says that nothing is lost."""
    core.envctl("seed", "small", "--scale", "0.01")
    program = core.start("seed", "small", "--scale", "20", "-v")
    core.hears(program, "%, ")
    program.signal(number)
    said = program.finish(exits=130)
    assert "again: it goes on" in said.err
    assert "half loaded" in core.envctl("status", "--json").document["dataset"]
    core.envctl("seed", *SMALL)
    core.envctl("seed", "--verify")


def test_a_service_that_dies_in_the_middle_is_named_and_the_next_seed_goes_on(core: Scene) -> None:
    """The others end, too."""
    core.envctl("seed", "small", "--scale", "0.01")
    program = core.start("seed", "small", "--scale", "20", "-v")
    core.hears(program, "%, ")
    core.containers()["postgres"].kill()
    assert "postgres" in program.finish(exits=1).err.lower()
    core.envctl("up", "--profile", "core", "--seed", *SMALL)
    core.envctl("seed", "--verify")


def test_down_ends_a_load(scene: Scene) -> None:
    """In a second shell, and nothing stays."""
    scene.envctl("up", "--service", "postgres")
    program = scene.start("seed", "small", "--scale", "20", "-v")
    scene.hears(program, "%, ")
    scene.envctl("down")
    program.finish(exits=130)
    scene.is_clean()


def test_an_unknown_or_broken_dataset_is_refused_before_anything_starts(scene: Scene) -> None:
    """With the nearest name, or all problems with file and line."""
    assert "did you mean 'small'" in scene.envctl("up", "--seed", "smal", exits=2).err
    (scene.folder / "broken.yaml").write_text(BROKEN)
    said = scene.envctl("up", "--seed", "./broken.yaml", exits=2)
    assert "broken.yaml:4" in said.err
    assert "broken.yaml:6" in said.err
    assert scene.containers() == {}
    scene.is_clean()


def test_an_up_whose_seed_fails_removes_what_it_made(scene: Scene) -> None:
    """Unless it shall stay for a look at it."""
    (scene.folder / "bad.redis").write_text("SET a 1\nNONSENSE\n")
    (scene.folder / "bad.yaml").write_text(json.dumps({"description": "d", "redis": {"commands": "bad.redis"}}))
    said = scene.envctl("up", "--service", "redis", "--seed", "./bad.yaml", exits=1)
    assert "bad.redis" in said.err
    scene.is_gone()
    scene.envctl("up", "--service", "redis", "--seed", "./bad.yaml", "--keep-on-failure", exits=1)
    assert [*scene.containers()] == ["redis"]
    (scene.folder / "bad.redis").write_text("SET a 1\n")
    scene.envctl("up", "--service", "redis", "--seed", "./bad.yaml")
    scene.envctl("seed", "--verify")


def test_an_up_that_is_killed_while_it_loads_is_gone_on_with(scene: Scene) -> None:
    """By the next `up`, to the same end. The larger dataset: the small one is loaded before anything is said of it."""
    up = ("up", "--service", "postgres", "--seed", "medium")
    program = scene.start(*up, "-v")
    scene.hears(program, "%, ")
    program.kill()
    scene.envctl(*up)
    scene.envctl("seed", "medium", "--verify")


def test_a_program_brings_up_seeds_and_leaves_nothing(scene: Scene) -> None:
    """In Python, with one call."""
    program = """
import envctl
with envctl.up(services=["redis"], seed="small", scale=0.1) as env:
    print(env.redis.client().dbsize() > 0, env.status().dataset)
    print(env.seed("small", scale=0.1).services["redis"].outcome, env.verify_seed().dataset)
"""
    assert scene.python(program).finish().out.splitlines() == ["True small at scale 0.1", "there small"]
    scene.is_gone()
