"""What a `seed` is asked for, and whether that is the case already, without reading the dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envctl.errors import UsageError
from envctl.events import emit
from envctl.reports import SeedReport
from envctl.residents import Residents
from envctl.seeding import proof
from envctl.seeding.scale import checked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from envctl.config import Settings
    from envctl.engine.docker_engine import DockerEngine
    from envctl.model import Container
    from envctl.state import StateFolder


@dataclass(frozen=True, slots=True)
class Request:
    """A dataset by name or path; `folders` are where names are looked up. Empty `services`: all that it fills.

    `jobs` is how many connections or threads one service may use, None for as many as suit this machine.
    """

    dataset: str
    scale: float = 1.0
    services: tuple[str, ...] = ()
    jobs: int | None = None
    force: bool = False
    folders: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no dataset can make good.

        Raises:
            UsageError: a scale that is no finite number above 0, or a number of jobs that is none.

        """
        checked(self.scale)
        if self.jobs is not None and (type(self.jobs) is not int or self.jobs < 1):
            wanted = "a whole number of jobs for each service, at least 1"
            raise UsageError(wanted, repr(self.jobs), "leave `jobs` out for as many as suit this machine")

    @classmethod
    def of(cls, settings: Settings) -> Request | None:
        """What the settings ask for; None when they name no dataset."""
        if settings.dataset is None:
            return None
        return cls(settings.dataset, settings.scale, folders=settings.seeds)

    def wanted(self) -> dict[str, Any]:
        """What decides which data this means, with the file that a name leads to at this moment."""
        named = (folder / f"{self.dataset}.yaml" for folder in self.folders)
        file = next((path for path in named if path.is_file()), Path(self.dataset))
        return {"dataset": self.dataset, "scale": self.scale, "file": str(file)}

    def is_met(self, folder: StateFolder, containers: Iterable[Container]) -> bool:
        """Whether all of it was loaded into what runs now, and nothing has changed since: a few looks at files."""
        return not self.force and not self.services and proof.holds(folder, self.wanted(), containers)


def as_configured(
    settings: Settings,
    engine: DockerEngine,
    folder: StateFolder,
    containers: Sequence[Container],
    environment: object,
) -> SeedReport | None:
    """What the settings ask for in an environment that is up, for the holder of its lock: loaded, unless it is there.

    Raises:
        EnvctlError: what `run.seed` raises.

    """
    request = Request.of(settings)
    if request is None:
        return None
    if request.is_met(folder, containers):
        emit("seed.skipped", dataset=request.dataset, reason="loaded already")
        return SeedReport(request.dataset, request.scale, 0)
    from envctl.seeder.run import seed

    return seed(request, engine, folder, Residents(engine, folder.load(), containers), environment)
