"""Where the services are, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl.cli import output, phrases

if TYPE_CHECKING:
    from envctl.model import ServiceStatus
    from envctl.reports import Status

_COLOURS = {"ready": "green", "running": "green", "exited": "red", "dead": "red", "failed": "red", "absent": "red"}


def endpoints(status: Status) -> str:
    """What `up` ends with: one row per published port."""
    rows = [row for service in status.services.values() for row in _port_rows(service)]
    return output.table(["service", "address", "port", "ready after"], rows)


def overview(status: Status) -> str:
    """What `status` shows: one row per service, and what is in force."""
    rows = [_service_row(service) for service in status.services.values()]
    header = ["service", "state", "address", "ready after", "restarts", "image"]
    facts = {
        "profiles": ", ".join(status.profiles) or "none",
        "dataset": status.dataset or "none",
        "faults": ", ".join(str(fault["id"]) for fault in status.faults) or "none",
    }
    title = f"{status.environment}: {_coloured(status.state)}"
    return "\n".join([title, *(f"{key}: {value}" for key, value in facts.items()), "", output.table(header, rows)])


def _port_rows(service: ServiceStatus) -> list[list[str]]:
    ready = _ready(service)
    if not service.ports:
        return [[service.name, "none published", "", ready]]
    addresses = [(name, f"{service.host}:{port}") for name, port in service.ports.items()]
    first, *others = addresses
    return [[service.name, first[1], first[0], ready], *(["", address, name, ""] for name, address in others)]


def _service_row(service: ServiceStatus) -> list[str]:
    image = f"{service.image}, {service.image_source}" if service.image_source else service.image
    state, restarts = _coloured(service.state), str(service.restarts)
    return [service.name, state, _address(service), _ready(service), restarts, image]


def _address(service: ServiceStatus) -> str:
    """The main address and, behind it, the other ports by name."""
    if service.port is None:
        return ""
    others = [f"{name} {port}" for name, port in service.ports.items() if port != service.port]
    return f"{service.host}:{service.port}" + (f" ({', '.join(others)})" if others else "")


def _ready(service: ServiceStatus) -> str:
    return "" if service.ready_ms is None else phrases.duration(service.ready_ms)


def _coloured(state: str) -> str:
    colour = _COLOURS.get(state)
    return output.colour(state, fg=colour) if colour else state
