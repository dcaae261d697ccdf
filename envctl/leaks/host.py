"""What an environment may leave on the engine and the host: containers, networks, volumes, helpers, ports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl.engine import guardian, ports
from envctl.model import Leak

if TYPE_CHECKING:
    from collections.abc import Collection

    from envctl.model import Resource
    from envctl.protocols import Engine

_PROXY = "docker-proxy"
"""The engine's helper that holds a published port; one without a container is a leak of the engine's."""


def remaining(engine: Engine, environment: str, known: Collection[Resource], host_ports: Collection[int]) -> list[Leak]:
    """What is still there of an environment that was taken down.

    Looks by label, then for each resource that was known before (an anonymous volume carries no label), for
    guardians, and for its host ports: one that an engine's proxy still holds though no container publishes it.
    """
    labelled = engine.resources(environment)
    seen = {resource.id for resource in labelled}
    unlabelled = [r for r in known if r.kind != "process" and r.id not in seen and engine.exists(r)]
    leaks = [Leak(r.kind, "engine", r.name, "is still there after its removal") for r in (*labelled, *unlabelled)]
    leaks += [
        Leak("process", "host", f"guardian (pid {p.pid})", "is still alive") for p in guardian.running(environment)
    ]
    return leaks + _held(host_ports)


def _held(host_ports: Collection[int]) -> list[Leak]:
    """Ports that only the engine's proxy can still hold; another program may have taken one, which is its right."""
    held = [port for port in host_ports if not ports.is_free(port)]
    owners = {port: ports.listener(port) for port in held}
    return [
        Leak("port", "host", str(port), f"still held by {owner}, though its container is gone")
        for port, owner in owners.items()
        if owner.startswith(_PROXY)
    ]
