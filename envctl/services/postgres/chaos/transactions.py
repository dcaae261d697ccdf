"""Killing PostgreSQL in the middle of a transaction, and saying what became of each."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.errors import ConfigurationError, FaultDidNotBite, FaultError, FaultUnfit, Problem, VictimNeverCame
from envctl.protocols import NotReady
from envctl.services.postgres.chaos.aims import COMMIT, IN_DOUBT, OPEN
from envctl.services.postgres.chaos.disk import PostgresDisk
from envctl.services.postgres.chaos.killing import MEANS, POWER
from envctl.waiting import TimedOut

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from envctl.reports import Verdict
    from envctl.services.postgres.chaos.freezing import Snapshot
    from envctl.services.postgres.chaos.sessions import Connection
    from envctl.site import Site

JSON = dict[str, Any]

_KEPT = "postgres.transactions"
_SOUGHT = frozenset({"table", "after_rows", "after_statements", "at", "application", "role", "where"})
_END_SESSIONS = """
SELECT pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity a
WHERE a.application_name LIKE %s AND a.usename = current_user AND a.pid <> pg_backend_pid()
"""


@dataclass
class Ambush:
    """The sessions of one fault in force: `keeper` holds the gate shut, `watcher` looks."""

    keeper: Connection
    watcher: Connection

    def close(self) -> None:
        """Open the gate and leave."""
        self.keeper.close()
        self.watcher.close()


class PostgresTransactions(PostgresDisk):
    """What `kill-mid-transaction` needs of PostgreSQL.

    With a table the victim is stopped by a temporary trigger at exactly the row, at its commit, or when its commit is
    durable and not answered. It goes on by itself if envctl dies. A statement that writes many rows has written all of
    them when their triggers run. Without a table nothing is changed on the server: it looks at its sessions once a
    millisecond, stops a process that fits (SIGSTOP), looks again whether it still is where it was, and only then
    kills. So a kill is never outside of a transaction and never too early, but a transaction that is over within about
    3 ms may not be caught, and of statements that follow each other faster than the server can look (some hundred
    microseconds on an idle machine, longer on a busy one) only some are counted: --after-statements is a lower bound.
    Where the exact place matters, aim at a row.

    Before a kill that is a crash all sessions are stopped and logins wait, so that the verdict tells of every
    transaction that was open in that moment. Who had a number then has not been answered: it is rolled back or in
    doubt. An orderly shutdown (`fast`) needs the sessions running: there the list is what was open when it was asked
    for.
    """

    moments: Mapping[str, str] = MappingProxyType(
        {
            OPEN: "in the middle: at row --after-rows, after --after-statements, or as soon as it has written anything",
            COMMIT: "at its commit, before that is durable: it must be gone afterwards",
            IN_DOUBT: "at its commit, durable and not answered: it must be there, and its client cannot know;"
            " without --table every commit waits until it is looked at (some 10 ms, with a WARNING)",
        }
    )
    means: Mapping[str, str] = MEANS
    admin_name: str

    def aim_problems(self, aim: Mapping[str, Any]) -> list[str]:
        """What no server could do."""
        from envctl.services.postgres.chaos.aims import problems

        return list(problems(aim))

    def aim_problems_at(self, site: Site, aim: Mapping[str, Any]) -> list[str]:
        """What this one cannot do: tables, roles, conditions that it does not know."""
        from envctl.services.postgres.chaos.aims import target

        return list(target(site, aim).problems)

    def survey(self, site: Site, aim: Mapping[str, Any]) -> JSON:
        """Find the table; record the settings and the restart policy that are touched."""
        from envctl.services.postgres.chaos import settings
        from envctl.services.postgres.chaos.aims import target
        from envctl.services.postgres.chaos.sessions import connect

        site.running()
        found = target(site, aim)
        if found.problems:
            raise ConfigurationError([Problem(text) for text in found.problems], "an aim that this server knows")
        policy = str(site.hands.inspect(site.container.id)["HostConfig"]["RestartPolicy"]["Name"] or "no")
        if aim["means"] == "policy" and policy == "no":
            raise FaultUnfit(
                "a container that its restart policy brings back",
                'its policy is "no"',
                "set `restart: always` in the compose file, or use --means server",
            )
        recorded: JSON = {}
        if aim["at"] == IN_DOUBT:
            with connect(site) as db:
                recorded = settings.record(db)
        power: JSON = {}
        if aim["means"] == POWER:
            if reason := self.fears_power(site):
                raise FaultUnfit("a server that survives a loss of power", reason, "use --means server")
            power = {POWER: site.power.look(self.data_directory)}
        # 31 bits, of which no other fault has the same; the second number says what the lock is for.
        return {
            "token": secrets.token_hex(4),
            "key": secrets.randbelow(2**31),
            "settings": recorded,
            **power,
            **found.to_json(),
        }

    def arm(self, site: Site, aim: Mapping[str, Any], survey: JSON) -> None:
        """Hold the lock, then put up the triggers, then the settings."""
        from envctl.services.postgres.chaos import gates, settings
        from envctl.services.postgres.chaos.killing import answered
        from envctl.services.postgres.chaos.sessions import answering, connect

        if power := survey.get(POWER):
            site.power.move_in(power)
            answered(site)
        keeper, watcher = (connect(site, survey["database"], survey["token"]) for _ in range(2))
        site.kept[_KEPT] = Ambush(keeper, watcher)
        with answering():
            keeper.execute("SELECT pg_catalog.pg_advisory_lock(%s::integer, %s)", [survey["key"], gates.WAIT])
        if survey["table"]:
            gates.create(watcher, aim, survey, self.admin_name)
        if survey["settings"]:
            settings.impose(watcher, survey["token"], marked_only=bool(survey["table"]))

    def check_armed(self, site: Site, aim: Mapping[str, Any], survey: JSON) -> JSON:
        """The triggers are there, the lock is held, and a commit waits where it should."""
        from envctl.services.postgres.chaos import gates, settings

        ambush: Ambush = site.kept[_KEPT]
        found: JSON = {"watching": aim["at"]}
        if survey["table"]:
            if not (triggers := gates.standing(ambush.watcher, survey)):
                raise NotReady("no trigger is in the table")
            found["gate"] = [f"{name} on {table}" for name, table, _ in triggers]
        if survey["settings"]:
            settings.check(site, ambush.watcher)
            found["commits"] = "wait"
        return found

    def strike(self, site: Site, aim: Mapping[str, Any], survey: JSON, stop: threading.Event) -> Verdict:
        """Wait for the victim, stop everybody, kill, bring back, judge."""
        from envctl.services.postgres.chaos.watching import lookout

        ambush: Ambush = site.kept[_KEPT]
        try:
            struck = None
            while struck is None:
                victim = _found(lambda: lookout(aim, survey, self.admin_name).find(ambush.watcher, stop), aim)
                struck = _struck(site, aim, survey, ambush, victim)
        except (NotReady, TimedOut) as reason:
            raise FaultDidNotBite("the victim, which had come, killed", str(reason), "try again") from reason
        finally:
            ambush.close()
        try:
            return _judged(site, aim, survey, stop, struck)
        except (NotReady, TimedOut) as reason:
            advice = "see `envctl logs postgres`; without an answer nobody can tell what became of the transactions"
            raise FaultError("an answer after the kill", str(reason), advice) from reason

    def disarm(self, site: Site, aim: Mapping[str, Any], survey: JSON) -> None:
        """Have it run, end the fault's sessions, let go who was stopped, restore the settings, remove the triggers."""
        from envctl.services.postgres.chaos import freezing, gates, settings
        from envctl.services.postgres.chaos.sessions import absent, answering, connect

        del aim
        if (ambush := site.kept.pop(_KEPT, None)) is not None:
            ambush.close()
        if power := survey.get(POWER):
            site.power.move_out(power)
        site.bring_up()
        with connect(site, "postgres") as db, answering():
            db.execute(_END_SESSIONS, [f"%{survey['token']}"])
            freezing.thaw_all(db)
            if survey["settings"]:
                settings.restore(db, survey["settings"])
        if survey["table"] and not absent(site, survey["database"]):
            with connect(site, survey["database"]) as db:
                gates.drop(db, survey)

    def check_disarmed(self, site: Site, aim: Mapping[str, Any], survey: JSON) -> JSON:
        """No schema and no trigger of ours is left, and the settings are what they were."""
        from envctl.services.postgres.chaos import settings
        from envctl.services.postgres.chaos.gates import schema_of
        from envctl.services.postgres.chaos.sessions import absent, answering, connect

        del aim
        site.running()
        if (power := survey.get(POWER)) and any((left := site.power.left(power)).values()):
            raise NotReady(f"of its disk is left: {left}")
        if survey["table"] and not absent(site, survey["database"]):
            with connect(site, survey["database"]) as db, answering():
                query = "SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname = %s"
                if db.execute(query, [schema_of(survey)]).fetchall():
                    raise NotReady("its triggers are still there")
        if survey["settings"]:
            with connect(site) as db, answering():
                if (now := settings.written(db)) != survey["settings"]:
                    raise NotReady(f"wanted {survey['settings']} in postgresql.auto.conf, found {now}")
                if db.execute(f"SHOW {settings.STANDBYS}").fetchall() != [("",)]:
                    raise NotReady("commits still wait")
        return {"gate": "removed", "ping": "answered"}


def _struck(
    site: Site, aim: Mapping[str, Any], survey: JSON, ambush: Ambush, victim: int
) -> tuple[int, Snapshot, float, float] | None:
    """Look, and kill: the victim, what was open, the Unix time and the monotonic time of the kill.

    None where the victim had ended its transaction before.
    """
    from envctl.services.postgres.chaos import freezing, settings
    from envctl.services.postgres.chaos.killing import FREEZING, death, kill
    from envctl.services.postgres.chaos.watching import THAW

    watcher, keeper = ambush.watcher, ambush.keeper
    if survey["settings"]:
        # In the file already before the kill, so that nobody waits after the start.
        settings.write_back(watcher, survey["settings"])
    if aim["means"] in FREEZING:
        snapshot = freezing.freeze(keeper, watcher)
    else:
        snapshot = freezing.look(watcher, [keeper.info.backend_pid, watcher.info.backend_pid], [victim])
    if all(one.pid != victim for one in snapshot.transactions):
        freezing.give_up(keeper, watcher, snapshot)
        return None
    since, clock = time.time(), time.monotonic()
    kill(site, aim["means"], victim, snapshot, watcher, survey.get(POWER, {}))
    if time.monotonic() - clock > THAW / 2 and death(site, clock) > THAW / 2:
        # That long after the look some have gone on before they were killed.
        snapshot = replace(snapshot, late=True)
    return victim, snapshot, since, clock


def _judged(
    site: Site, aim: Mapping[str, Any], survey: JSON, stop: threading.Event, struck: tuple[int, Snapshot, float, float]
) -> Verdict:
    from envctl.services.postgres.chaos import settings
    from envctl.services.postgres.chaos.killing import answered, bring_back, reconnect
    from envctl.services.postgres.chaos.verdicts import judge

    victim, snapshot, since, clock = struck
    power: JSON = site.power.switch_on(survey[POWER]) if POWER in survey else {}
    bring_back(site, aim["means"], stop, restart=aim["restart"])
    if not aim["restart"]:
        clock = time.monotonic()
    answered(site)
    ms = round((time.monotonic() - clock) * 1000)
    with reconnect(site, survey["database"]) as db:
        if survey["settings"]:
            settings.restore(db, survey["settings"])
        verdict = judge(site, aim, victim, snapshot, db, since, ms)
    # What was asked for after the first answer, in ms.
    took = round((time.monotonic() - clock) * 1000) - ms
    facts = {**verdict.facts, "verdict_ms": took, **({"disk": power} if power else {})}
    return replace(verdict, facts=facts)


def _found(find: Callable[[], int], aim: Mapping[str, Any]) -> int:
    try:
        return find()
    except NotReady as reason:
        sought = [f"{key.replace('_', ' ')} {value}" for key, value in aim.items() if key in _SOUGHT and value]
        raise VictimNeverCame(
            f"a transaction with {', '.join(sought)}",
            str(reason),
            "see that the code under test runs meanwhile and does that, or allow more time with --for",
        ) from reason
