"""One service's share of a dataset: what of it is there, what must go first, and loading the rest."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from envctl.errors import SeedConflict
from envctl.events import emit
from envctl.reports import SeedShare
from envctl.seeding.loading import Size
from envctl.seeding.manifest import CLEARING, LOADED, LOADING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.model import Endpoint
    from envctl.seeding.loading import Job, Seedable
    from envctl.seeding.progress import Progress


class Standing(StrEnum):
    """What is in a service before its share is loaded, in the word that the report has for how the load went."""

    THERE = "there"
    """All of this very share: nothing is done."""

    RESUMED = "resumed"
    """A part of this very share."""

    REPLACED = "replaced"
    """Something that was loaded earlier and must go: another dataset, or what is left of one that was damaged."""

    LOADED = "loaded"
    """Nothing of any dataset's."""


@dataclass
class Share:
    """One service's part in one `seed`. Its `size` is told before anything is loaded, and not needed for a look.

    `container` is what serves the data now. With `force` whatever is there is removed first, also what belongs to no
    dataset.
    """

    service: str
    seedable: Seedable
    at: Endpoint
    job: Job
    progress: Progress
    container: str = ""
    force: bool = False

    def __post_init__(self) -> None:
        self.loader = self.seedable.loader(self.at, self.job)
        self._page: dict[str, Any] = {}
        self.standing, self.assessed, self.size = Standing.LOADED, False, Size(0, 0)

    def assess(self) -> None:
        """Look what is there. Changes nothing in the service.

        Raises:
            SeedConflict: something stands in the way that belongs to no dataset.

        """
        self._page = self.job.notes.page()
        self.standing, self.assessed = self._found(), True
        if self.standing is Standing.LOADED and not self.force:
            self._refuse_conflicts()

    def load(self) -> SeedShare:
        """Do what is to be done after `assess`, and say what that was.

        Raises:
            SeedFailed: the service refused or went away; what was loaded is gone on from by the next run.
            Interrupted: the job was stopped.

        """
        self.progress.begin(self.size)
        if self.standing is Standing.THERE:
            self.job.notes.set(container=self.container)
            emit("seed.skipped", service=self.service, reason="loaded already")
            return SeedShare(self._rows(self._page["manifest"]), self.size.bytes, 0.0, str(self.standing))
        if self.standing is Standing.RESUMED:
            emit("seed.resumed", service=self.service)
        else:
            self._make_room()
        self.loader.load()
        found = self.loader.measure()
        self.job.notes.set(manifest=found, state=LOADED)
        rows, seconds = self._rows(found), round(self.progress.seconds, 3)
        emit("seed.loaded", service=self.service, rows=rows, bytes=self.size.bytes, seconds=seconds)
        return SeedShare(rows, self.size.bytes, seconds, str(self.standing))

    def _rows(self, found: Mapping[str, Any]) -> int:
        """What there is in the service, as `verify` counts it: keys, where several rows filled one.

        Of a service that counts nothing: what was done.
        """
        return sum(int(part.get("rows", 0)) for part in found.values()) or self.size.rows

    def _found(self) -> Standing:
        page, state = self._page, self._page.get("state")
        if not page:
            return Standing.LOADED
        if self.force or page.get("digest") != self.job.dataset.digest or state == CLEARING:
            return Standing.REPLACED
        if state == LOADING:
            # Another container may have another volume, where notes on how far it had come lead astray.
            return Standing.RESUMED if page.get("container") == self.container else Standing.REPLACED
        # What somebody has damaged since cannot be gone on from: the marks of what was loaded may have survived it.
        return Standing.THERE if self.loader.present() else Standing.REPLACED

    def _make_room(self) -> None:
        """Remove what is there, and note what will be: whatever dies from now on, the next run knows what to remove."""
        footprint = self.loader.footprint()  # refuses what cannot be loaded, while what was loaded is still there
        if self._page:
            self._clear(str(self._page.get("dataset", "")), self._page.get("footprint", {}))
        if self.force and self.loader.conflicts():
            self._clear("", footprint)
        if self._page or self.force:
            self._refuse_conflicts()
        dataset = self.job.dataset
        self.job.notes.set(
            dataset=dataset.name,
            file=str(dataset.file),
            digest=dataset.digest,
            scale=dataset.scale,
            state=LOADING,
            footprint=footprint,
            container=self.container,
            bytes=self.size.bytes,
        )

    def _clear(self, dataset: str, footprint: dict[str, Any]) -> None:
        if self._page:
            self.job.notes.set(state=CLEARING)
        reason = self._why() if dataset else ""
        removed = self.seedable.clear(self.at, footprint)
        self.job.notes.forget()
        emit("seed.replaced", service=self.service, dataset=dataset, reason=reason, removed=removed)

    def _why(self) -> str:
        """Why the very dataset that is wanted must go, in words that follow its name; nothing for another one."""
        page, dataset = self._page, self.job.dataset
        if page.get("file") != str(dataset.file):
            return ""
        if page.get("scale") != dataset.scale:
            return f"at scale {page.get('scale', 1.0):g}"
        if page.get("digest") != dataset.digest:
            return "whose files have changed"
        return "to load it anew" if self.force else "of which a part is missing"

    def _refuse_conflicts(self) -> None:
        if conflicts := self.loader.conflicts():
            raise SeedConflict(
                f"room in {self.service} for dataset {self.job.dataset.name!r}",
                "".join(f"\n         - {conflict}" for conflict in conflicts).strip(),
                "remove it, take another environment, or let `envctl seed --force` remove it",
            )
