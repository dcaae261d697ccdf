"""Version numbers out of the many ways in which programs print theirs."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


def numbers(text: str) -> tuple[int, ...]:
    """The first dotted number: `v2.26.1-4` → (2, 26, 1), `20.10.24+dfsg1` → (20, 10, 24); () when there is none."""
    match = _NUMBER.search(text)
    return tuple(int(part) for part in match.groups() if part) if match else ()


def text(version: tuple[int, ...]) -> str:
    """(2, 20) → `2.20`."""
    return ".".join(map(str, version))
