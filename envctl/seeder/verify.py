"""Whether what is in the services is what was loaded: read back, weighed again, compared."""

from __future__ import annotations

import json
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from envctl.errors import DatasetDiffers, SeedFailed
from envctl.events import emit
from envctl.reports import VerifyReport
from envctl.seeder.plan import Plan
from envctl.seeder.request import Request
from envctl.seeding.journal import Journal
from envctl.seeding.loading import Seedable
from envctl.seeding.manifest import FUNCTIONS, LOADED, manifest
from envctl.seeding.workers import Workers
from envctl.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from envctl.residents import Residents
    from envctl.state import StateFolder


class Verification:
    """One look into all services that hold something; the caller holds the environment's lock.

    `seeds` are the folders where datasets' names are looked up.
    """

    def __init__(
        self, folder: StateFolder, residents: Residents, services: Sequence[str], seeds: tuple[Path, ...] = ()
    ) -> None:
        self._residents, self._named, self._folders = residents, services, seeds
        self._journal = Journal(folder)
        self._services = [
            name
            for name in self._journal.services()
            if name != FUNCTIONS and name in residents.services and (not services or name in services)
        ]
        self._plans: dict[tuple[str, float], Plan] = {}
        self._stop = threading.Event()
        self._workers: Workers[str] = Workers("what was", self._stop)
        self._measured: dict[str, dict[str, Any]] = {}

    def run(self, wanted: Request | None) -> VerifyReport:
        """Read everything back; `wanted` is what should be there, None: whatever the journal says.

        Raises:
            SeedFailed: nothing was ever loaded, or a service does not answer.
            DatasetDiffers: with the first difference of each service that has one.

        """
        clock = Deadline(float("inf"))
        if not self._services:
            where = f" into {', '.join(self._named)}" if self._named else ""
            raise SeedFailed("a dataset to verify", f"none is loaded{where}", "load one: `envctl seed small`")
        expected = self._plan(wanted.dataset, wanted.scale) if wanted else None
        for name in self._services:
            self._workers.start(name, partial(self._difference, name, self._of(name), expected))
        try:
            found = self._workers.wait()
        except BaseException:
            self._workers.end()
            raise
        if differences := {name: found[name] for name in self._services if found[name]}:
            self._refuse(differences, wanted)
        pages = {name: self._journal.page(name) for name in sorted(self._services)}
        loaded = {name: (page["dataset"], page["scale"]) for name, page in pages.items()}
        first = next(iter(loaded.values()))
        rows = {
            name: sum(int(part.get("rows", 0)) for part in m.values()) for name, m in sorted(self._measured.items())
        }
        kept = manifest(self._journal, self._services)
        return VerifyReport(*first, round(clock.elapsed * 1000), rows, loaded, kept)

    def _of(self, service: str) -> Plan:
        """The plan of what the journal says."""
        page = self._journal.page(service)
        return self._plan(page["file"], page["scale"])

    def _plan(self, reference: str, scale: float) -> Plan:
        if (reference, scale) not in self._plans:
            request = Request(reference, scale, folders=self._folders)
            self._plans[reference, scale] = Plan.of(request, self._stop)
        return self._plans[reference, scale]

    def _difference(self, name: str, plan: Plan, expected: Plan | None) -> str:
        """The first difference of one service in words; empty: it holds what was loaded."""
        found = self._found(name, plan, expected)
        emit("seed.verified", service=name, equal=not found, difference=found)
        return found

    def _found(self, name: str, plan: Plan, expected: Plan | None) -> str:
        page, service = self._journal.page(name), self._residents.services[name]
        if not isinstance(service, Seedable):
            raise TypeError(f"{name} has a page in the journal and cannot be seeded")
        if expected is not None and expected.dataset.digest != page["digest"]:
            return f"holds dataset {page['dataset']!r} at scale {page['scale']:g}, which is another"
        if page["state"] != LOADED:
            return f"dataset {page['dataset']!r} is there in part only; `envctl seed {page['dataset']}` goes on"
        if plan.dataset.digest != page["digest"]:
            return f"the files of dataset {page['dataset']!r} have changed since it was loaded"
        loader = service.loader(self._residents.endpoint(name), plan.job(name, self._journal)[0])
        # As the journal keeps it: a tuple is a list in JSON, and every key a text.
        measured = self._measured[name] = json.loads(json.dumps(loader.measure()))
        if measured == page["manifest"]:
            return ""
        found = loader.difference(page["manifest"], measured)
        if not found and any(part.get("digest", "") is None for part in page["manifest"].values()):
            # Too much was loaded to be read back then. It is proven now, and the next comparison has digests.
            self._journal.notes(name).set(manifest=measured)
            return ""
        return found or "differs from what was loaded"

    def _refuse(self, differences: dict[str, str], wanted: Request | None) -> None:
        listed = "".join(f"\n         - {name}: {difference}" for name, difference in differences.items())
        raise DatasetDiffers(
            f"{', '.join(differences)} as loaded",
            f"{len(differences)} of {len(self._services)} services differ{listed}",
            f"{' and '.join(dict.fromkeys(self._anew(name, wanted) for name in differences))} loads it anew",
        )

    def _anew(self, service: str, wanted: Request | None) -> str:
        """The command line that loads what is to be in a service once more."""
        from envctl.seeding.spec.finding import available, shipped

        page = self._journal.page(service)
        by_name = str(available((*self._folders, shipped())).get(page["dataset"]))
        reference = wanted.dataset if wanted else page["dataset" if by_name == page["file"] else "file"]
        scale = wanted.scale if wanted else page["scale"]
        return f"`envctl seed {reference}{'' if scale == 1 else f' --scale {scale:g}'} --force`"
