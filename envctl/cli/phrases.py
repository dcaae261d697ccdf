"""Events in words: one sentence each, without the service's name where it stands before the sentence anyway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envctl.cli import scenario_phrases

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Data = Mapping[str, Any]

MEGABYTE = 1_000_000

DETAILS = frozenset(
    {
        *("image.present", "service.started", "service.waiting", "resource.removed"),
        *("fault.planned", "fault.applied", "fault.healing", "fault.verdict", "fault.refused"),
        *("environment.attached", "environment.up", "environment.down"),  # each verb's last line says it
        *scenario_phrases.DETAILS,
    }
)
"""Shown with `-v` only: true, many, and of no use while all goes well."""


_SUBJECTS = ("service", "image", "name", "dataset", "environment")


def subject(data: Data) -> str:
    """Whom an event is about: the service, else the image, the resource or the environment."""
    if "kind" in data:
        return str(data["kind"])
    return str(next((data[key] for key in _SUBJECTS if data.get(key)), "envctl"))


def sentence(event: str, data: Data) -> str:
    """The event in words; an event without a sentence of its own shows its name and data."""
    phrase = _PHRASES.get(event)
    if phrase is not None:
        return phrase(data)
    return " ".join([event, *(f"{key}={value}" for key, value in data.items())])


def duration(milliseconds: float) -> str:
    """`0.35 s`, `12.3 s`, `2 min 5 s`, `23 h 59 min`."""
    seconds = milliseconds / 1000
    if seconds >= 6000:  # noqa: PLR2004 - and three of minutes are hours
        hours, minutes = divmod(round(seconds / 60), 60)
        return f"{hours} h {minutes} min"
    if seconds >= 100:  # noqa: PLR2004 - three digits of seconds are minutes to a reader
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest} s"
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"  # noqa: PLR2004 - three digits in all


def count(number: float) -> str:
    """`950`, `12,345`, `3.4 M`."""
    return f"{number / 1e6:.1f} M" if number >= 1e6 else f"{number:,.0f}"  # noqa: PLR2004 - a million


def size(number: float) -> str:
    """Bytes as `12 kB`, `3.4 MB`, `1.2 GB`; few ones as `24 B`."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return f"{number / 1e3:.0f} kB" if number >= 1e3 else f"{number:.0f} B"  # noqa: PLR2004 - a thousand


_THINGS = {"kafka": "messages", "redis": "keys", "minio": "objects", "spark-connect": "statements"}


def things(service: str, number: int) -> str:
    """What a service holds of a dataset: `2,000 rows`, `1 key`."""
    plural = _THINGS.get(service, "rows")
    return f"{count(number)} {plural if number != 1 else plural[:-1]}"


def _timed(text: str, data: Data) -> str:
    """`text` and how long it took, where the event says so."""
    if "ms" in data:
        return f"{text} in {duration(float(data['ms']))}"
    return f"{text} in {duration(float(data['seconds']) * 1000)}" if "seconds" in data else text


def _pulling(data: Data) -> str:
    if not data.get("total_bytes"):
        return f"pulling {data.get('image', '')}".rstrip()
    done, total = (float(data[key]) / MEGABYTE for key in ("bytes", "total_bytes"))
    return f"pulling {data.get('image', '')}: {done:.0f} of {total:.0f} MB"


def _building(data: Data) -> str:
    step = data.get("step")
    return f"building {data.get('image', '')} from packages" + (f": {step}" if step else "")


def _moved(data: Data) -> str:
    holder = data.get("holder")
    taken = f"held by {holder}" if holder else "taken"
    return f"port {data.get('wanted')} is {taken}: using {data.get('got')}"


def _shares(data: Data) -> str:
    shares = data.get("services", {})
    return f"{size(sum(share['bytes'] for share in shares.values()))} for {', '.join(shares) or 'nothing'}"


def _progress(data: Data) -> str:
    from envctl.cli import seed_view

    return seed_view.progress(data)


def _loaded(data: Data) -> str:
    return _timed(f"loaded {things(data['service'], data['rows'])}, {size(data['bytes'])}", data)


def _removed(data: Data) -> str:
    what = f"dataset {data['dataset']!r}" if data.get("dataset") else "what stood in the way"
    what += f", {data['reason']}" if data.get("reason") else ""
    return f"removed {what}: {data.get('removed') or 'nothing was left of it'}"


def _differences(data: Data) -> str:
    return "; ".join(str(item) for item in data.get("differences", ())) or "its configuration changed"


_PHRASES: dict[str, Callable[[Data], str]] = {
    "image.present": lambda data: f"image {data.get('image', '')} is here",
    "image.waiting": lambda data: f"waiting: {data.get('reason', 'another process builds images')}",
    "image.pulling": _pulling,
    "image.pulled": lambda data: _timed(f"pulled {data.get('image', '')}", data),
    "image.pull_failed": lambda data: f"could not pull {data.get('image', '')}: {data.get('reason', '')}",
    "image.building": _building,
    "image.built": lambda data: _timed(f"built {data.get('image', '')} from packages", data),
    "image.removed": lambda _: "removed",
    "port.moved": _moved,
    "service.recreated": lambda data: f"re-created: {_differences(data)}",
    "service.started": lambda _: "started",
    "service.waiting": lambda data: f"not ready (attempt {data.get('attempt')}): {data.get('last_error')}",
    "service.ready": lambda data: f"{_timed('ready', data)} at {data.get('address') or 'no port'}",
    "service.failed": lambda data: f"failed: {data.get('reason')}",
    "environment.attached": lambda data: _timed("already up, attached", data),
    "environment.up": lambda data: _timed("up", data),
    "environment.down": lambda data: _timed("down", data),
    "resource.removed": lambda data: f"removed {data.get('name')}",
    "leak.found": lambda data: f"{data.get('what')} is still there: {data.get('reason')}",
    "seed.started": _shares,
    "seed.skipped": lambda data: str(data.get("reason")),
    "seed.replaced": _removed,
    "seed.resumed": lambda _: "going on where an earlier run ended",
    "seed.progress": _progress,
    "seed.loaded": _loaded,
    "seed.finished": lambda data: _timed("done", data),
    "seed.verified": lambda data: "equal" if data.get("equal") else f"differs: {data.get('difference')}",
    "fault.planned": lambda data: f"{data.get('id')}: planned, until {data.get('expires')}, seed {data.get('seed')}",
    "fault.applied": lambda data: f"{data.get('id')}: applied",
    "fault.injected": lambda data: f"{data.get('id')}: took effect",
    "fault.healing": lambda data: f"{data.get('id')}: healing",
    "fault.healed": lambda data: _timed(f"{data.get('id')}: healed", data),
    "fault.lost": lambda data: f"{data.get('id')}: lost: {data.get('reason')}",
    "fault.refused": lambda data: f"{data.get('id')}: refused: {data.get('reason')}",
    "fault.heal_failed": lambda data: f"{data.get('id', 'a fault')}: not healed: {data.get('reason')}",
    "fault.moot": lambda data: f"{data.get('id')}: goes with its environment",
    "lock.waiting": lambda data: f"waiting: {data.get('reason')}",
    "fast.enabled": lambda data: f"--fast: {data.get('cost')}",
    **scenario_phrases.PHRASES,
}
