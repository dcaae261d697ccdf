"""Killing the broker in the middle of a transaction, at a request that is chosen exactly."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.errors import VictimNeverCame
from envctl.model import State
from envctl.protocols import NotReady
from envctl.reports import Verdict
from envctl.services.kafka.sasl import login_plain
from envctl.services.kafka.wire import Connection
from envctl.services.wire import admin_of
from envctl.waiting import Deadline, TimedOut, until

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from envctl.services.kafka.chaos.aftermath import Open
    from envctl.services.kafka.chaos.gate import Gate, Held
    from envctl.site import Site

JSON = dict[str, Any]

OPEN, IN_DOUBT = "open", "in-doubt"
SERVER, STOP = "server", "stop"
_GATE = "kafka gate"
_TIMEOUT = 5.0
_LOOK = 0.1
_AWAY = 100.0
"""Seconds until a broker that was started must answer: less than healing has."""
_GRACE = 30.0


class KafkaTransactions:
    """Kafka's part of `kill-mid-transaction`.

    The victim is the first producer whose transaction writes to the topic `table`, of `after_rows` messages or more,
    with `application` as its transactional id or its client id. A gate in the broker's network namespace holds its
    request, so that the broker has got all before it and nothing from it on: at `open` the request to commit, or with
    `after_rows` the first of its requests after so many messages are in the log (whole batches, and those that a
    pipelining producer has on the way); at `in-doubt` the commit's answer, after the coordinator's log says that it
    commits. Then the broker is killed. Requests that are not a transaction's are not held; those of other
    transactions, for a few ms.

    What a client sees: its connection closes, and while it asks again, within its own time limits, it goes on when
    the broker is back. An open transaction outlives a broker: the producer can commit it then, and the verdict says
    `committed`; where nobody ends it, the coordinator aborts it when its `transaction.timeout.ms` is over, and the
    verdict waits for that (at most 80 s). One in doubt is committed, and its client learns that by asking again.

    Exact is the request at which it is held; the list of the transactions beside it is a few ms older than the kill.
    The gate reads the first segment of a request: one that a client's kernel sends behind another in the same segment
    passes, and so do clients over IPv6.

    Not tested: with one broker and a replication factor of 1 there is no leader election, no fencing of an old leader,
    and no loss of unreplicated messages; SIGKILL keeps what the kernel has, so that a missing fsync does not show; and
    the coordinator and the partitions always die together.
    """

    moments: Mapping[str, str] = MappingProxyType(
        {
            OPEN: "its messages are written, the broker has not got its commit",
            IN_DOUBT: "its commit is in the coordinator's log, its producer has not got the answer",
        }
    )
    means: Mapping[str, str] = MappingProxyType(
        {
            SERVER: "SIGKILL of the broker",
            STOP: "a controlled shutdown, as the control: nothing that was written may be lost",
        }
    )

    def aim_problems(self, aim: Mapping[str, Any]) -> list[str]:
        """What Kafka's transactions do not have."""
        found = []
        if aim["after_statements"]:
            use = "a transaction has messages, no statements; use --after-rows"
            found.append(f"--after-statements: {use}, found {aim['after_statements']}")
        if aim["operation"] not in {"any", "insert"}:
            found.append(f"--operation: messages are only added, wanted any or insert, found {aim['operation']!r}")
        if aim["role"]:
            use = "a transaction does not tell who is logged in; use --application"
            found.append(f"--role: {use}, found {aim['role']!r}")
        if aim["where"]:
            found.append(f"--where: Kafka has no language to choose messages in; use --table, found {aim['where']!r}")
        return found

    def survey(self, site: Site, aim: Mapping[str, Any]) -> JSON:
        """A name for the gate's rules, and which start of the broker they will live in."""
        from envctl.services.kafka.chaos import gate

        del aim
        started_at = site.running().started_at
        gate.require(site)
        return {"gate": f"envctl-{secrets.token_hex(6)}", "started_at": started_at}

    def arm(self, site: Site, aim: Mapping[str, Any], survey: JSON) -> None:
        """Put the gate up."""
        from envctl.services.kafka.chaos.gate import Gate

        writes = aim["at"] == OPEN and aim["after_rows"] > 0
        site.kept[_GATE] = Gate(site, survey["gate"], writes=writes, application=aim["application"])

    def check_armed(self, site: Site, aim: Mapping[str, Any], survey: JSON) -> JSON:
        """Its rules are there."""
        from envctl.services.kafka.chaos import gate

        del aim
        if not (found := gate.rules(site, survey["gate"], remove=False)):
            raise NotReady("the gate has no rules in the broker's network namespace")
        return {"gate": survey["gate"], "rules": found}

    def strike(self, site: Site, aim: Mapping[str, Any], survey: JSON, stop: threading.Event) -> Verdict:
        """Wait for the victim in the gate, kill, start again, and see what became of every transaction."""
        from envctl.services.kafka.chaos import aftermath

        del survey
        gate: Gate = site.kept[_GATE]
        try:
            victim, beside = self._await(site, gate, aim, stop)
            clock = Deadline(0)
            if aim["means"] == STOP:
                site.hands.stop(site.container.id, _GRACE)
            else:
                site.hands.kill(site.container.id)
            # Until then: what the dead broker had already sent, its kernel would still deliver.
            until(lambda: _down(site), _AWAY, "kafka is down")
        finally:
            gate.close()
        self._again(site, stop, restart=aim["restart"])
        recovery_ms = round(clock.elapsed * 1000)

        transactions, problems, facts = aftermath.all_ended(
            lambda: self._super_user(site), victim, beside, told=aim["at"] != IN_DOUBT
        )
        return Verdict(site.name, self.means[aim["means"]], transactions, recovery_ms, problems, facts)

    def disarm(self, site: Site, aim: Mapping[str, Any], survey: JSON) -> None:
        """Take the gate down, and start the broker if it is down."""
        from envctl.services.kafka.chaos import gate

        del aim
        if (own := site.kept.pop(_GATE, None)) is not None:
            own.close()
        now = site.now()
        if now.state in {State.EXITED, State.CREATED, State.DEAD}:
            site.hands.start(site.container.id)
        elif now.started_at == survey["started_at"]:
            gate.rules(site, survey["gate"], remove=True)

    def check_disarmed(self, site: Site, aim: Mapping[str, Any], survey: JSON) -> JSON:
        """It runs, without the gate: that went with the network namespace where the broker was started again."""
        from envctl.services.kafka.chaos import gate

        del aim
        now = site.running()
        if now.started_at == survey["started_at"] and (left := gate.rules(site, survey["gate"], remove=False)):
            raise NotReady(f"{left} rules of the gate are still there")
        return {"rules": 0}

    def _await(self, site: Site, gate: Gate, aim: Mapping[str, Any], stop: threading.Event) -> tuple[Open, list[Open]]:
        """The victim, held where it was aimed at, and the transactions beside it."""
        passed = set()
        try:
            while not stop.is_set():
                held = gate.next(_LOOK)
                if held is None:
                    continue
                with self._super_user(site) as connection:
                    found = self._examine(connection, gate, held, aim)
                if found is not None:
                    return found
                passed.add(held.transaction)
                gate.let_go(held)
        except (NotReady, TimedOut) as reason:
            raise VictimNeverCame(
                "a transaction in the gate", f"the gate was lost: {reason}", "see `envctl logs kafka`, then try again"
            ) from reason
        said = f"those of {', '.join(sorted(passed))} did not fit" if passed else "none came before the time was over"
        raise VictimNeverCame(f"a transaction {_described(aim)}", said, "a longer --for waits longer")

    def _examine(
        self, connection: Connection, gate: Gate, held: Held, aim: Mapping[str, Any]
    ) -> tuple[Open, list[Open]] | None:
        """Whether what is held is the victim; then it is brought to the moment aimed at."""
        from envctl.services.kafka.chaos import aftermath, coordinator

        fitting = [
            one
            for one in aftermath.opened(connection, [held.transaction], str(held))
            if one.state.state == coordinator.ONGOING
            and (not aim["table"] or any(topic == aim["table"] for topic, _ in one.state.partitions))
            and one.written(aim["table"]) >= aim["after_rows"]
        ]
        if not fitting:
            return None
        victim = fitting[0]
        beside = aftermath.opened(connection, [i for i in coordinator.undecided(connection) if i != victim.state.id])
        if aim["at"] == IN_DOUBT:
            gate.let_go(held, answer=False)

            def committing() -> None:
                state = coordinator.describe(connection, [victim.state.id])[victim.state.id].state
                if state not in coordinator.COMMITTING:
                    raise NotReady(f"{victim.state.id} is {state}")

            until(committing, _TIMEOUT, "the commit is in the coordinator's log")
        return victim, beside

    def _again(self, site: Site, stop: threading.Event, *, restart: bool) -> None:
        """Start the broker, or wait until somebody does or it is healed, and until it answers."""
        if not restart:
            try:
                until(site.ping, 86400.0, "somebody starts kafka", stop)
            except TimedOut:
                pass  # healing starts it
            else:
                return
        site.hands.start(site.container.id)
        until(site.ping, _AWAY, "kafka answers again")

    def _super_user(self, site: Site) -> Connection:
        connection = Connection(site.at.host, site.at.ports["sasl"], _TIMEOUT)
        with ExitStack() as unless_in:
            unless_in.callback(connection.close)
            login_plain(connection, admin_of(site.at))
            unless_in.pop_all()
        return connection


def _down(site: Site) -> None:
    if (state := site.now().state) in {State.RUNNING, State.PAUSED}:
        raise NotReady(f"its container is {state}")


def _described(aim: Mapping[str, Any]) -> str:
    found = [
        f"writing to {aim['table']}" if aim["table"] else "",
        f"of {aim['after_rows']} messages or more" if aim["after_rows"] else "",
        f"of {aim['application']}" if aim["application"] else "",
    ]
    return ", ".join(word for word in found if word) or "of any producer"
