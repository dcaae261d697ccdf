"""What an image is made of, as one number: equal fingerprint, equal recipe, nothing to build."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from envctl.engine.images.catalogue import Catalogue, Image

BUILD_LABEL = "envctl.build"
"""Label of every image that envctl built; its value is the fingerprint of what it was built from."""

KIND_LABEL = "envctl.build.kind"
"""Label beside it: the repository (`envctl/postgres`) that the image was built for."""

BASE_RECIPE = "debootstrap --variant=minbase trixie, without caches; 1"
"""Stands for how `bootstrap` makes the base; change the number with the way."""


def fingerprint(image: Image, catalogue: Catalogue) -> str:
    """Digest of the image's context, target and arguments, and of its parents': 64 hexadecimal digits.

    The host's mirrors and certificates are not in it: they change the way, not the product.
    """
    digest = hashlib.sha256()
    for part in _parts(image, catalogue):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _parts(image: Image, catalogue: Catalogue) -> Iterator[bytes]:
    yield image.target.encode()
    for name, value in sorted(image.args.items()):
        yield f"{name}={value}".encode()
    for parent in image.parents:
        yield fingerprint(catalogue[parent], catalogue).encode()
    if image.context is None:
        yield BASE_RECIPE.encode()
        return
    for file in _files(image.context):
        yield str(file.relative_to(image.context)).encode()
        yield b"x" if os.access(file, os.X_OK) else b"-"
        yield file.read_bytes()


def _files(context: Path) -> Iterator[Path]:
    """All files of a context in a fixed order, without the bytecode that pip makes of Python files it installs."""
    return iter(sorted(p for p in context.rglob("*") if p.is_file() and "__pycache__" not in p.parts))
