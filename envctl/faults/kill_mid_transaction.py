"""Kill a service in the middle of a transaction, at a moment that is chosen exactly, and say what became of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from envctl.capabilities import KnowsAims, Transactional
from envctl.faults.fault import JSON, Abode, Fault, parameter
from envctl.faults.values import count, flag

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.protocols import Service
    from envctl.reports import Verdict
    from envctl.site import Site


@dataclass(frozen=True)
class KillMidTransaction(Fault):
    """Wait until a transaction does what is aimed at, stop it there, kill the service, start it again, and say of every
    transaction that was open whether it is committed, rolled back or in doubt.

    The victim is the user's own code on an ordinary connection; nothing of its schema is changed for good, and the gate
    that it waits in opens by itself when envctl dies; but for PostgreSQL's `in-doubt`, which is a setting of the server
    that the warden takes back. When the time is over and no victim came, the gate is removed.

    What a client sees: its call does not return, then its connection ends, with or without a message. It cannot know
    whether a commit that it had sent took effect; the verdict does.

    What it does not test: a killed process leaves what it has written to the machine's page cache, so that nothing is
    lost which was written and not yet forced to disk. Whether a service forces its log to disk before it acknowledges
    is seen only when power fails: PostgreSQL with `--means power`, and the others with `power-loss`.
    """

    name: ClassVar[str] = "kill-mid-transaction"
    summary: ClassVar[str] = "Kill it in the middle of a transaction; say what became of each."
    lives_in: ClassVar[Abode] = Abode.DATA
    attended: ClassVar[bool] = True
    heals_within: ClassVar[float] = 120.0

    table: str = parameter("", "The table (topic, bucket, key pattern) that the victim writes to.", metavar="NAME")
    after_rows: int = parameter(0, "Kill when so many rows (messages, parts, commands) are written.", kind=count)
    after_statements: int = parameter(0, "Kill when the transaction has sent so many statements.", kind=count)
    operation: str = parameter(
        "any",
        "Which writes count as rows.",
        choices={"any": "all", "insert": "new rows", "update": "changed rows", "delete": "removed rows"},
    )
    at: str = parameter("", "The moment; the service's first without it.", metavar="MOMENT")
    application: str = parameter("", "Only a victim whose client says that name.", metavar="NAME")
    role: str = parameter("", "Only a victim logged in as that identity.", metavar="NAME")
    where: str = parameter("", "Only rows that match, in the service's own language.", metavar="CONDITION")
    means: str = parameter("", "How to kill; the service's first way without it.", metavar="MEANS")
    restart: bool = parameter(default=True, help="Start the service again when it is down.", kind=flag)

    @classmethod
    def unfit(cls, service: Service) -> str:
        """It needs transactions."""
        if isinstance(service, Transactional):
            return ""
        return f"{service.name} has no transactions; use kill"

    @classmethod
    def words(cls, service: Service) -> Mapping[str, Mapping[str, str]]:
        """The service's moments and its means."""
        return {"at": service.moments, "means": service.means} if isinstance(service, Transactional) else {}

    def problems(self, service: Service) -> Iterable[str]:
        """What this service has no moment, means or word for."""
        if not isinstance(service, Transactional):
            return
        for option, given, known in (("at", self.at, service.moments), ("means", self.means, service.means)):
            if given and given not in known:
                yield f"--{option}: wanted one of {', '.join(known)}, found {given!r}"
        yield from service.aim_problems(self._aim(service))

    def problems_at(self, site: Site) -> Iterable[str]:
        """Tables, identities and conditions that this server does not know."""
        if not isinstance(site.service, KnowsAims) or not isinstance(site.service, Transactional):
            return ()
        return site.service.aim_problems_at(site, self._aim(site.service))

    def claims(self, site: Site) -> Sequence[str]:
        """One ambush at a time on a service."""
        del site
        return ("transactions",)

    def plan(self, site: Site) -> JSON:
        """What is aimed at, and what must be the same afterwards."""
        service = self._server(site)
        aim = self._aim(service)
        return {"aim": aim, "survey": service.survey(site, aim)}

    def apply(self, site: Site, plan: JSON) -> None:
        """Put the gate in place."""
        self._server(site).arm(site, plan["aim"], plan["survey"])

    def bites(self, site: Site, plan: JSON) -> JSON:
        """The gate stands."""
        return self._server(site).check_armed(site, plan["aim"], plan["survey"])

    def attend(self, site: Site, plan: JSON, stop: threading.Event) -> Verdict:
        """Wait for the victim and kill."""
        return self._server(site).strike(site, plan["aim"], plan["survey"], stop)

    def undo(self, site: Site, plan: JSON) -> None:
        """Remove the gate, start what is down."""
        self._server(site).disarm(site, plan["aim"], plan["survey"])

    def recovered(self, site: Site, plan: JSON) -> JSON:
        """Nothing of the gate is left, and the service answers."""
        found = self._server(site).check_disarmed(site, plan["aim"], plan["survey"])
        site.ping()
        return found

    def _server(self, site: Site) -> Transactional:
        service = site.service
        assert isinstance(service, Transactional), service.name  # noqa: S101 - `unfit` has seen to it
        return service

    def _aim(self, service: Transactional) -> JSON:
        """The parameters, with the service's own first moment and means where none is named."""
        given = self.parameters()
        return {**given, "at": self.at or next(iter(service.moments)), "means": self.means or next(iter(service.means))}
