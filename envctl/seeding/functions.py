"""A dataset's own Python functions: loaded from their files, called with the environment."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from typing import TYPE_CHECKING, Any

from envctl.errors import EnvctlError, SeedFailed, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from envctl.seeding.spec import Function

ADVICE = "mend it; the next `seed` calls it again"


def call(function: Function, environment: object, secrets: Collection[str]) -> None:
    """Call one with the environment.

    Raises:
        SeedFailed: it raised, or is not there; names file, function and the line of the file that was reached.

    """
    wanted = f"{function.name}() of {function.file} called with the environment"
    try:
        _loaded(function)(environment)
    except (Exception, SystemExit) as error:
        # An error of envctl's own has three lines; the first says enough here.
        said = error.wanted if isinstance(error, EnvctlError) else str(error)
        line = _line(error, function.file)
        found = f"{type(error).__name__}: {redact(said, secrets)}".rstrip(": ")
        raise SeedFailed(wanted, found + (f" ({function.file.name}:{line})" if line else ""), ADVICE) from error


def _loaded(function: Function) -> Callable[[object], Any]:
    """The function, from its file as it is now."""
    name = f"envctl_dataset_{function.file.stem}"
    spec = importlib.util.spec_from_file_location(name, function.file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{function.file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    # Data classes and the like look for their module by name while it is being made.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[name]
    found: Callable[[object], Any] = getattr(module, function.name)
    return found


def _line(error: BaseException, file: Path) -> int:
    """The last line of the file that was at work; 0 for an error that came from elsewhere."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno or 0 for frame in reversed(frames) if frame.filename == str(file)), 0)
