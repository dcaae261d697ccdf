"""Space on the engine's disk, looked at before it is needed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from envctl.engine.images.refusal import no_room

if TYPE_CHECKING:
    from envctl.engine.images.workshop import Workshop

MARGIN = 2
"""Free space wanted, as a multiple of the unpacked size: layers lie packed beside unpacked, builds keep a cache."""


def check_room(shop: Workshop, what: str, size: int) -> None:
    """Return when the engine's disk has room for `size` bytes of image, or when that cannot be seen from here.

    Raises:
        DiskFull: it has not.

    """
    if not size or not shop.address.local:
        return
    check_folder(Path(shop.api.info()["DockerRootDir"]), what, size * MARGIN)


def check_folder(folder: Path, what: str, wanted: int) -> None:
    """Return when `folder`'s file system has `wanted` bytes free; also when there is no such folder (Colima, Docker
    Desktop: the engine's disk is inside a virtual machine).

    Raises:
        DiskFull: it has not.

    """
    if not folder.exists():
        return
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise no_room(what, f"{free / 1e9:.1f} GB free at {folder}, about {wanted / 1e9:.1f} GB needed")
