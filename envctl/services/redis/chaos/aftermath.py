"""What a kill did to Redis: started again, looked at, and told."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.model import State
from envctl.protocols import NotReady
from envctl.reports import Fate, Transaction, Verdict
from envctl.services.redis.chaos import picture
from envctl.services.redis.chaos.clients import LONG_HOLD, held, opened
from envctl.services.redis.chaos.conversation import Conversation, text
from envctl.services.redis.chaos.since import written
from envctl.services.wire import admin_of
from envctl.waiting import Deadline, until

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from envctl.services.redis.chaos.clients import Client
    from envctl.services.redis.chaos.picture import Key, Picture
    from envctl.site import Site

_PATIENCE = 100.0
"""Seconds until a server that was started must answer: less than healing has."""

WORTH = MappingProxyType(
    {
        "always": "on the disk before the answer; a power failure was not tested",
        "everysec": "with the kernel before the answer, on the disk a second later: a killed server keeps it, "
        "a power failure may not (not tested)",
        "no": "with the kernel before the answer: a killed server keeps it, a power failure need not (not tested)",
        "off": "in memory until the next snapshot: a killed server loses it",
    }
)
"""What an acknowledged write is worth, by `appendfsync`; `off` without an append-only file."""

_STATE = (
    "aof_enabled",
    "aof_last_write_status",
    "aof_buffer_length",
    "aof_pending_bio_fsync",
    "aof_delayed_fsync",
    "aof_current_size",
    "rdb_last_bgsave_status",
    "rdb_changes_since_last_save",
)


@dataclass
class Scene:
    """What was seen in the moment of the kill, with the gate closed. `whole` holds everything that was compared."""

    at: str
    victim: Client
    others: Sequence[Client]
    commands: int
    keys: tuple[Key, ...] = ()
    written: Picture = field(default_factory=dict)
    whole: Picture | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def persistence(server: Conversation) -> dict[str, Any]:
    """How the server keeps what it acknowledges, and how that is going."""
    policy = {name: text(server.ask("CONFIG", "GET", name)[1]) for name in ("appendonly", "appendfsync", "save")}
    lines = dict(line.partition(":")[::2] for line in text(server.ask("INFO", "persistence")).splitlines())
    return policy | {name: lines[name] for name in _STATE if name in lines}


def run_of(server: Conversation) -> str:
    """The server's name of this start of its own."""
    lines = text(server.ask("INFO", "server")).splitlines()
    return next(line.partition(":")[2] for line in lines if line.startswith("run_id:"))


def forgotten(server: Conversation, survey: dict[str, Any]) -> list[str]:
    """Settings that the server had at run time, and lost because it was started anew."""
    now = persistence(server) if run_of(server) != survey["run"] else survey["policy"]
    return [name for name, value in survey["policy"].items() if now[name] != value]


def started(site: Site, *, restart: bool, stop: threading.Event) -> int:
    """Wait until the server is down, start it (or wait until somebody does), and until it answers; ms of all that.

    Raises:
        TimedOut: it was not started again, or does not answer.

    """
    clock = Deadline(0)
    until(lambda: _down(site), _PATIENCE, "redis is down")
    if restart:
        site.hands.start(site.container.id)
    until(lambda: _answers(site), _PATIENCE, "redis answers again", None if restart else stop)
    return round(clock.elapsed * 1000)


def verdict(site: Site, scene: Scene, means: str, recovery_ms: int, since: float) -> Verdict:
    """What of the transaction is there, what of all that was acknowledged, and the server's own words on its start.

    The gate is closed meanwhile. What others wrote before that is left out, for it tells nothing any more.
    """
    with Conversation(site.at, admin_of(site.at)) as server:
        try:
            held(server, LONG_HOLD)
            now = persistence(server)
            there = picture.of(server, [*scene.keys, *(scene.whole or ())])
            again = _written_again(site, server, scene, there) if means != "connection" else set()
        finally:
            opened(server)
    before = {**(scene.whole or {}), **scene.written}
    gone = [key for key in picture.differing(before, there) if key not in again]
    told = [key for key in scene.keys if key not in again]
    missing, lost = [key for key in gone if key in told], [key for key in gone if key not in scene.keys]
    problems = _problems(scene, told, missing, lost)
    log = [line.text for line in site.engine.logs(site.container, since=since)]
    facts = {**_facts(scene, now), "written_again_before_the_look": len(again & set(before)), **_loading(log)}
    others = (_other(one) for one in scene.others if means != "connection")
    fate = _fate(scene, rolled_back=bool(missing) and len(missing) == len(told))
    return Verdict("redis", means, (_victim(scene, fate), *others), recovery_ms, tuple(problems), facts)


def _written_again(site: Site, server: Conversation, scene: Scene, there: Picture) -> set[Key]:
    """Keys that others wrote since the start; where that cannot be told, those that are another and still there."""
    size = scene.facts["persistence"].get("aof_current_size")
    found = written(site, server, int(size)) if size else None
    if found is None:
        before = {**(scene.whole or {}), **scene.written}
        return {key for key in picture.differing(before, there) if there[key] != picture.ABSENT}
    return found


def _problems(scene: Scene, told: Sequence[Key], missing: Sequence[Key], lost: Sequence[Key]) -> list[str]:
    found = []
    if scene.keys and not told:
        found.append("others wrote all keys of the transaction before they could be looked at: its fate was not seen")
    if missing and len(missing) < len(told):
        found.append(f"a part of the transaction is missing: {_few(missing)}")
    elif missing and scene.at == "after-exec":
        found.append(f"the transaction was acknowledged, and is lost: {_few(missing)}")
    if lost:
        found.append(f"{len(lost)} keys are not what they were, whose writes were acknowledged: {_few(lost)}")
    return found


def _down(site: Site) -> None:
    if site.now().state is State.RUNNING:
        raise NotReady("it still runs")


def _answers(site: Site) -> None:
    site.running()
    site.ping()


def _fate(scene: Scene, *, rolled_back: bool) -> Fate:
    """In the queue it was never executed; else its keys tell, all of them or none."""
    if scene.at == "queued" or rolled_back:
        return Fate.ROLLED_BACK
    return Fate.IN_DOUBT if scene.at == "in-doubt" else Fate.COMMITTED


def _victim(scene: Scene, fate: Fate) -> Transaction:
    doing = {
        "queued": f"{scene.victim.queued} commands queued, {scene.victim.last} waiting, EXEC not executed",
        "after-exec": f"EXEC of {scene.commands} commands executed and answered",
        "in-doubt": f"EXEC of {scene.commands} commands executed, the answer kept back",
    }[scene.at]
    facts = {"queued": scene.victim.queued, "unread_bytes": scene.victim.unread, "keys": picture.names(scene.keys)}
    return Transaction(str(scene.victim), f"client {scene.victim.id}", doing, fate, victim=True, facts=facts)


def _other(client: Client) -> Transaction:
    doing = f"{client.queued} commands queued, EXEC not executed"
    return Transaction(str(client), f"client {client.id}", doing, Fate.ROLLED_BACK, facts={"queued": client.queued})


def _facts(scene: Scene, now: dict[str, Any]) -> dict[str, Any]:
    at_kill = scene.facts["persistence"]
    policy = at_kill["appendfsync"] if at_kill["appendonly"] == "yes" else "off"
    compared = "more keys than are compared: name some with --table" if scene.whole is None else len(scene.whole)
    return {
        **{name: at_kill[name] for name in ("appendonly", "appendfsync")},
        "an_acknowledged_write": WORTH.get(policy, policy),
        "keys_compared": compared,
        **{name: value for name, value in scene.facts.items() if name != "persistence"},
        "at_the_kill": {name: at_kill[name] for name in _STATE if name in at_kill},
        "aof_last_write_status": now.get("aof_last_write_status", ""),
    }


def _loading(log: Sequence[str]) -> dict[str, Any]:
    """What the server said while it started: how long it loaded, and whether its file was cut off."""
    seconds = [float(found[1]) for line in log if (found := re.search(r"DB loaded from .*?: ([0-9.]+) seconds", line))]
    cut = [line.partition("* ")[2] or line for line in log if re.search("runcat|short read|Bad file format", line)]
    return {"loading_seconds": round(sum(seconds), 3), "truncated_tail": cut}


def _few(keys: Sequence[Key]) -> str:
    return ", ".join(picture.names(keys[:5])) + (" …" if len(keys) > 5 else "")  # noqa: PLR2004
