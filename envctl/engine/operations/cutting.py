"""The back end `ss`: live connections are reset, once, by the kernel's own means (INET_DIAG_DESTROY)."""

from __future__ import annotations

from typing import Any

from envctl.engine.operations import connections


def begin(wire: dict[str, Any]) -> dict[str, Any]:
    """Cut all that the wire means."""
    return {"cut": connections.cut(connections.live(wire))}


def state(wire: dict[str, Any]) -> dict[str, Any]:
    """How many there are now."""
    return {"live": len(connections.live(wire))}


def end(wire: dict[str, Any]) -> bool:
    """It was over at once."""
    del wire
    return True


def left(wire: dict[str, Any]) -> list[str]:
    """Nothing."""
    del wire
    return []


def foreign(wire: dict[str, Any]) -> str:
    """Nothing."""
    del wire
    return ""
