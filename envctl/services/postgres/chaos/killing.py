"""The ways to kill a PostgreSQL, each as exact about who is hit as it can be, and the way back."""

from __future__ import annotations

import datetime as dt
import time
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.errors import EngineError
from envctl.model import State
from envctl.protocols import NotReady
from envctl.services.postgres.chaos.sessions import HOME, connect
from envctl.services.wire import admin_of, app_of
from envctl.waiting import TimedOut, until

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from envctl.services.postgres.chaos.freezing import Snapshot
    from envctl.services.postgres.chaos.sessions import Connection
    from envctl.site import Site

JSON = dict[str, Any]

POWER = "power"

MEANS: Mapping[str, str] = MappingProxyType(
    {
        "server": "SIGKILL to everything (docker kill), then start it again: recovery from its log",
        POWER: "the power fails: as server, and what was not forced to the disk is gone; it is restarted before and"
        " after, to have its data on a disk of its own meanwhile",
        "policy": "SIGKILL to the main process from outside, so that the container's restart policy brings it back",
        "backend": "SIGKILL to the victim's process alone: the server ends all sessions and recovers by itself",
        "terminate": "end the victim's session (pg_terminate_backend): nobody else notices",
        "immediate": "SIGQUIT to the main process: down at once without a checkpoint, then recovery at the start",
        "fast": "SIGINT to the main process: the orderly way down, the control that must not lose anything",
    }
)

FREEZING = frozenset({"server", POWER, "policy", "backend", "immediate"})
"""Means before which all sessions are stopped. The orderly ones need them running."""

CRASHING = FREEZING
"""Means after which the server recovers from its log."""

_DOWN = 90.0
_UP = 120.0
_BURST = 0.4

# A stopped process takes SIGKILL at once, but no other signal: the server would wait 5 s for it and then kill it. So it
# goes on when the server's own signal is pending, which is then the first that it takes. The digits are the bits of
# SIGQUIT and SIGTERM in the kernel's mask.
_SIGNAL = """
kill -{signal} {pid}
for turn in $(seq 300); do
  waiting=''
  for other in {others}; do
    status=$(cat /proc/$other/status 2>/dev/null)
    case $status in *'T (stopped)'*) ;; *) continue ;; esac
    pending=$(echo "$status" | sed -n 's/^ShdPnd:[[:space:]]*//p')
    case $pending in {pending}) ;; *) waiting=$other ;; esac
  done
  [ -z "$waiting" ] && break
  sleep 0.01
done
kill -CONT {others} 2>/dev/null
exit 0
"""
_PENDING = {"KILL": "*[4567cdef]", "QUIT": "*[4567cdef]", "INT": "*[4567cdef]???"}


def kill(site: Site, means: str, victim: int, snapshot: Snapshot, watcher: Connection, power: JSON) -> None:
    """Do it; returns when it has happened: the server or the session is gone. `power` is what `Power.look` saw."""
    container, main = site.container.id, site.now().started_at
    if means == "terminate":
        _terminate(victim, snapshot, watcher)
        return
    if means == "server":
        site.hands.kill(container)
    elif means == POWER:
        site.power.switch_off(power)
    elif means == "policy":
        pid = site.hands.pid(container)
        done = site.hands.operate(site.environment, ["sh", "-c", f"kill -KILL {pid}"])
        if done.exit_code:
            raise NotReady(f"the main process could not be killed: {done.output.strip()}")
    else:
        _signal(site, means, victim, snapshot)
    if means == "backend":
        until(lambda: _ended(watcher), _DOWN, "the server's reset")
    else:
        until(lambda: _left(site, main), _DOWN, "the server's end")


def death(site: Site, clock: float) -> float:
    """Seconds from `clock`, a time of the monotonic clock, to the end of the processes, by the engine's own record: it
    tells of it seconds later where it is busy. Where they have not ended, to now.
    """
    ended, engine = site.now(), dt.datetime.fromisoformat(str(site.engine.info()["SystemTime"]))
    took = time.monotonic() - clock
    if ended.state is State.RUNNING:
        return took
    return took - (engine - dt.datetime.fromisoformat(ended.finished_at)).total_seconds()


def _signal(site: Site, means: str, victim: int, snapshot: Snapshot) -> None:
    signal = {"backend": "KILL", "immediate": "QUIT", "fast": "INT"}[means]
    pid = victim if means == "backend" else snapshot.main
    others = " ".join(str(one) for one in snapshot.frozen if one != pid)
    script = _SIGNAL.format(signal=signal, pid=pid, others=others, pending=_PENDING[signal])
    # The container may end before the shell in it has.
    with suppress(NotReady, EngineError):
        site.hands.execute(site.container.id, ["sh", "-c", script])


def _terminate(victim: int, snapshot: Snapshot, watcher: Connection) -> None:
    from envctl.services.postgres.chaos.freezing import thaw

    watcher.execute("SELECT pg_catalog.pg_terminate_backend(%s)", [victim])
    thaw(watcher, snapshot.frozen)

    def gone() -> None:
        if watcher.execute("SELECT FROM pg_catalog.pg_stat_get_activity(NULL) a WHERE a.pid = %s", [victim]).fetchall():
            raise NotReady(f"process {victim} is still there")

    until(gone, _DOWN, "the end of the victim's session")


def _ended(watcher: Connection) -> None:
    import psycopg

    try:
        watcher.execute("SELECT 1")
    except psycopg.OperationalError:
        return
    raise NotReady("the server has not noticed yet")


def _left(site: Site, started_at: str) -> None:
    now = site.now()
    if now.state is State.RUNNING and now.started_at == started_at:
        raise NotReady("its container still runs")


def bring_back(site: Site, means: str, stop: threading.Event, *, restart: bool) -> None:
    """Have it run; where it is to stay down, when `stop` is set or somebody else has started it."""
    if means in {"terminate", "backend"}:
        return
    if not restart:
        with suppress(TimedOut):
            until(site.running, float("inf"), "healing", stop)
    if means == "policy":
        until(site.running, _UP, "its container, started by its policy")
    else:
        until(site.bring_up, _UP, "its container, started again")


def answered(site: Site) -> None:
    """Wait for the first `SELECT 1` of the tests' own identity; of envctl's where that one is refused.

    Raises:
        TimedOut: it never came.

    """
    until(lambda: _burst(site), _UP, "an answer")


def _burst(site: Site) -> None:
    """Ask often: pauses begin anew with each burst."""
    try:
        until(lambda: _ask(site), _BURST, "an answer")
    except TimedOut as error:
        raise NotReady(error.last) from error


def _ask(site: Site) -> None:
    from envctl.services.postgres.session import Session

    try:
        with Session(site.at, app_of(site.at), HOME, 2.0) as session:
            session.query("SELECT 1")
    except NotReady as reason:
        if "(28" not in str(reason):  # SQLSTATE class: it may not log in, by another fault perhaps
            raise
        with Session(site.at, admin_of(site.at), HOME, 2.0) as session:
            session.query("SELECT 1")


def reconnect(site: Site, database: str) -> Connection:
    """A session after recovery; waits for one where many clients come back at once."""
    return until(lambda: connect(site, database), _UP, "a session of envctl's")
