"""Attaching: what makes a second `up` cost one look.

An environment is taken as it is when nothing that decides its model changed since it was proven ready, and every
container is in the very start that was proven. Whatever else is the case, the whole procedure finds out.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from envctl.config import bundle_root
from envctl.model import State
from envctl.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable

    from envctl.config import Settings
    from envctl.model import Container
    from envctl.state import Pins

_READ = ("_PORT", "_IMAGE")


def unchanged(settings: Settings, pins: Pins, containers: Iterable[Container]) -> bool:
    """Whether the environment is up, as it is wanted now, and as it was proven ready."""
    if not pins.digest or pins.digest != digest(settings):
        return False
    now = {
        container.id: container.started_at
        for container in containers
        if container.state is State.RUNNING and container.health != "unhealthy"
    }
    return bool(now) and now == pins.ready


def digest(settings: Settings) -> str:
    """A digest of everything that decides the model; empty where the user's files may draw in others."""
    if settings.files:
        return ""
    # What is loaded decides no model; whether it is there is looked at by itself.
    wanted = replace(settings, timeout=0, ttl=None, dataset=None, scale=1.0, seeds=(), overrides={})
    overrides = [(name, o.port, o.image, *o.options.items()) for name, o in sorted(settings.overrides.items())]
    # The caller's variables that envctl's own compose files read.
    shell = [item for item in sorted(os.environ.items()) if item[0].startswith("ENVCTL_") and item[0].endswith(_READ)]
    compose = bundle_root() / "compose"
    files = [compose / "compose.yaml", *sorted(compose.glob("services/*.yaml"))]
    parts = [__version__, repr(wanted), repr(overrides), repr(shell), *(file.read_text() for file in files)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
