"""What the engine says when an image cannot be had, sorted into errors.

The engine passes a registry's refusal on as text only, so text it is; the patterns are those of Docker Engine 20.10
to 28 and of containerd, whose words newer engines use.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from envctl.errors import DigestMismatch, DiskFull, ImageError, RateLimited, RegistryUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable


class RegistryTrouble(RegistryUnreachable):
    """The registry failed in a way that may be over in a moment: 5xx, a time-out, a broken connection."""


class NotInRegistry(RegistryUnreachable):
    """The registry answers, and does not hold the image or does not give it to us."""


NO_SPACE = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
_MISMATCH = re.compile(
    r"verification failed|does not match|unexpected commit digest|digest mismatch|invalid checksum|"
    r"unexpected EOF.*digest",
    re.IGNORECASE,
)
_LIMITED = re.compile(r"toomanyrequests|too many requests|rate limit|\b429\b", re.IGNORECASE)
_NOBODY = re.compile(
    r"no such host|connection refused|network is unreachable|no route to host|x509|certificate|server misbehaving|"
    r"name resolution|HTTP response to HTTPS client|proxyconnect",
    re.IGNORECASE,
)
SERVER_ERROR = re.compile(r"HTTP status:? 5\d\d|status code 5\d\d|internal server error|unavailable", re.IGNORECASE)
_BROKEN = re.compile(
    r"timeout|timed out|deadline exceeded|connection reset|broken pipe|unexpected EOF|: EOF\b", re.IGNORECASE
)
_ABSENT = re.compile(
    r"manifest unknown|not found|does not exist|access denied|unauthorized|denied|no basic auth|name unknown|"
    r"no match for platform|no matching manifest",
    re.IGNORECASE,
)

DO_WITHOUT = "take it from package registries with `--images packages`"


def refusal(image: str, message: str) -> ImageError:
    """The error that `message`, said by the engine while it pulled `image`, stands for."""
    wanted, found = f"pull {image}", message.strip() or "no reason given"
    for pattern, make in _VERDICTS:
        if pattern.search(message):
            return make(wanted, found)
    return absent(wanted, found)


def no_room(wanted: str, found: str) -> DiskFull:
    """No space for an image."""
    return DiskFull(wanted, found, "free space with `envctl images prune`, `docker builder prune` or a larger disk")


def mismatch(wanted: str, found: str) -> DigestMismatch:
    """A registry served something else than what is pinned."""
    return DigestMismatch(
        wanted,
        f"{found}; it was not used",
        f"someone or something changed the image on its way (a proxy, a mirror): find out, or {DO_WITHOUT}",
    )


def limited(wanted: str, found: str) -> ImageError:
    """The registry answered that we ask too often."""
    return RateLimited(
        wanted, found, f"log in with `docker login`, set ENVCTL_REGISTRY to a mirror, wait, or {DO_WITHOUT}"
    )


def nobody(wanted: str, found: str) -> ImageError:
    """No registry answers the engine."""
    return RegistryUnreachable(
        wanted, found, f"set ENVCTL_REGISTRY to a mirror that this engine can reach, or {DO_WITHOUT}"
    )


def trouble(wanted: str, found: str) -> ImageError:
    """The registry failed, perhaps for a moment only."""
    return RegistryTrouble(wanted, found, f"try again later, or {DO_WITHOUT}")


def absent(wanted: str, found: str) -> ImageError:
    """The registry does not give the image."""
    return NotInRegistry(wanted, found, f"check the name, log in with `docker login` if it is private, or {DO_WITHOUT}")


_VERDICTS: tuple[tuple[re.Pattern[str], Callable[[str, str], ImageError]], ...] = (
    (NO_SPACE, no_room),
    (_MISMATCH, mismatch),
    (_LIMITED, limited),
    (_NOBODY, nobody),
    (SERVER_ERROR, trouble),
    (_BROKEN, trouble),
    (_ABSENT, absent),
)
