"""What a service's loader is given, and what it must do; the orchestration of all of them is `envctl.seeder`."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from envctl.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from envctl.model import Endpoint
    from envctl.seeding.facts import Facts
    from envctl.seeding.journal import Notes
    from envctl.seeding.spec import Dataset
    from envctl.seeding.world import World

    JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is to load: rows (messages, keys, objects) and bytes, as they travel to the service."""

    rows: int
    bytes: int

    def __add__(self, other: Size) -> Size:
        return Size(self.rows + other.rows, self.bytes + other.bytes)


@dataclass
class Job:
    """One service's share of one `seed`: everything a loader needs besides its endpoint.

    `notes` is the service's page of the journal: written and fsynced before the act that it describes.
    `progress(rows, bytes)` says what has just been loaded. `jobs` is how many connections or threads it may use.
    """

    dataset: Dataset
    world: World
    facts: Facts
    notes: Notes
    progress: Callable[[int, int], None]
    jobs: int = 2
    stop: threading.Event = field(default_factory=threading.Event)

    def go_on(self) -> None:
        """Called between any two chunks.

        Raises:
            Interrupted: the user, or the failure of another service, ended the work.

        """
        if self.stop.is_set():
            raise Interrupted("the dataset loaded", "ended before it was whole", "run `envctl seed` again: it goes on")


class Loader(Protocol):
    """Loads one service's share, and reads it back. Made anew for each run; any method may be called on its own."""

    def size(self) -> Size:
        """What is to be loaded in all, also where a part is there already. Asks no service."""
        ...

    def footprint(self) -> JSON:
        """What `clear` needs to remove all of it later, without the dataset; journaled before the first load."""
        ...

    def conflicts(self) -> list[str]:
        """What stands in the way in the service and belongs to no dataset, one sentence each; empty: free to load."""
        ...

    def load(self) -> None:
        """Load what is not there yet, from wherever an earlier, killed run got to; idempotent.

        Raises:
            SeedFailed: the service refused or went away; Interrupted: `job.stop` was set.

        """
        ...

    def present(self) -> bool:
        """Whether the service still holds what was loaded, by a look that costs milliseconds (not: unchanged)."""
        ...

    def measure(self) -> JSON:
        """The service's section of the manifest, computed from what is in the service now.

        `{target: {"rows": int, …digests…}}` by table, topic, key rule or object.
        """
        ...

    def difference(self, recorded: JSON, measured: JSON) -> str:
        """The first difference in words, as exact as can be had (table, row, column; topic, partition, offset …)."""
        ...


@runtime_checkable
class Seedable(Protocol):
    """A service that datasets can be loaded into."""

    def loader(self, at: Endpoint, job: Job) -> Loader:
        """The loader of this service's share of the job's dataset."""
        ...

    def clear(self, at: Endpoint, footprint: Mapping[str, Any]) -> str:
        """Remove what a footprint names, and say in a few words what was removed; what is gone already is fine."""
        ...
