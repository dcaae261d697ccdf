"""The back end `tc`: bandwidth, by the kernel's own shapers."""

from __future__ import annotations

from typing import Any


def begin(wire: dict[str, Any]) -> dict[str, Any]:
    """Put the shapers there."""
    raise NotImplementedError(wire)


state = end = left = foreign = begin
