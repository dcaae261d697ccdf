"""What a fault is. Each is a frozen dataclass in a file of its own: its fields are its parameters, its options on the
command line, its entry in the journal and its documentation.

To add one: `faults/x.py` and one line in the catalog. It says which capability it needs of a service and never imports
one; whatever it does goes through its `Site`.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from envctl.faults.values import Kind, text

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.protocols import Service
    from envctl.reports import Verdict
    from envctl.site import Site

JSON = dict[str, Any]


class Abode(StrEnum):
    """What a fault lives in, and dies with: the running processes, the container, or the service's data."""

    PROCESS = "process"
    CONTAINER = "container"
    DATA = "data"


@dataclass(frozen=True)
class Fault(ABC):
    """One way to hurt one service.

    `plan` looks, chooses and records; the journal has it on disk before `apply` acts. `undo` gets the same plan, in any
    process and after an apply that broke off anywhere, also before its first step: it must bring back what `plan`
    recorded, change nothing else, and be content when there is nothing to do.
    """

    name: ClassVar[str]
    """As typed: `revoke-credentials`."""
    summary: ClassVar[str]
    """One line of help."""
    lives_in: ClassVar[Abode]
    """A fault that lives in the processes is lost when the container was started anew, one in the container when that
    was replaced; one in the data is healed wherever the data is."""
    attended: ClassVar[bool] = False
    """Whether the process that injected it has something to do while it is in force: see `attend`."""
    bites_within: ClassVar[float] = 10.0
    """Seconds in which it must have bitten."""
    heals_within: ClassVar[float] = 60.0
    """Seconds in which the service must be what it was before."""

    @property
    def silences(self) -> bool:
        """Whether nobody can talk to the service meanwhile: then it is healed before what was injected earlier."""
        return False

    @property
    def momentary(self) -> bool:
        """Whether it is over as soon as it has bitten, as a restart is: it is healed at once."""
        return False

    @classmethod
    @abstractmethod
    def unfit(cls, service: Service) -> str:
        """Why this service cannot have it: the capability that it lacks, and what to use instead. Empty when it can."""

    @classmethod
    def words(cls, service: Service) -> Mapping[str, Mapping[str, str]]:  # noqa: ARG003 - for those that have some
        """The words that a parameter takes on this service, each with its meaning, by the parameter's name."""
        return {}

    def problems(self, service: Service) -> Iterable[str]:  # noqa: ARG002 - for those that have some
        """What is impossible about the parameters, for this service; all of it."""
        return ()

    def problems_at(self, site: Site) -> Iterable[str]:  # noqa: ARG002 - for those that have some
        """What the server itself knows to be impossible about the parameters; told together with `problems`.

        Raises:
            NotReady: it does not answer.

        """
        return ()

    def obstacle(self, site: Site) -> str:  # noqa: ARG002 - for those that have some
        """Why it cannot be had of this engine or now, and what to do. Empty when it can."""
        return ""

    def claims(self, site: Site) -> Sequence[str]:  # noqa: ARG002 - for those that ask
        """What no other fault on this service may touch meanwhile. A claim that begins with `identity` also keeps
        envctl from giving the identity back by provisioning.
        """
        return (self.name,)

    @abstractmethod
    def plan(self, site: Site) -> JSON:
        """Look at the service and decide; change nothing. The answer is JSON, and everything that `undo` needs.

        Raises:
            FaultUnfit: it cannot be done.

        """

    @abstractmethod
    def apply(self, site: Site, plan: JSON) -> None:
        """Do it."""

    @abstractmethod
    def bites(self, site: Site, plan: JSON) -> JSON:
        """What was measured that shows its effect.

        Raises:
            NotReady: there is none yet; the message says what was seen.

        """

    @abstractmethod
    def undo(self, site: Site, plan: JSON) -> None:
        """Bring back what `plan` recorded; idempotent.

        Raises:
            NotReady: it cannot be done yet, for example because the server does not answer.
            Lost: there is nothing left to bring back.

        """

    @abstractmethod
    def recovered(self, site: Site, plan: JSON) -> JSON:
        """What was measured that shows that the service is what it was.

        Raises:
            NotReady: it is not yet; the message names the difference.
            Lost: it never will be.

        """

    def attend(self, site: Site, plan: JSON, stop: threading.Event) -> Verdict | None:  # noqa: ARG002 - most have none
        """What it does while it is in force, in a thread of the process that injected it, until `stop` is set.

        Raises:
            VictimNeverCame: nothing did what it waited for.

        """
        return None

    def by(self, site: Site) -> str:  # noqa: ARG002 - most have but one
        """By what it would be done here, and what that is good for; empty where there is but one way."""
        return ""

    def lapsed(self, site: Site, plan: JSON) -> str:  # noqa: ARG002 - most last as long as what they live in
        """Why it is not in force any more, though its time is not over; a quick look. Empty while it is."""
        return ""

    def abode(self, plan: JSON) -> Abode:  # noqa: ARG002 - most have but one way to be done
        """What it lives in, done as this plan says."""
        return self.lives_in

    def parameters(self) -> JSON:
        """The fields, as the journal keeps them."""
        return dataclasses.asdict(self)


def parameter(
    default: Any,  # noqa: ANN401 - of the field's own type
    help: str,  # noqa: A002 - click's word, and argparse's
    *,
    kind: Kind = text,
    choices: Mapping[str, str] | None = None,
    metavar: str = "",
    also: str = "",
) -> Any:  # noqa: ANN401 - as `dataclasses.field`
    """A field of a fault. `kind` reads its text (see `values`); `choices` are words, each with its meaning; `also` is
    another name of its option.
    """
    meta = {"help": help, "kind": kind, "choices": choices, "metavar": metavar, "also": also}
    return dataclasses.field(default=default, metadata=meta)


@dataclass(frozen=True)
class Option:
    """A field as the command line and the documentation see it."""

    name: str
    default: object
    help: str
    kind: Kind
    choices: Mapping[str, str] | None
    metavar: str
    also: str = ""

    @property
    def flag(self) -> str:
        """`--after-rows`."""
        return "--" + self.name.replace("_", "-")


def options(fault: type[Fault]) -> list[Option]:
    """A fault's parameters: its own in their order, then those that it shares with others of its kind."""
    own = [field for field in dataclasses.fields(fault) if field.name in fault.__annotations__]
    shared = [field for field in dataclasses.fields(fault) if field not in own]
    return [Option(field.name, field.default, **field.metadata) for field in (*own, *shared)]
