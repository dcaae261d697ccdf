"""What some faults need before they can be put in force at all: something to hurt, and its name."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from envctl import Environment

ARRANGED: Mapping[tuple[str, str], Callable[[Environment], dict[str, Any]]] = MappingProxyType({})
"""By fault and service: makes what it needs, where it is not there yet, and returns the parameters."""
