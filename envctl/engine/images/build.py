"""Images from package registries: the base by debootstrap, the rest by BuildKit, side by side."""

from __future__ import annotations

import re
import shutil
import time
from collections import deque
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from envctl import events
from envctl.engine.images import process
from envctl.engine.images.bootstrap import bootstrap
from envctl.engine.images.crew import Job, Stop, work_through
from envctl.engine.images.fingerprint import BUILD_LABEL, KIND_LABEL, fingerprint
from envctl.engine.images.refusal import NO_SPACE, no_room
from envctl.engine.images.room import check_room
from envctl.engine.images.stock import Stock
from envctl.engine.images.surroundings import arguments, secrets
from envctl.errors import BuildFailed, EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from envctl.engine.images.catalogue import Image
    from envctl.engine.images.workshop import Workshop

TAIL = 20
"""Lines of a failing step that the error shows."""

MOST_AT_ONCE = 4


def build_all(shop: Workshop, names: Sequence[str]) -> None:
    """Have all these images, and what they stand on, built from the recipes as they are now.

    Present ones cost one look. Heaviest first, as many at a time as the engine has cores (at most four). The first
    failure stops the others; what they had finished stays in BuildKit's cache, and no tag points at half an image.
    A second process waits for the first, then finds its images.

    Raises:
        BuildFailed: a step failed; names image and step, with its last lines.
        DiskFull: no space left, or too little to begin.
        Busy: another process built for longer than an hour.

    """
    if not _outdated(shop, names):
        return
    with shop.alone():
        images = _outdated(shop, names)
        check_room(shop, f"build {', '.join(images)}", sum(image.size for image in images.values()))
        cores = int(shop.api.info().get("NCPU") or 1)
        jobs = [_job(shop, image, tuple(p for p in image.parents if p in images)) for image in images.values()]
        work_through(jobs, max(1, min(cores, MOST_AT_ONCE)))


def _outdated(shop: Workshop, names: Sequence[str]) -> dict[str, Image]:
    """Which of the images and their parents are absent or were made from another recipe.

    The parents of an image that is up to date are not looked for: it is done.
    """
    stock = Stock.look(shop.api)
    absent = [name for name in names if stock.built(shop, shop.catalogue[name]) is None]
    family = shop.catalogue.with_parents(tuple(absent))
    return {name: image for name, image in family.items() if stock.built(shop, image) is None}


def _job(shop: Workshop, image: Image, needs: tuple[str, ...]) -> Job[None]:
    return Job(image.name, partial(_build, shop, image), needs, image.seconds)


def _build(shop: Workshop, image: Image, stop: Stop) -> None:
    """Build one image and say so."""
    started, tag, recipe = time.monotonic(), image.tag.tagged, fingerprint(image, shop.catalogue)

    def say(step: str) -> None:
        events.emit("image.building", image=tag, step=step, seconds=round(time.monotonic() - started, 1))

    say("start")
    old = Stock.look(shop.api).tagged(image.tag)
    if image.context is None:
        bootstrap(shop, image.tag, recipe, say, stop)
    else:
        with _folder(shop, image) as folder:
            command = [*_command(image, recipe), *_from_host(shop, folder), str(image.context)]
            _run_build(shop, image, command, _Report(say), stop)
    found = Stock.look(shop.api).tagged(image.tag)
    if old and found and old.build and old.id != found.id:
        # A nameless image could be anybody's: with a name of ours `prune` may remove it.
        shop.api.tag(old.id, image.tag.repository, f"old-{old.build[:12]}")
    seconds = round(time.monotonic() - started, 1)
    events.emit("image.built", image=tag, seconds=seconds, bytes=found.size if found else None)


@contextmanager
def _folder(shop: Workshop, image: Image) -> Iterator[Path]:
    """A folder for the build's secrets, at a fixed place under the lock: what a killed process left goes first."""
    folder = shop.folder / f"build-{image.name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _command(image: Image, recipe: str) -> Iterator[str]:
    """The docker CLI's own `build`: with DOCKER_BUILDKIT=1 that is BuildKit inside the engine, with buildx or without,
    which knows the engine's local images as parents.
    """
    yield from ("docker", "build", "--progress=plain", f"--tag={image.tag.tagged}")
    yield from (f"--label={BUILD_LABEL}={recipe}", f"--label={KIND_LABEL}={image.tag.repository}")
    if image.target:
        yield f"--target={image.target}"
    for name, value in image.args.items():
        yield f"--build-arg={name}={value}"


def _from_host(shop: Workshop, folder: Path) -> Iterator[str]:
    """Options that let the build see what the host sees. Values stay out of the arguments: they may hold passwords."""
    yield from (f"--build-arg={name}" for name in arguments(shop.environ))
    yield from (f"--secret=id={name},src={path}" for name, path in secrets(shop.environ, folder).items())


def _run_build(shop: Workshop, image: Image, command: Sequence[str], report: _Report, stop: Stop) -> None:
    """Run the builder to its end.

    Raises:
        BuildFailed, DiskFull: it failed.
        EngineError: there is no docker CLI.

    """
    wanted = f"build {image.tag.tagged}"
    try:
        code = process.run(command, report.hear, stop, shop.cli_environ())
    except FileNotFoundError as error:
        raise EngineError(wanted, "there is no docker command", "install the docker CLI with buildx") from error
    if not code:
        return
    found = report.failure()
    if NO_SPACE.search(found):
        raise no_room(wanted, found)
    raise BuildFailed(
        wanted, found, f"mend the cause (network, mirror, {image.context}/Dockerfile) and run it again: it continues"
    )


_LINE = re.compile(r"#(?P<step>\d+) (?P<rest>.*)")
_NAME = re.compile(r"\[(?!internal\])[^\]]*\] ")
_TIMED = re.compile(r"^\d+\.\d+ ")
_LOGIN = re.compile(r"://[^/\s@]+@")


class _Report:
    """BuildKit's plain progress, understood: steps by number, their names and their last lines."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._names: dict[str, str] = {}
        self._lines: dict[str, deque[str]] = {}
        self._failed = ""
        self._loose: deque[str] = deque(maxlen=TAIL)

    def hear(self, line: str) -> None:
        """Take one line in; a mirror's password in it is not kept."""
        line = _LOGIN.sub("://***@", line)
        match = _LINE.fullmatch(line)
        if match is None:
            self._loose.append(line)
            return
        step, rest = match["step"], match["rest"]
        if _NAME.match(rest):
            if step not in self._names:
                self._say(rest)
            self._names[step] = rest
        elif rest.startswith("ERROR"):
            self._failed = self._failed or step
            self._lines.setdefault(step, deque(maxlen=TAIL)).append(rest)
        else:
            self._lines.setdefault(step, deque(maxlen=TAIL)).append(_TIMED.sub("", rest))

    def failure(self) -> str:
        """The failing step with its last lines; without one, the last words of the builder."""
        step = self._names.get(self._failed, "before the first step")
        lines = self._lines.get(self._failed) or self._loose
        return f"step {step}" + "".join(f"\n         | {line}" for line in lines)
