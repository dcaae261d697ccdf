"""What the faults of the services' own ways share: the fault has the name, the parameters and the words; how it is
done stands with the service, as a `capabilities.Way` of the same name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from envctl.capabilities import HasWays, Way
from envctl.faults.fault import JSON, Abode, Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.protocols import Service
    from envctl.site import Site


@dataclass(frozen=True)
class OwnWay(Fault):
    """A fault that a service does to itself, in a way of its own."""

    lives_in: ClassVar[Abode] = Abode.DATA
    instead: ClassVar[str]
    """For services that have no such way: what to use, without the word `use`."""

    @classmethod
    def unfit(cls, service: Service) -> str:
        """The service must have this way."""
        if isinstance(service, HasWays) and cls.name in service.ways:
            return ""
        return f"{service.name} has no way to do this; use {cls.instead}"

    @classmethod
    def words(cls, service: Service) -> Mapping[str, Mapping[str, str]]:
        """The words that this service's way takes."""
        return {} if cls.unfit(service) else _way(cls, service).words

    def problems(self, service: Service) -> Iterable[str]:
        """Words that are none, and what the way itself says."""
        for parameter, known in self.words(service).items():
            found = getattr(self, parameter)
            if found and found not in known:
                yield f"--{parameter.replace('_', '-')}: wanted one of {', '.join(known)}, found {found!r}"
        yield from _way(type(self), service).problems(self.parameters())

    def claims(self, site: Site) -> Sequence[str]:
        """What the way says."""
        return _way(type(self), site.service).claims(self.parameters())

    def plan(self, site: Site) -> JSON:
        """Look."""
        return _way(type(self), site.service).look(site, self.parameters())

    def apply(self, site: Site, plan: JSON) -> None:
        """Hurt."""
        _way(type(self), site.service).hurt(site, self.parameters(), plan)

    def bites(self, site: Site, plan: JSON) -> JSON:
        """See it hurt."""
        return _way(type(self), site.service).check_hurt(site, self.parameters(), plan)

    def undo(self, site: Site, plan: JSON) -> None:
        """Mend."""
        _way(type(self), site.service).mend(site, self.parameters(), plan)

    def recovered(self, site: Site, plan: JSON) -> JSON:
        """See it mended."""
        return _way(type(self), site.service).check_mended(site, self.parameters(), plan)


def _way(fault: type[OwnWay], service: Service) -> Way:
    assert isinstance(service, HasWays), service.name  # noqa: S101 - `unfit` has seen to it
    return service.ways[fault.name]
