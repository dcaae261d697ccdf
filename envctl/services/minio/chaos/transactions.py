"""Killing MinIO in the middle of a multipart upload: the one thing in S3 that is begun, goes on, and is committed."""

from __future__ import annotations

import datetime as dt
import json
import re
import secrets
from contextlib import closing, suppress
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.engine.gates import inside, program
from envctl.errors import FaultUnfit, VictimNeverCame
from envctl.model import State
from envctl.protocols import NotReady
from envctl.waiting import Deadline, TimedOut, until

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from envctl.capabilities import JSON, KnowsAims, Transactional
    from envctl.engine.conversation import Conversation
    from envctl.reports import Verdict
    from envctl.services.minio.chaos.fates import Scene
    from envctl.site import Site

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PATIENCE, _LISTEN, _GRACE = 60.0, 0.2, 30.0


class MinioTransactions:
    """What `kill-mid-transaction` needs of MinIO: the victim is a multipart upload, its rows are parts.

    The gate is in the server's network namespace: the kernel holds the first packet of the request, or of the answer,
    that is aimed at; live connections and new ones, of the host and of other containers. Whatever else is said
    passes. It opens by itself when envctl dies.

    `role` is the access key that signed the request, `application` a text in its User-Agent, `where` the key's prefix.

    Exact: `open` with N parts kills when N parts are stored and the answer to the last has not left (those that a
    client sends beside it may be stored too); without N when the first was sent and has not arrived. `commit`:
    Complete was sent, and the server has not seen it. `in-doubt`: the server has answered Complete with success, the
    object was seen to be there, and nothing of the answer has left.
    Not tested: SIGKILL leaves the page cache, so it says nothing about power loss; requests inside TLS, or sent
    before the answer to the one before, are not seen. Parts are counted from the moment at which the gate stands.
    Beside the victim, an upload whose Complete is under way in the very moment of the kill is named in doubt when its
    object is there. A client that tries again by itself may complete its upload after the recovery: that is noted,
    and not the fate of what was open at the kill.
    """

    moments: Mapping[str, str] = MappingProxyType(
        {
            "open": "when --after-rows parts are stored; without that, when the first part is sent",
            "commit": "when Complete was sent, and the server has not seen it",
            "in-doubt": "when Complete is done, and its answer has not left the server",
        }
    )
    means: Mapping[str, str] = MappingProxyType(
        {
            "server": "SIGKILL to the server, which is started again",
            "stop": "a graceful stop, with the gate open: the control, which must lose nothing",
        }
    )

    def aim_problems(self, aim: Mapping[str, Any]) -> list[str]:
        """What an upload does not have, and a bucket cannot be called."""
        problems = []
        if aim["after_statements"]:
            problems.append("--after-statements: an upload has none, its requests are parts; use --after-rows")
        if aim["operation"] not in {"any", "insert"}:
            problems.append(f"--operation: parts are only added, wanted any or insert, found {aim['operation']!r}")
        if aim["table"] and not _BUCKET.fullmatch(aim["table"]):
            problems.append(f"--table: wanted a bucket's name, found {aim['table']!r}")
        return problems

    def aim_problems_at(self, site: Site, aim: Mapping[str, Any]) -> list[str]:
        """A bucket that is not there."""
        from envctl.services.minio.chaos.uploads import Store

        if not aim["table"] or aim["table"] in (known := Store(site.at).buckets()):
            return []
        return [f"--table: no bucket is named {aim['table']!r}; there are {', '.join(known) or 'none'}"]

    def survey(self, site: Site, aim: Mapping[str, Any]) -> JSON:
        """The run of the server, the gate's name, and that this kernel can hold packets back."""
        del aim
        started_at = site.running().started_at
        tried = site.hands.operate(
            site.environment, ["unshare", "--net", "python3", "-c", program("s3_hold"), "probe", "ENVCTL-PROBE"]
        )
        if tried.exit_code:
            raise FaultUnfit(
                f"a queue for packets (NFQUEUE) to hold the requests of {site.name} in",
                tried.output.strip().rpartition("\n")[2] or "the kernel has none",
                "`envctl doctor` shows what this kernel can; kill and stop need no queue",
            )
        return {"gate": f"ENVCTL-{secrets.token_hex(6)}", "started_at": started_at, "seconds": round(site.lasts) + 15}

    def arm(self, site: Site, aim: Mapping[str, Any], survey: JSON) -> None:
        """Put the gate up."""
        meant = {"at": aim["at"], "bucket": aim["table"], "prefix": aim["where"], "parts": aim["after_rows"]}
        meant |= {"initiator": aim["role"], "agent": aim["application"]}
        port = next(iter(site.service.ports.values()))
        pid = site.hands.pid(site.container.id)
        words = ("watch", survey["gate"], port, survey["seconds"], json.dumps(meant))
        gate = site.hands.converse(site.environment, inside(pid, "python3", "-c", program("s3_hold"), *words))
        site.kept["gate"] = gate
        _heard(gate, "stands")

    def check_armed(self, site: Site, aim: Mapping[str, Any], survey: JSON) -> JSON:
        """The gate sees a request that is sent to the server now, from here."""
        from envctl.services.minio.requests import Requests

        del aim
        Requests(site.at, _PATIENCE).send("POST", f"/{survey['gate']}")
        _heard(site.kept["gate"], "seen")
        return {"gate": survey["gate"], "sees": "requests"}

    def strike(self, site: Site, aim: Mapping[str, Any], survey: JSON, stop: threading.Event) -> Verdict:
        """Wait until the gate holds somebody, look, kill, start again, look again."""
        from envctl.services.minio.chaos import fates
        from envctl.services.minio.chaos.uploads import Store

        store = Store(site.at)
        with closing(site.kept["gate"]) as gate:
            scene = self._caught(gate, store, aim, stop)
            clock = Deadline(0)
            killed_at = self._end(site, gate, aim["means"], scene)
        until(lambda: _ended(site, survey), _PATIENCE, "minio has ended")
        if not aim["restart"]:
            with suppress(TimedOut):  # whoever heals starts it, and so does this
                until(site.running, survey["seconds"], "minio is started again", stop)
        site.hands.start(site.container.id)
        until(lambda: _answers(site), _PATIENCE, "minio answers again")
        return fates.verdict(store, scene, aim["means"], round(clock.elapsed * 1000), killed_at)

    def disarm(self, site: Site, aim: Mapping[str, Any], survey: JSON) -> None:
        """Take the gate down, and start the server when it is not up."""
        del aim
        if gate := site.kept.pop("gate", None):
            gate.close()
        now = site.now()
        if now.state in {State.EXITED, State.CREATED, State.DEAD}:
            site.hands.start(site.container.id)
        elif now.started_at == survey["started_at"]:
            pid = site.hands.pid(site.container.id)
            self._gate(site, pid, "end", survey["gate"], pid)

    def check_disarmed(self, site: Site, aim: Mapping[str, Any], survey: JSON) -> JSON:
        """Nothing of the gate is left; that of an earlier run of the server went with its network."""
        del aim
        if site.running().started_at != survey["started_at"]:
            return {"gate": "gone with the network"}
        left = self._gate(site, site.hands.pid(site.container.id), "state", survey["gate"])
        if left["chain"] or left["alive"]:
            raise NotReady(f"the gate {survey['gate']} is still there: {left}")
        return {"gate": "gone"}

    def _end(self, site: Site, gate: Conversation, means: str, scene: Scene) -> str:
        """Kill, or stop; when that was, as the server writes times."""
        pid = site.hands.pid(site.container.id)
        if means == "server":
            gate.say({"do": "kill", "pid": pid})
            _heard(gate, "killed")
            return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        gate.say({"do": "end gracefully", "pid": pid})
        site.hands.stop(site.container.id, _GRACE)
        scene.answered.update(_answered(gate))
        return site.now().finished_at

    def _caught(self, gate: Conversation, store: Any, aim: Mapping[str, Any], stop: threading.Event) -> Scene:  # noqa: ANN401
        """The scene at the moment aimed at, with the victim held.

        Raises:
            VictimNeverCame: nobody came while the gate stood.

        """
        from envctl.services.minio.chaos import fates

        scene: Scene | None = None
        while not stop.is_set():
            try:
                said = gate.hear(_LISTEN)
            except NotReady as reason:
                raise _nobody(aim, f"the gate is down ({reason})") from reason
            if said is None or said["event"] not in {"held", "answered"}:
                continue
            if said["event"] == "answered":
                scene = None  # that Complete was refused: there is nothing to doubt
            elif aim["at"] != "in-doubt":
                return fates.look(store, said)
            elif scene is None:
                scene = fates.look(store, said)
                gate.say({"do": "pass"})
            else:
                return replace(scene, held=said, durable=store.object(said["bucket"], said["key"]))
        raise _nobody(aim, "none came before the time was over")

    def _gate(self, site: Site, pid: int, *arguments: object) -> dict[str, Any]:
        """Run the gate's program where the server's network is; what it says.

        Raises:
            NotReady: it failed; with its last line.

        """
        done = site.hands.operate(site.environment, inside(pid, "python3", "-c", program("s3_hold"), *arguments))
        if done.exit_code:
            raise NotReady(done.output.strip().rpartition("\n")[2] or f"the gate ended with code {done.exit_code}")
        return dict(json.loads(done.output.strip().rpartition("\n")[2]))


def _nobody(aim: Mapping[str, Any], found: str) -> VictimNeverCame:
    where = f"{aim['table'] or 'any bucket'}/{aim['where']}…"
    return VictimNeverCame(
        f"a multipart upload to {where} at {aim['at']!r}",
        found,
        "objects below the client's part size (minio-py: 5 MiB) are no multipart uploads; --for waits longer",
    )


def _heard(gate: Conversation, event: str) -> None:
    """Wait until the gate has said that; what else it says then is of no concern."""
    deadline = Deadline(_PATIENCE)
    while not deadline.passed:
        said = gate.hear(deadline.left)
        if said and said["event"] == event:
            return
    raise NotReady(f"the gate does not say {event!r}")


def _answered(gate: Conversation) -> set[str]:
    """The uploads whose Complete was answered with success while the server ended."""
    found = set()
    while said := gate.hear(_LISTEN):
        if said["event"] == "answered" and said["status"] == 200:  # noqa: PLR2004 - HTTP's own number
            found.add(str(said["upload"]))
    return found


def _ended(site: Site, survey: JSON) -> None:
    now = site.now()
    if now.state is State.RUNNING and now.started_at == survey["started_at"]:
        raise NotReady("it still runs")


def _answers(site: Site) -> None:
    site.running()
    site.ping()


if TYPE_CHECKING:
    _transactional: Transactional = MinioTransactions()
    _knows: KnowsAims = MinioTransactions()
