"""What faults may need of a service. A service that offers one has its methods; a fault asks `isinstance`.

All methods take the service's endpoint and work from any process. They raise `NotReady` with what was seen where the
service does not answer or is not yet as it should be; envctl's own identity is never what they take away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.model import Endpoint
    from envctl.reports import Verdict
    from envctl.site import Site

JSON = dict[str, Any]


@runtime_checkable
class HasCredentials(Protocol):
    """A service that can take an identity's rights away, live sessions included, and give them back exactly."""

    revocations: Mapping[str, str]
    """The ways to revoke, each with what it does; the first is the default."""

    def identity(self, site: Site, user: str, mode: str) -> JSON:
        """The server's own record of an identity (verifiers and hashes, never a secret) and all that `restore` needs.

        Raises:
            NotReady: the server does not answer.
            FaultUnfit: there is no such identity, it is envctl's own, or it is not as this mode needs it.

        """
        ...

    def revoke(self, site: Site, user: str, mode: str, record: JSON) -> None:
        """Take the rights away; live sessions feel it too."""
        ...

    def check_revoked(self, site: Site, user: str, mode: str, record: JSON) -> JSON:
        """What was tried as the identity and refused, live and new. Raises NotReady when something was not refused."""
        ...

    def restore(self, site: Site, user: str, mode: str, record: JSON) -> None:
        """Give back exactly what `record` says; idempotent, also where nothing was taken.

        Raises:
            Lost: the identity is not there any more.

        """
        ...

    def check_restored(self, site: Site, user: str, mode: str, record: JSON) -> JSON:
        """See that the original secret logs in, where envctl knows it, and that the server's record equals `record`.

        Raises:
            NotReady: it does not; names the difference.

        """
        ...


@runtime_checkable
class HasPrivileges(Protocol):
    """A service with credentials whose identities can lose a part of their rights: one privilege, on one thing."""

    privilege_mode: str
    """The one among `revocations` that takes `privilege` and `on`."""

    def privilege_problems(self, privilege: str, on: str) -> list[str]:
        """What is impossible about them, or missing; all of it."""
        ...

    def privilege(self, site: Site, user: str, privilege: str, on: str) -> JSON:
        """What `revoke` and `restore` need to know of it, besides what `identity` says; goes into the same record.

        Raises:
            NotReady: the server does not answer.
            FaultUnfit: there is no such thing, or the identity does not have the privilege in a way that can be taken.

        """
        ...


@runtime_checkable
class Transactional(Protocol):
    """A service with transactions, which can be killed in the middle of one and say what became of each."""

    moments: Mapping[str, str]
    """When to kill (`at=`), each with what it means; the first is the default."""

    means: Mapping[str, str]
    """How to kill, each with what it means; the first is the default."""

    def aim_problems(self, aim: Mapping[str, Any]) -> list[str]:
        """What is impossible about an aim (the fault's parameters) for this service."""
        ...

    def survey(self, site: Site, aim: Mapping[str, Any]) -> JSON:
        """Look at what is aimed at and at what must be the same afterwards; everything that `disarm` needs."""
        ...

    def arm(self, site: Site, aim: Mapping[str, Any], survey: JSON) -> None:
        """Put the gate in place: the next transaction that fits will wait in it. Sessions go into `site.kept`."""
        ...

    def check_armed(self, site: Site, aim: Mapping[str, Any], survey: JSON) -> JSON:
        """See that the gate stands."""
        ...

    def strike(self, site: Site, aim: Mapping[str, Any], survey: JSON, stop: threading.Event) -> Verdict:
        """Wait for the victim, kill, bring the service back, and say what became of every transaction.

        Raises:
            VictimNeverCame: `stop` was set before one came.

        """
        ...

    def disarm(self, site: Site, aim: Mapping[str, Any], survey: JSON) -> None:
        """Remove the gate and bring the service back, wherever things stand; idempotent."""
        ...

    def check_disarmed(self, site: Site, aim: Mapping[str, Any], survey: JSON) -> JSON:
        """See that nothing of the gate is left and that the service is what `survey` saw."""
        ...


@runtime_checkable
class KnowsAims(Protocol):
    """A service with transactions that can say, before anything is done, what is wrong with an aim on this server."""

    def aim_problems_at(self, site: Site, aim: Mapping[str, Any]) -> list[str]:
        """Tables, identities and conditions that the server does not know or cannot have; with the nearest.

        Raises:
            NotReady: it does not answer.

        """
        ...


@runtime_checkable
class KeepsData(Protocol):
    """A service that keeps data on disk: where, and how to see that a write reaches it."""

    data_directory: str
    """The folder in the container, also behind a volume."""

    writes_need_room: bool
    """Whether a write needs new room on the disk; False where it goes into room that was taken before."""

    syncs: bool
    """Whether it waits for the disk by itself before it acknowledges; else it leaves that to the kernel."""

    remembers: float
    """Seconds for which it goes on believing what its disk has told it of itself."""

    def write(self, at: Endpoint, timeout: float) -> None:
        """Have one small write reach the disk by the service's own protocol, and leave nothing of it behind.

        Raises:
            NotReady: the service refused it, or did not answer within `timeout` seconds; with its own words.

        """
        ...


@runtime_checkable
class FearsPower(Protocol):
    """A service that may be set up so that it does not survive a loss of power."""

    def fears_power(self, site: Site) -> str:
        """Whether it is: why, and what to do. Empty where it is not. Raises NotReady where it does not answer."""
        ...


@runtime_checkable
class TellsTime(Protocol):
    """A service that says what time it has."""

    def clock(self, at: Endpoint, timeout: float) -> float:
        """Its Unix time in seconds, as it says it itself; to the second at least."""
        ...


@runtime_checkable
class KeepsTimes(Protocol):
    """A service that goes on reckoning with times from a clock that was set right again, unless it is helped."""

    def reckoning(self, at: Endpoint, timeout: float) -> JSON:
        """What `reckon_anew` needs to know of the service as it is before."""
        ...

    def reckon_anew(self, at: Endpoint, before: JSON, timeout: float) -> None:
        """Have it forget such times; idempotent. Raises NotReady where it does not answer."""
        ...


class Way(Protocol):
    """How one service does one fault of its own. `wanted` are the fault's parameters, `seen` is what `look` recorded.

    As for every fault: `mend` gets what `look` recorded, in any process and after a `hurt` that broke off anywhere,
    also before its first step, and is idempotent.
    """

    words: Mapping[str, Mapping[str, str]]
    """The words that a parameter takes, each with its meaning, by the parameter's name; the first is the default."""

    def problems(self, wanted: Mapping[str, Any]) -> Iterable[str]:
        """What is impossible about the parameters for this service: `--table: wanted …, found …`."""
        ...

    def claims(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """What no other fault on this service may touch meanwhile."""
        ...

    def look(self, site: Site, wanted: Mapping[str, Any]) -> JSON:
        """Look and decide, change nothing; all that `mend` needs, and no secret.

        Raises:
            NotReady: the server does not answer.
            FaultUnfit: it cannot be done.

        """
        ...

    def hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Do it."""
        ...

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """What was measured of its effect, as a client sees it. Raises NotReady where there is none yet."""
        ...

    def mend(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Bring back what `look` saw; idempotent.

        Raises:
            NotReady: not yet possible.
            Lost: there is nothing left to bring back.

        """
        ...

    def check_mended(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """What was measured that shows that all is as `look` saw it.

        Raises:
            NotReady: it is not; names the difference.

        """
        ...


@runtime_checkable
class HasWays(Protocol):
    """A service that can be hurt in ways of its own, each by the name of its fault."""

    ways: Mapping[str, Way]
