"""PostgreSQL whose power fails in the middle of a transaction: what was forced to its disk is there, and no more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

import envctl
from envctl.chaos.ward import Ward
from envctl.engine import hands
from envctl.engine.sidecars import SURGEON, Sidecar
from envctl.errors import ConfigurationError, FaultUnfit, VictimNeverCame
from envctl.services.postgres.chaos.sessions import connect

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from envctl.environment import Environment
    from envctl.site import Site

    Elsewhere = Callable[[str], AbstractContextManager[subprocess.Popen[str]]]
    Eventually = Callable[[Callable[[], object]], None]

SERVICES = ["postgres"]
LASTS = "300s"
FILE = "/var/lib/postgresql/data/written-and-not-forced"


@pytest.fixture(autouse=True)
def table(env: Environment) -> Iterator[None]:
    """An empty table; afterwards the data lies where it did, and nothing of a disk is left."""
    env.wait_recovered("postgres", timeout=120)
    with env.postgres.connect(autocommit=True) as db:
        db.execute("DROP TABLE IF EXISTS orders; CREATE TABLE orders (id integer)")
    yield
    env.wait_recovered("postgres", timeout=120)
    site, volume = site_of(env), volume_of(env)
    assert [path.name for path in volume.parent.iterdir()] == ["_data"]
    assert site.hands.inspect(site.container.id)["HostConfig"]["RestartPolicy"]["Name"] == "no"
    assert loops(env.name) == []


def site_of(env: Environment) -> Site:
    """The server as faults see it now."""
    return Ward(env.name).site("postgres")


def volume_of(env: Environment) -> Path:
    """Where its data lies on the engine's machine."""
    site = site_of(env)
    [mount] = [one for one in site.hands.inspect(site.container.id)["Mounts"] if one["Type"] == "volume"]
    return Path(mount["Source"])


def loops(environment: str) -> list[str]:
    """Its disks that the kernel knows."""
    found = [path.read_text() for path in Path("/sys/block").glob("loop*/loop/backing_file")]
    return [text for text in found if f"/envctl-{environment}_" in text]


def write(env: Environment, rows: int = 1, application: str = "victim") -> None:
    """Orders in one transaction."""
    with env.postgres.connect(application_name=application) as db:
        for _ in range(rows):
            db.execute("INSERT INTO orders VALUES (1)")


def orders(env: Environment) -> int:
    """How many are there."""
    with env.postgres.connect() as db:
        [[count]] = db.execute("SELECT count(*) FROM orders").fetchall()
        return int(count)


@pytest.mark.parametrize(("means", "kept"), [("power", False), ("server", True)])
def test_what_was_not_forced_to_the_disk_is_gone(env: Environment, means: str, kept: bool) -> None:
    """A file that the server wrote and did not force, though it said that it was done; and no commit. A SIGKILL loses
    nothing that was written.
    """
    with env.chaos.kill_mid_transaction(
        "postgres", table="orders", application="victim", after_rows=3, means=means, duration=LASTS
    ) as kill:
        write(env, 5, "before")
        with connect(site_of(env)) as db:
            db.execute(f"COPY (SELECT 1) TO '{FILE}'".encode())
        with pytest.raises(psycopg.OperationalError):
            write(env, 5)
        verdict = kill.verdict
        assert verdict.clean, str(verdict)
        assert [one.victim for one in verdict.rolled_back] == [True]
        assert verdict.facts.get("disk") == (None if kept else {"forced": True, "forgotten": True})
    assert orders(env) == 5
    with connect(site_of(env)) as db:
        # Its name may be there: the file system forces names along with what others force.
        found = db.execute("SELECT coalesce(size, 0) FROM pg_stat_file(%s, true)", [FILE]).fetchall()
        assert found == [(2 if kept else 0,)]
        db.execute(f"COPY (SELECT 1) TO PROGRAM 'rm -f {FILE}'".encode())


def test_a_commit_that_was_durable_and_not_answered_is_there(env: Environment) -> None:
    """In doubt for its client; on the disk all the same."""
    with env.chaos.kill_mid_transaction(
        "postgres", table="orders", at="in-doubt", means="power", duration=LASTS
    ) as kill:
        with pytest.raises(psycopg.OperationalError):
            write(env, 3)
        assert [one.victim for one in kill.verdict.in_doubt] == [True]
        assert kill.verdict.problems == ()
    assert orders(env) == 3


def test_without_a_victim_nothing_is_lost(env: Environment) -> None:
    """Its data goes back in order; the power has not failed."""
    aim = {"application": "nobody", "means": "power", "duration": LASTS}
    with pytest.raises(VictimNeverCame), env.chaos.kill_mid_transaction("postgres", **aim):
        write(env, 4)
    assert orders(env) == 4


@pytest.mark.parametrize("when", ["waits", "down"])
def test_an_injector_that_is_killed_leaves_the_data_and_nothing_else(
    env: Environment, injected: Elsewhere, eventually: Eventually, when: str
) -> None:
    """While it waits for a victim, and when the power has failed and it was about to bring it back."""
    stuck = ""
    arm = "env.chaos.kill_mid_transaction('postgres', table='orders', application='victim', means='power',"
    if when == "down":
        # What starts it for the first time is the true one.
        stuck = "from envctl.engine.power import Power; import time; first = Power.switch_on\n"
        stuck += "def once(power, seen):\n    Power.switch_on = lambda *_: time.sleep(600)\n"
        stuck += "    return first(power, seen)\nPower.switch_on = once\n"
    with injected(f"{stuck}{arm} duration='1h').__enter__()") as other:
        write(env, 2, "before")
        if when == "down":
            with pytest.raises(psycopg.OperationalError):
                write(env, 2)
        other.kill()
        eventually(lambda: _assert(env.chaos.status() == []))
    env.wait_recovered("postgres", timeout=120)
    assert orders(env) == 2


def test_a_down_with_the_disk_in_use_leaves_nothing(eventually: Eventually, request: pytest.FixtureRequest) -> None:
    """The disk lies in the volume's own folder, and is mounted nowhere but in the container."""
    name = f"{request.getfixturevalue('env').name}-power"
    with envctl.up(name=name, services=["postgres"], ports="auto") as env:
        env.chaos.kill_mid_transaction("postgres", application="nobody", means="power", duration=LASTS)
        volume = volume_of(env)
        assert len(list(volume.parent.iterdir())) == 2
    assert not volume.parent.exists()
    eventually(lambda: _assert(loops(name) == []))


def test_what_cannot_be_is_refused_before_anything_is_done(env: Environment, eventually: Eventually) -> None:
    """A server that would not survive it, and one that only envctl could start again."""
    started = site_of(env).container.started_at
    with pytest.raises(ConfigurationError, match="--restart no: wanted without it"):
        env.chaos.kill_mid_transaction("postgres", means="power", restart=False)
    with connect(site_of(env)) as db:
        try:
            db.execute("ALTER SYSTEM SET fsync = off")
            db.execute("SELECT pg_reload_conf()")
            eventually(lambda: _assert(forces(env) == "off"))
            with pytest.raises(FaultUnfit, match="fsync is off"):
                env.chaos.kill_mid_transaction("postgres", means="power", duration="1s")
        finally:
            db.execute("ALTER SYSTEM RESET fsync")
            db.execute("SELECT pg_reload_conf()")
            eventually(lambda: _assert(forces(env) == "on"))
    assert site_of(env).container.started_at == started


def test_an_engine_that_can_make_no_disks_is_told_before_anything_is_done(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so is data that lies in no volume."""
    started = site_of(env).container.started_at
    with pytest.raises(FaultUnfit, match="is in the container itself"):
        site_of(env).power.look("/etc/ssl")
    monkeypatch.setattr(hands, "MECHANIC", Sidecar("clumsy", SURGEON.options))
    with pytest.raises(FaultUnfit, match="loop-control"):
        site_of(env).power.look("/var/lib/postgresql/data")
    assert site_of(env).container.started_at == started


def test_what_a_helper_left_that_was_killed_at_work_is_let_go(env: Environment) -> None:
    """A loop device, and a mount: with them nobody could have the disk any more."""
    site = site_of(env)
    seen = site.power.look("/var/lib/postgresql/data")
    [disk] = seen["disks"]
    site.hands.mend(env.name, "power.make", volume=disk["volume"], image=disk["image"])
    # Where the engine's files are seen, the helper's own parent knows.
    script = "for n in $(seq 0 31); do [ -e /dev/loop$n ] || mknod /dev/loop$n b 7 $n; done;"
    script += " for d in /proc/[0-9]*; do [ -e $d/root$0 ] && f=$d/root$0 && break; done; mkdir /run/envctl-disk-1;"
    script += " n=$(losetup --find --show $f) && mount $n /run/envctl-disk-1"
    done = site.hands.execute(f"envctl-{env.name}-mechanic", ["sh", "-c", script, disk["image"]])
    assert done.exit_code == 0, done.output
    assert loops(env.name) != []
    site.power.move_out(seen)
    site.bring_up()
    env.wait_recovered("postgres", timeout=120)


def forces(env: Environment) -> str:
    """What the server says to a new session of whether it forces its writes to the disk."""
    with env.postgres.connect() as db:
        [[setting]] = db.execute("SHOW fsync").fetchall()
        return str(setting)


def _assert(condition: bool) -> None:
    assert condition
