"""What the surgeon does: small programs of Python's standard library alone (its smallest part, without `ctypes` and
`resource`), sent as text and run on the engine's machine with every process of it in sight.

They know nothing of envctl. Each function takes and returns JSON; what it raises is its last line. Here `time.sleep`
waits: `envctl.waiting` is not there.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

PLACE = "/run/envctl-operations"
"""Where a surgeon keeps this package, with a digest of it."""


def command() -> list[str]:
    """The command of `server`, which is asked for what stands here."""
    # Without `site`, which looks for packages that are not there.
    return ["python3", "-S", "-E", "-c", _server(), f"{PLACE}-{_package()[0]}"]


def call(operation: str, arguments: dict[str, object], *, sources: bool = False) -> dict[str, object]:
    """What `server` is told for `module.function` of this package; with the `sources` where it does not know them."""
    module, _, function = operation.partition(".")
    asked: dict[str, object] = {"call": [f"{__name__}.{module}", function, arguments]}
    return {**asked, "sources": _package()[1]} if sources else asked


@cache
def _server() -> str:
    return (Path(__file__).parent / "server.py").read_text()


@cache
def _package() -> tuple[str, list[str]]:
    """A digest of this package, and its files: path and text in turn."""
    parents, files = __name__.split("."), list[str]()
    for depth in range(len(parents)):
        files += ["/".join([*parents[: depth + 1], "__init__.py"]), ""]
    for file in sorted(Path(__file__).parent.glob("[!_]*.py")):
        files += ["/".join([*parents, file.name]), file.read_text()]
    return hashlib.sha256("\0".join(files).encode()).hexdigest()[:16], files
