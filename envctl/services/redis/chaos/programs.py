"""Programs of `engine.gates` that faults of Redis have in the server's network namespace, or ask from outside of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envctl.engine.gates import inside, program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envctl.site import Site

JSON = dict[str, Any]


def begin(site: Site, name: str, mark: str, *arguments: object, login: Mapping[str, str] | None = None) -> JSON:
    """Have a program begin where the server's network is, with its port and process; what it says."""
    pid, port = site.hands.pid(site.container.id), next(iter(site.service.ports.values()))
    return _run(site, inside(pid), name, "begin", mark, (port, pid, *arguments), login)


def state(site: Site, name: str, mark: str, *, within: bool = False) -> JSON:
    """What a program says of itself, when it is asked from the surgeon or `within` the server's network."""
    return _run(site, _where(site, within), name, "state", mark)


def end(site: Site, name: str, mark: str, *, within: bool = False) -> JSON:
    """Have a program end, and say what is left of it; idempotent."""
    return _run(site, _where(site, within), name, "end", mark)


def _where(site: Site, within: bool) -> list[str]:
    return inside(site.hands.pid(site.running().id)) if within else []


def _run(
    site: Site,
    where: Sequence[str],
    name: str,
    verb: str,
    mark: str,
    arguments: Sequence[object] = (),
    login: Mapping[str, str] | None = None,
) -> JSON:
    """What it says. Raises as `Hands.ask`."""
    command = [*where, "python3", "-c", program(name), verb, mark, *map(str, arguments)]
    return dict(site.hands.ask(site.environment, command, login))
