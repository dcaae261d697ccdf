"""What the verbs report, as frozen data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envctl.model import Leak, Resource, ServiceStatus


@dataclass(frozen=True, slots=True)
class Phase:
    """What one service cost, in ms since the images were there: its container ran, it answered; how often asked."""

    started_ms: int
    ready_ms: int
    attempts: int


@dataclass(frozen=True, slots=True)
class SeedShare:
    """What became of one service's share of a dataset: its size, and the seconds that loading took.

    `outcome`: `loaded`, `resumed` (an earlier, ended run was gone on from), `replaced` (what was loaded earlier was
    removed first), `there` (all of it was there, nothing was done).
    """

    rows: int
    bytes: int
    seconds: float
    outcome: str


@dataclass(frozen=True, slots=True)
class SeedReport:
    """How `seed` went, `ms` in all. `absent`: services that the dataset fills and this environment does not have.

    `functions`: the dataset's Python functions that were called. Without services all was loaded already, which was
    known without a look at them.
    """

    dataset: str
    scale: float
    ms: int
    digest: str = ""
    services: Mapping[str, SeedShare] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What `seed --verify` found equal: the dataset, and rows by service as they were counted in the services.

    `loaded` says by service which dataset it holds, at which scale; `dataset` and `scale` are the first service's.
    `manifest` is all that was found there, as `envctl.seeding.manifest` describes it: what a repository can keep.
    """

    dataset: str
    scale: float
    ms: int
    services: Mapping[str, int]
    loaded: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UpReport:
    """How `up` went, in ms: in all, and of that until all images were there. `recreated`: why which was made anew."""

    environment: str
    attached: bool
    ms: int
    images_ms: int = 0
    services: Mapping[str, Phase] = field(default_factory=dict)
    recreated: Mapping[str, Sequence[str]] = field(default_factory=dict)
    seed: SeedReport | None = None

    @property
    def critical_path(self) -> list[str]:
        """Services by the moment they were ready, the one that `up` waited for first."""
        return sorted(self.services, key=lambda name: self.services[name].ready_ms, reverse=True)


@dataclass(frozen=True, slots=True)
class Status:
    """What `status` shows; `to_json` is the document of INTERFACE.md."""

    environment: str
    state: str
    profiles: tuple[str, ...]
    services: Mapping[str, ServiceStatus]
    dataset: str | None = None
    faults: tuple[Mapping[str, Any], ...] = ()

    def to_json(self) -> dict[str, object]:
        """The one JSON document of `status --json`."""
        services = {name: {k: v for k, v in asdict(s).items() if k != "name"} for name, s in self.services.items()}
        return {
            "environment": self.environment,
            "state": self.state,
            "profiles": list(self.profiles),
            "dataset": self.dataset,
            "services": services,
            "faults": list(self.faults),
        }


@dataclass(frozen=True, slots=True)
class EnvironmentSummary:
    """One line of `ls`. `ttl_left` is in seconds, None without a time to live; `created` is the engine's time."""

    name: str
    state: str
    services: tuple[str, ...]
    profiles: tuple[str, ...]
    owner: str
    created: str
    ttl_left: float | None


@dataclass(frozen=True, slots=True)
class DownReport:
    """What `down` removed, and what it could not."""

    environments: tuple[str, ...]
    removed: tuple[Resource, ...] = ()
    leaks: tuple[Leak, ...] = ()


@dataclass(frozen=True, slots=True)
class GcReport:
    """What `gc` removed, from which environments and why, and what it kept, and why."""

    removed: tuple[Resource, ...] = ()
    dead: tuple[tuple[str, str], ...] = ()
    kept: tuple[tuple[str, str], ...] = ()
    leaks: tuple[Leak, ...] = field(default=())


class Fate(StrEnum):
    """`committed`: it is there, and its client was told; `rolled-back`: nothing of it is there; `in-doubt`: it is
    there, and its client was never told; `open`: it outlived the kill, and nobody has decided it yet.
    """

    COMMITTED = "committed"
    ROLLED_BACK = "rolled-back"
    IN_DOUBT = "in-doubt"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Transaction:
    """One that was open at the kill. `who` is the client as the service knows it (application, role, pid …), `id` the
    service's own name of the transaction (xid, transactional id, upload id …), `doing` its last statement and state.
    """

    who: str
    id: str
    doing: str
    fate: Fate
    victim: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a kill did. `means` is how it was killed and `recovery_ms` how long until the service answered again;
    `problems` is what recovery should have left right and did not; `facts` what else was seen (prepared transactions,
    waiting locks, sequence gaps, the log's own words about recovery).
    """

    service: str
    means: str
    transactions: tuple[Transaction, ...]
    recovery_ms: int
    problems: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def committed(self) -> tuple[Transaction, ...]:
        """Those that are there, their clients told."""
        return self._of(Fate.COMMITTED)

    @property
    def rolled_back(self) -> tuple[Transaction, ...]:
        """Those of which nothing is there."""
        return self._of(Fate.ROLLED_BACK)

    @property
    def in_doubt(self) -> tuple[Transaction, ...]:
        """Those that are there though their clients were never told."""
        return self._of(Fate.IN_DOUBT)

    @property
    def clean(self) -> bool:
        """Whether recovery left everything right, and no client has a reason to doubt."""
        return not self.problems and not self.in_doubt

    def to_json(self) -> dict[str, Any]:
        """The same facts for `--json`."""
        return {**asdict(self), "clean": self.clean}

    def __str__(self) -> str:
        lines = [f"{self.service}: {self.means}; answered again after {self.recovery_ms} ms"]
        for one in self.transactions:
            mark = "victim" if one.victim else "beside"
            lines.append(f"  {one.fate:<12} {mark}  {one.who}  {one.id}  {one.doing}")
        lines += [f"  {name}: {value}" for name, value in self.facts.items()]
        lines += [f"  PROBLEM: {problem}" for problem in self.problems]
        return "\n".join([*lines, f"  verdict: {'clean' if self.clean else 'NOT clean'}"])

    def _of(self, fate: Fate) -> tuple[Transaction, ...]:
        return tuple(one for one in self.transactions if one.fate is fate)
