"""What making images needs: an engine, the table of images, a folder to work in, and the host around."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from envctl import events
from envctl.errors import Busy
from envctl.locks import file_lock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import docker

    from envctl.engine.connect import Address
    from envctl.engine.images.catalogue import Catalogue

LONGEST_BUILD = 3600.0
"""Seconds to wait for another process that builds: all images from nothing take 8 min on 2 cores."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """The place where images are fetched and made.

    `folder` is where the lock lies and the base image is put together (in the state folder; needs 0.5 GB).
    `mirror` replaces the host of every official image (`localhost:5000`). `patience` is how many seconds a
    registry may be silent before it counts as not answering, `stall` how many a pull may bring no progress.
    """

    address: Address
    api: docker.APIClient
    catalogue: Catalogue
    folder: Path
    mirror: str | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    patience: float = 6.0
    stall: float = 120.0

    def cli_environ(self) -> dict[str, str]:
        """The environment in which the docker CLI talks to the same engine, with its plain BuildKit."""
        environ = {
            k: v for k, v in self.environ.items() if k not in {"BUILDX_BUILDER", "DOCKER_CONTEXT", "DOCKER_HOST"}
        }
        choice = {"DOCKER_CONTEXT": self.address.context} if self.address.context else {"DOCKER_HOST": self.address.url}
        return {**environ, **choice, "DOCKER_BUILDKIT": "1", "DOCKER_CLI_HINTS": "false"}

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the workshop: one process builds, a second one waits and then finds the images present.

        Raises:
            Busy: another process built for longer than an hour.

        """
        lock, what = self.folder / "lock", "building images"
        with ExitStack() as held:
            try:
                held.enter_context(file_lock(lock, 0, what))
            except Busy as busy:
                events.emit("image.waiting", reason=busy.found)
                held.enter_context(file_lock(lock, LONGEST_BUILD, what))
            yield
