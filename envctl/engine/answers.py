"""What the engine answers, as envctl's own data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from envctl.model import ENVIRONMENT_LABEL, RELAYED_LABEL, SERVICE_LABEL, Container, Resource, State

if TYPE_CHECKING:
    from collections.abc import Iterator


def resource(kind: str, name: str, identity: str, labels: dict[str, str] | None) -> Resource:
    """One thing on the engine, with the environment that its labels name."""
    labels = labels or {}
    return Resource(kind, name, identity, labels.get(ENVIRONMENT_LABEL, ""), labels)


def container(data: dict[str, Any]) -> Container:
    """`docker inspect`'s answer as a Container."""
    state, labels = data["State"], data["Config"]["Labels"] or {}
    return Container(
        id=data["Id"],
        name=data["Name"].lstrip("/"),
        environment=labels.get(ENVIRONMENT_LABEL, ""),
        service=labels.get(SERVICE_LABEL, data["Name"].lstrip("/")),
        image=data["Config"]["Image"],
        state=State(state["Status"]),
        health=(state.get("Health") or {}).get("Status", ""),
        exit_code=state["ExitCode"],
        oom_killed=state["OOMKilled"],
        error=state.get("Error", ""),
        restarts=data["RestartCount"],
        created=data["Created"],
        started_at=state["StartedAt"],
        finished_at=state["FinishedAt"],
        ports=_relayed(labels) or _ports(data["HostConfig"].get("PortBindings") or {}),
        labels=labels,
        volumes=tuple(m["Name"] for m in data["Mounts"] if m["Type"] == "volume"),
    )


def _relayed(labels: dict[str, str]) -> dict[int, int]:
    """The ports of a service whose connections come through the relay."""
    return {int(port): int(host) for port, host in json.loads(labels.get(RELAYED_LABEL, "{}")).items()}


def _ports(bindings: dict[str, list[dict[str, str]] | None]) -> dict[int, int]:
    """`{"5432/tcp": [{"HostPort": "15432"}]}` → `{5432: 15432}`: the pinned binding, true while stopped too."""
    return {
        int(port.partition("/")[0]): int(hosts[0]["HostPort"])
        for port, hosts in bindings.items()
        if port.endswith("/tcp") and hosts and hosts[0].get("HostPort", "").isdigit()
    }


def lines(chunks: Iterator[bytes]) -> Iterator[str]:
    """Chunks of a stream as lines of text, whatever bytes a container writes."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace").rstrip("\r") for line in whole)
    if rest:
        yield rest.decode(errors="replace")
