"""What the verbs report, as frozen data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
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

    `manifest` is all that was found there, as `envctl.seeding.manifest` describes it: what a repository can keep.
    """

    dataset: str
    scale: float
    ms: int
    services: Mapping[str, int]
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
    faults: tuple[str, ...] = ()

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
