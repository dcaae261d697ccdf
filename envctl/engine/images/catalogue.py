"""The table of images, `compose/images/images.yaml`, read into frozen data."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from envctl.engine.images.reference import Reference
from envctl.errors import ConfigurationError, Problem, UnknownName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

MEGABYTE = 1_000_000
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Image:
    """One image: how it is pulled, and how it is built where it cannot be.

    `official` is None for what exists in no registry; `service` is empty for what no service runs (base, tools).
    `context` is None for the base, which is made by debootstrap. `seconds` is the cold build on 2 cores and decides
    who starts first; `size` is in bytes, unpacked, 0 when unknown.
    """

    name: str
    tag: Reference
    service: str = ""
    official: Reference | None = None
    context: Path | None = None
    target: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    parents: tuple[str, ...] = ()
    seconds: float = 0.0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All images by name, parents before children."""

    images: Mapping[str, Image]

    def __getitem__(self, name: str) -> Image:
        if name not in self.images:
            raise UnknownName("image", name, self.images)
        return self.images[name]

    def of_service(self, service: str) -> Image:
        """The image that a service runs.

        Raises:
            UnknownName: no image is made for it.

        """
        by_service = {image.service: image for image in self.images.values() if image.service}
        if service not in by_service:
            raise UnknownName("service with an image of envctl's", service, by_service)
        return by_service[service]

    def with_parents(self, names: Iterator[str] | tuple[str, ...]) -> dict[str, Image]:
        """The named images and all that they are built on, parents first."""
        wanted: dict[str, Image] = {}
        for name in names:
            image = self[name]
            wanted |= {k: v for k, v in self.with_parents(image.parents).items() if k not in wanted}
            wanted.setdefault(name, image)
        return wanted


def load(file: Path) -> Catalogue:
    """The table in `file`; contexts are folders beside it.

    Raises:
        ConfigurationError: with every problem in it.

    """
    # Costs 20 ms to import, and `envctl --help` comes through this package.
    import yaml

    try:
        data = yaml.safe_load(file.read_text())
    except OSError as error:
        raise ConfigurationError([Problem(error.strerror or str(error), file=file)], "the table of images") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise ConfigurationError([Problem(str(error.problem), file=file, line=line)], "the table of images") from error
    problems: list[Problem] = []
    table = data.get("images") if isinstance(data, dict) else None
    if not isinstance(table, dict):
        raise ConfigurationError([Problem("is no mapping of images", "images", file)], "the table of images")
    images = {str(name): _image(str(name), entry, file, problems) for name, entry in table.items()}
    problems += _tangled(images, file)
    if problems:
        raise ConfigurationError(problems, "the table of images")
    return Catalogue(images)


def _image(name: str, entry: object, file: Path, problems: list[Problem]) -> Image:
    """One entry; what is wrong in it is added to `problems` and left out."""
    if not isinstance(entry, dict):
        problems.append(Problem("is no mapping", name, file))
        return Image(name, Reference("", name))
    values: dict[str, Any] = {}
    for key, value in entry.items():
        if key not in _READERS:
            problems.append(Problem(f"is unknown; known: {', '.join(sorted(_READERS))}", f"{name}.{key}", file))
            continue
        try:
            values[key] = _READERS[key](value, file)
        except (ValueError, TypeError) as error:
            problems.append(Problem(str(error), f"{name}.{key}", file))
    if "tag" not in entry:
        problems.append(Problem("is missing", f"{name}.tag", file))
    digest = values.pop("digest", "")
    if digest and values.get("official"):
        official: Reference = values["official"]
        values["official"] = Reference(official.host, official.path, official.tag, digest)
    return Image(name=name, **{"tag": Reference("", name), **values})


def _tangled(images: Mapping[str, Image], file: Path) -> Iterator[Problem]:
    """Parents that do not exist or come later than their child (so no circle is possible either)."""
    seen: set[str] = set()
    for name, image in images.items():
        for parent in image.parents:
            if parent not in seen:
                yield Problem(f"{parent!r} does not stand above it", f"{name}.parents", file)
        seen.add(name)


def _reference(value: object, _: Path) -> Reference | None:
    return Reference.parse(_text(value, _)) if value else None


def _text(value: object, _: Path) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _context(value: object, file: Path) -> Path | None:
    if not value:
        return None
    folder = file.parent / _text(value, file)
    if not (folder / "Dockerfile").is_file():
        raise ValueError(f"{folder} holds no Dockerfile")
    return folder


def _args(value: object, _: Path) -> dict[str, str]:
    if not isinstance(value or {}, dict):
        raise TypeError(f"{value!r} is no mapping")
    return {str(key): str(text) for key, text in dict(value or {}).items()}  # type: ignore[call-overload]


def _names(value: object, _: Path) -> tuple[str, ...]:
    if not isinstance(value or [], list):
        raise TypeError(f"{value!r} is no list")
    return tuple(str(name) for name in list(value or []))  # type: ignore[call-overload]


def _number(value: object, _: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError(f"{value!r} is no number of seconds or megabytes")
    return float(value)


def _digest(value: object, file: Path) -> str:
    text = _text(value, file)
    if text and not _DIGEST.fullmatch(text):
        raise ValueError(f"{text!r} is no sha256 digest")
    return text


_READERS: Mapping[str, Callable[[Any, Path], object]] = {
    "service": _text,
    "official": _reference,
    "digest": _digest,
    "tag": _reference,
    "context": _context,
    "target": _text,
    "args": _args,
    "parents": _names,
    "seconds": _number,
    "size": lambda value, file: int(_number(value, file) * MEGABYTE),
}
