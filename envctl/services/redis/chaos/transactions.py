"""Killing Redis in the middle of a transaction (MULTI … EXEC), at a moment that is chosen exactly."""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.errors import FaultError, VictimNeverCame
from envctl.model import State
from envctl.protocols import NotReady
from envctl.services.redis.chaos.conversation import Conversation, Refusal, text
from envctl.services.wire import admin_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from envctl.reports import Verdict
    from envctl.services.redis.chaos.aftermath import Scene
    from envctl.services.redis.chaos.clients import Client
    from envctl.site import Site

JSON = dict[str, Any]


class RedisTransactions:
    """What `kill-mid-transaction` needs of Redis.

    The gate is `CLIENT PAUSE … WRITE`, renewed and lifted many times a second, so that a transaction which one packet
    brings whole (as client libraries send it) is seen too, before its first write. While it waits for its victim every
    write waits for a millisecond or two. The gate opens by itself when envctl dies: after 1 s, or after 15 s where a
    victim stood in it.

    Exact: that EXEC was not executed (`queued`), that it was and nothing of its answer left the server (`in-doubt`).
    Not exact: `after_statements` counts a client that sends its commands one by one, and may find one or two more than
    asked for; beside clients that write all the time a transaction may slip through the gate, and the next is taken;
    `after-exec` kills some ms after the answer was sent, and cannot know whether the client has read it.
    """

    moments: Mapping[str, str] = MappingProxyType(
        {
            "queued": "its commands have reached the server, EXEC is not executed",
            "after-exec": "EXEC is executed and answered: what an acknowledged write is worth",
            "in-doubt": "EXEC is executed, and its answer does not leave the server",
        }
    )
    means: Mapping[str, str] = MappingProxyType(
        {
            "server": "SIGKILL of the server",
            "shutdown-nosave": "SHUTDOWN NOSAVE: no snapshot, the append-only file is flushed",
            "shutdown": "SHUTDOWN SAVE, the control: it must lose nothing that was executed",
            "connection": "only the victim's connection is cut",
        }
    )

    def aim_problems(self, aim: Mapping[str, Any]) -> list[str]:
        """What Redis has no word for."""
        found = []
        if aim["where"]:
            found.append(f"--where: Redis has no conditions on keys, found {aim['where']!r}")
        if aim["operation"] != "any":
            found.append(f"--operation: a queue does not tell its commands, found {aim['operation']!r}")
        if aim["after_rows"] and aim["after_statements"]:
            found.append("--after-rows: both count commands in the queue; give one, found --after-statements, too")
        elif (aim["after_rows"] or aim["after_statements"]) and aim["at"] not in ("", "queued"):
            counted = "--after-rows" if aim["after_rows"] else "--after-statements"
            found.append(f"{counted}: only with --at queued, found --at {aim['at']}")
        return found

    def survey(self, site: Site, aim: Mapping[str, Any]) -> JSON:
        """A mark of our own, and how the server keeps its data."""
        from envctl.services.redis.chaos.aftermath import persistence, run_of

        del aim
        with Conversation(site.at, admin_of(site.at)) as server:
            policy = {name: persistence(server)[name] for name in ("appendonly", "appendfsync", "save")}
            return {"mark": f"envctl-{secrets.token_hex(6)}", "run": run_of(server), "policy": policy}

    def arm(self, site: Site, aim: Mapping[str, Any], survey: JSON) -> None:
        """Open the gatekeeper's connection, by whose name any process can end the watch."""
        from envctl.services.redis.chaos import silence

        if aim["at"] == "in-doubt":
            silence.possible(site)
        gate = Conversation(site.at, admin_of(site.at))
        site.kept["gate"] = gate
        gate.ask("CLIENT", "SETNAME", survey["mark"])

    def check_armed(self, site: Site, aim: Mapping[str, Any], survey: JSON) -> JSON:
        """The gatekeeper is there."""
        from envctl.services.redis.chaos.clients import listed

        del aim
        if not any(client.name == survey["mark"] for client in listed(site.kept["gate"])):
            raise NotReady("the gatekeeper's connection is gone")
        return {"gate": survey["mark"], **survey["policy"]}

    def strike(self, site: Site, aim: Mapping[str, Any], survey: JSON, stop: threading.Event) -> Verdict:
        """Wait for the victim in the gate, kill, start again, and compare."""
        from envctl.services.redis.chaos import aftermath

        gate: Conversation = site.kept["gate"]
        try:
            scene = _scene(site, gate, aim, survey, stop)
            while scene is None:
                scene = _scene(site, gate, aim, survey, stop)
            since = time.time()
            _kill(site, gate, aim, survey, scene)
        except NotReady as reason:
            wanted = "a transaction in the gate"
            advice = "see `envctl logs redis`; a longer --for waits longer"
            raise VictimNeverCame(wanted, f"the gate was lost: {reason}", advice) from reason
        took = _again(site, aim, stop)
        return aftermath.verdict(site, scene, aim["means"], took, since)

    def disarm(self, site: Site, aim: Mapping[str, Any], survey: JSON) -> None:
        """Send the gatekeeper away, remove its rules, start the server if it is down, with the settings that it had."""
        from envctl.services.redis.chaos import aftermath, silence
        from envctl.services.redis.chaos.clients import listed, release

        if (gate := site.kept.pop("gate", None)) is not None:
            gate.close()
        if site.now().state is not State.RUNNING:
            site.hands.start(site.container.id)
        with Conversation(site.at, admin_of(site.at)) as server:
            for client in listed(server):
                if client.name == survey["mark"]:
                    server.ask_all([["CLIENT", "KILL", "ID", client.id]])
                    release(server)
            for name in aftermath.forgotten(server, survey):
                server.ask("CONFIG", "SET", name, survey["policy"][name])
        if aim["at"] == "in-doubt":
            silence.let_go(site, survey["mark"])

    def check_disarmed(self, site: Site, aim: Mapping[str, Any], survey: JSON) -> JSON:
        """No gatekeeper, no rule, and the server keeps its data as before."""
        from envctl.services.redis.chaos import aftermath, silence
        from envctl.services.redis.chaos.clients import listed

        with Conversation(site.at, admin_of(site.at)) as server:
            if any(client.name == survey["mark"] for client in listed(server)):
                raise NotReady("the gatekeeper's connection is still there")
            forgotten = aftermath.forgotten(server, survey)
        if aim["at"] == "in-doubt" and (left := silence.rules(site, survey["mark"])):
            raise NotReady(f"{left} rules against answers are still there")
        if forgotten:
            raise NotReady(f"the server has forgotten its {', '.join(forgotten)}")
        return {"gate": "removed", **survey["policy"]}


def _scene(site: Site, gate: Conversation, aim: Mapping[str, Any], survey: JSON, stop: threading.Event) -> Scene | None:
    """A victim in the moment that is aimed at, the gate closed behind it; None when it got away.

    Raises:
        VictimNeverCame: `stop` was set before one came.

    """
    from envctl.services.redis.chaos import clients, silence

    own = admin_of(site.at).username
    found = clients.caught(gate, aim, own, stop)
    if stop.is_set() or not found:
        clients.opened(gate)
        raise VictimNeverCame(
            f"a transaction {_described(aim)}", "none came before the time was over", "a longer --for waits longer"
        )
    victim, silent = found[0], aim["at"] == "in-doubt"
    clients.held(gate, clients.LONG_HOLD)
    if silent:
        silence.keep_back(site, victim, survey["mark"])
    scene = _executed(site, gate, aim, victim, stop) if aim["at"] != "queued" else _queued(gate, aim, victim, own)
    if scene is None and silent:
        silence.let_go(site, survey["mark"])
    if scene is not None and silent:
        scene.facts["unacknowledged_bytes"] = kept = silence.unacknowledged(site, victim)
        if not kept:
            # Its answer went out together with an earlier one: it knows, and the next one is waited for.
            silence.let_go(site, survey["mark"])
            return None
    return scene


def _queued(gate: Conversation, aim: Mapping[str, Any], victim: Client, own: str) -> Scene | None:
    """Look at all that is there, and then once more at the victim: it must be where it was."""
    from envctl.services.redis.chaos import picture
    from envctl.services.redis.chaos.aftermath import Scene, persistence
    from envctl.services.redis.chaos.clients import LONG_HOLD, by_id, fits, held

    whole = picture.of_all(gate, aim["table"])
    facts = {"persistence": persistence(gate)}
    last = held(gate, LONG_HOLD)
    now = by_id(last, victim)
    if now is None or not fits(now, aim, own):
        return None
    others = [client for client in last if client.queued >= 0 and client.id != victim.id and client.user != own]
    return Scene("queued", now, others, now.queued, whole=whole, facts=facts)


def _executed(
    site: Site, gate: Conversation, aim: Mapping[str, Any], victim: Client, stop: threading.Event
) -> Scene | None:
    """Let the victim execute, close the gate behind it, and look at what it wrote."""
    from envctl.services.redis.chaos import picture
    from envctl.services.redis.chaos.aftermath import Scene, persistence
    from envctl.services.redis.chaos.clients import LONG_HOLD, held
    from envctl.services.redis.chaos.execution import watched

    found = watched(site, gate, victim, stop)
    if found is None:
        return None
    clients = held(gate, LONG_HOLD)
    database, commands = found
    keys = picture.keys_of(gate, database, commands)
    if aim["table"] and not any(fnmatchcase(text(key), aim["table"]) for _, key in keys):
        return None
    whole = picture.of_all(gate, aim["table"])
    own = admin_of(site.at).username
    others = [client for client in clients if client.queued >= 0 and client.id != victim.id and client.user != own]
    keys = picture.lasting(gate, keys)
    written = picture.of(gate, keys)
    facts = {"persistence": persistence(gate)}
    return Scene(aim["at"], victim, others, len(commands), tuple(keys), written, whole, facts)


def _kill(site: Site, gate: Conversation, aim: Mapping[str, Any], survey: JSON, scene: Scene) -> None:
    from envctl.services.redis.chaos import silence

    means = aim["means"]
    if means == "server":
        site.hands.kill(site.container.id)
    elif means == "connection" and scene.at == "in-doubt":
        silence.cut(site, scene.victim)
        silence.let_go(site, survey["mark"])
    elif means == "connection":
        # Who has its answer may have hung up by itself: that is the refusal.
        with suppress(Refusal):
            gate.ask("CLIENT", "KILL", "ID", scene.victim.id)
    else:
        # Its answer is that it hangs up.
        with suppress(NotReady):
            gate.ask("SHUTDOWN", "SAVE" if means == "shutdown" else "NOSAVE", "NOW")


def _again(site: Site, aim: Mapping[str, Any], stop: threading.Event) -> int:
    """Have the service answer again; ms until it did."""
    from envctl.services.redis.chaos import aftermath
    from envctl.waiting import Deadline, TimedOut

    if aim["means"] != "connection":
        try:
            return aftermath.started(site, restart=aim["restart"], stop=stop)
        except TimedOut as error:
            advice = "healing starts it; what became of the transaction can be seen in the data alone"
            raise FaultError("redis started again, to look at its data", error.last, advice) from error
    clock = Deadline(0)
    site.ping()
    return round(clock.elapsed * 1000)


def _described(aim: Mapping[str, Any]) -> str:
    words = {"application": "of application", "role": "of user", "after_statements": "with commands queued:"}
    found = [f"{word} {aim[name]}" for name, word in words.items() if aim[name]]
    return ", ".join(found) or "of any client"
