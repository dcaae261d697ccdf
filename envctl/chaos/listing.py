"""What can be done to which service here, and why not where it cannot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from envctl.catalog import FAULTS, SERVICES
from envctl.errors import EnvctlError, NoSuchEnvironment, UnknownName
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envctl.chaos.ward import Ward
    from envctl.faults.fault import Fault
    from envctl.protocols import Service
    from envctl.residents import Residents


@dataclass(frozen=True, slots=True)
class Row:
    """One fault on one service: `possible`, or the `reason` why not; `summary` is the fault's own line, `by` what
    it would be done where there are several ways.
    """

    fault: str
    service: str
    possible: bool
    reason: str
    summary: str
    by: str = ""


def rows(ward: Ward, services: Sequence[str] = ()) -> list[Row]:
    """Every fault for each service of the environment; without one, for all of the catalog, as far as can be told.

    Raises:
        UnknownName: no service has one of these names.

    """
    known: dict[str, Service]
    residents: Residents | None
    try:
        residents = ward.residents()
        known = residents.services
    except NoSuchEnvironment:
        known, residents = dict(SERVICES), None
    for name in services:
        if name not in known:
            raise UnknownName(f"service of environment {ward.name!r}", name, known)
    wanted = {name: service for name, service in known.items() if not services or name in services}
    return [
        _row(ward, residents, fault, name, service) for fault in FAULTS.values() for name, service in wanted.items()
    ]


def _row(ward: Ward, residents: Residents | None, fault: type[Fault], name: str, service: Service) -> Row:
    reason, by = fault.unfit(service), ""
    if not reason and residents is not None:
        try:
            site = ward.site(name, among=residents)
            reason = fault().obstacle(site)
            by = "" if reason else fault().by(site)
        except (EnvctlError, NotReady) as error:
            reason = f"cannot be told: {error}".partition("\n")[0]
    return Row(fault.name, name, not reason, reason, fault.summary, by)
