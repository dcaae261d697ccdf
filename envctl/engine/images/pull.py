"""Images from a registry, by tag and digest."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from envctl import events
from envctl.engine.images import refusal
from envctl.engine.images.crew import Job, Stop, work_through
from envctl.engine.images.registry import Silence, probe_all, pull_lines
from envctl.engine.images.room import check_room
from envctl.engine.images.stock import ResolvedImage, Stock, resolved
from envctl.errors import ImageError, RateLimited, RegistryUnreachable
from envctl.waiting import retry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envctl.engine.images.reference import Reference
    from envctl.engine.images.workshop import Workshop

AT_ONCE = 2
"""Pulls at a time: while one unpacks another downloads; the engine itself downloads three layers at a time."""

ATTEMPTS = 3

SAY_EVERY = 0.5
"""Seconds between two reports of progress."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One image to pull for one service; `size` in bytes, 0 when unknown."""

    service: str
    reference: Reference
    size: int = 0


def pull_all(shop: Workshop, wishes: Sequence[Wish]) -> dict[str, ResolvedImage | ImageError]:
    """Pull them all; by service, what is here now or why it is not.

    Each registry is probed first; one that does not answer, or limits us, is not asked for the rest.
    """
    verdicts = probe_all(shop, [wish.reference for wish in wishes])
    jobs = [Job(wish.service, partial(_outcome, shop, wish, verdicts)) for wish in wishes]
    return work_through(jobs, AT_ONCE)


def pull(shop: Workshop, wish: Wish, stop: Stop) -> ResolvedImage:
    """Pull one image and look at what came. Passing troubles are tried again, three times in all.

    Raises:
        ImageError: its children say why; the image is not used then.

    """
    name, started = str(wish.reference), time.monotonic()
    check_room(shop, f"pull {name}", wish.size)
    retry(lambda: _attempt(shop, wish.reference, stop), on=refusal.RegistryTrouble, attempts=ATTEMPTS)
    found = Stock.look(shop.api).find(wish.reference)
    if found is None:
        raise RegistryUnreachable(f"pull {name}", "the engine ended the pull and has no such image", "run it again")
    if wish.reference.digest and wish.reference.pinned not in found.digests:
        raise refusal.mismatch(f"pull {name}", f"the engine got {', '.join(found.digests) or 'an unnamed image'}")
    image = resolved(wish.service, wish.reference, found)
    seconds = round(time.monotonic() - started, 1)
    events.emit("image.pulled", image=name, service=wish.service, digest=image.proof, seconds=seconds, bytes=found.size)
    return image


def _outcome(shop: Workshop, wish: Wish, verdicts: dict[str, ImageError], stop: Stop) -> ResolvedImage | ImageError:
    """The image, or why not. "Too many requests" becomes the verdict on all that is left to pull from there."""
    host, name = wish.reference.host, str(wish.reference)
    try:
        if host in verdicts:
            raise type(verdicts[host])(f"pull {name}", verdicts[host].found, verdicts[host].advice)
        return pull(shop, wish, stop)
    except ImageError as error:
        if isinstance(error, RateLimited):
            verdicts[host] = error
        events.emit(
            "image.pull_failed",
            image=name,
            service=wish.service,
            error=type(error).__name__,
            reason=error.found,
            advice=error.advice,
        )
        return error


def _attempt(shop: Workshop, reference: Reference, stop: Stop) -> None:
    """Pull once, reporting bytes on the way."""
    progress = _Progress(str(reference))
    try:
        for said in pull_lines(shop, reference, stop):
            progress.note(said)
    except Silence as silence:
        stop.heed()
        raise refusal.trouble(f"pull {reference}", str(silence)) from silence


class _Progress:
    """Bytes so far over all layers, said at most twice a second."""

    def __init__(self, image: str) -> None:
        self._image, self._said = image, 0.0
        self._layers: dict[str, tuple[int, int]] = {}
        events.emit("image.pulling", image=image)

    def note(self, said: Mapping[str, Any]) -> None:
        """Take one line of the engine's report in."""
        detail = said.get("progressDetail") or {}
        if said.get("status") == "Downloading" and detail.get("total"):
            self._layers[str(said.get("id"))] = (int(detail["current"]), int(detail["total"]))
        if self._layers and time.monotonic() - self._said >= SAY_EVERY:
            self._said = time.monotonic()
            done, total = (sum(column) for column in zip(*self._layers.values(), strict=True))
            events.emit("image.pulling", image=self._image, bytes=done, total_bytes=total)
