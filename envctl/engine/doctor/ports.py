"""The check of the standard ports: which are taken, by which process, by which container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl.engine.doctor.finding import Finding, Level
from envctl.engine.ports import is_free
from envctl.model import ENVIRONMENT_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.engine.doctor.site import Site

STANDARD = {
    5432: "postgres",
    6379: "redis",
    2181: "zookeeper",
    9092: "kafka",
    9094: "kafka (sasl)",
    9000: "minio",
    9001: "minio (console)",
    15002: "spark-connect",
}
"""The host ports that people expect (INTERFACE, and compose/services)."""


def ports(site: Site) -> list[Finding]:
    """A finding for each taken port, and one for those that are free."""
    taken = [port for port in STANDARD if not is_free(port)]
    free = [port for port in STANDARD if port not in taken]
    findings = []
    if free:
        found, data = f"free: {', '.join(map(str, free))}", {"free": free}
        findings.append(Finding("ports", Level.OK, found, "services get their standard ports", data=data))
    if taken:
        processes, containers = listening_processes(), publishing_containers(site)
        findings += [_taken(port, processes.get(port), containers.get(port)) for port in taken]
    return findings


def _taken(port: int, process: tuple[int, str] | None, container: tuple[str, str] | None) -> Finding:
    """The finding for one taken port, with the best name for its holder."""
    owners = []
    if container:
        owners.append(f"container {container[0]}" + (f" of environment {container[1]}" if container[1] else ""))
    if process:
        owners.append(f"{process[1]} (pid {process[0]})")
    owner = ", ".join(owners) or "a process of another user (run as root to see which)"
    data: dict[str, object] = {
        "port": port,
        "service": STANDARD[port],
        "pid": process[0] if process else None,
        "process": process[1] if process else None,
        "container": container[0] if container else None,
        "environment": container[1] if container else None,
    }
    meaning = f"{STANDARD[port]} of a new environment gets another port, pinned for its life; `--ports strict` fails"
    advice = "" if container and container[1] else "nothing, or stop the holder to have the standard port"
    return Finding(f"port.{port}", Level.WARN, f"held by {owner}", meaning, advice, data)


def listening_processes() -> dict[int, tuple[int, str]]:
    """Port to (pid, name) of the listeners that this user may see."""
    import psutil

    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return {}  # macOS shows other processes' sockets to root only; the finding says so
    found = {}
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.pid and connection.laddr:
            found[connection.laddr.port] = (connection.pid, _process_name(connection.pid))
    return found


def _process_name(pid: int) -> str:
    """The name of a process that may have ended by now."""
    import psutil

    try:
        return psutil.Process(pid).name()
    except psutil.NoSuchProcess:
        return "a process that has just ended"


def publishing_containers(site: Site) -> dict[int, tuple[str, str]]:
    """Host port to (container, environment or '') of the running containers."""
    if site.engine is None:
        return {}
    found: dict[int, tuple[str, str]] = {}
    for container in site.engine.api.containers():
        labels: Mapping[str, str] = container.get("Labels") or {}
        name = str((container.get("Names") or [container["Id"]])[0]).lstrip("/")
        for port in container.get("Ports") or ():
            if port.get("PublicPort"):
                found[int(port["PublicPort"])] = (name, labels.get(ENVIRONMENT_LABEL, ""))
    return found
