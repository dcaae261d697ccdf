"""The Python functions that a scenario names: in a file beside it, or in a module; each file is loaded once a run."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import itertools
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import ModuleType

STOP = "stop"
"""The parameter of work that wants to be told when it is to end."""

_numbers = itertools.count(1)


class Functions:
    """Functions by how they are named; paths start at `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._modules: dict[str, ModuleType] = {}

    def get(self, reference: str) -> Callable[..., Any]:
        """The function `file.py:name` or `module:name`.

        Raises:
            ValueError: there is none; the message says what is missing, or what the file raised.

        """
        where, _, name = reference.rpartition(":")
        try:
            module = self._module(where)
        except (Exception, SystemExit) as error:  # whatever a file of the user's does
            raise ValueError(f"cannot be loaded: {type(error).__name__}: {error}") from error
        function = getattr(module, name, None)
        if not callable(function):
            raise ValueError(f"{where} has no function {name!r}")  # noqa: TRY004 - a name, not a type
        return function  # type: ignore[no-any-return]

    def takes(self, reference: str, given: Mapping[str, Any], *, more: tuple[str, ...] = ()) -> str:
        """Why the function cannot be called with the environment and these arguments; empty when it can. `more`: what
        it is given too where it wants that.
        """
        function = self.get(reference)
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):
            return ""  # one that tells nothing of itself is taken at its word
        extra = dict.fromkeys(name for name in more if name in signature.parameters)
        try:
            signature.bind(None, **given, **extra)
        except TypeError as error:
            return f"cannot be called with the environment and {', '.join(given) or 'no more'}: {error}"
        return ""

    def _module(self, where: str) -> ModuleType:
        if where not in self._modules:
            is_file = where.endswith(".py")
            self._modules[where] = _loaded(self.folder / where) if is_file else importlib.import_module(where)
        return self._modules[where]


def wants_stop(function: Callable[..., Any]) -> bool:
    """Whether a function takes the event that tells it to end."""
    try:
        return STOP in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


def _loaded(file: Path) -> ModuleType:
    name = f"envctl_scenario_{file.stem}_{next(_numbers)}"
    spec = importlib.util.spec_from_file_location(name, file.expanduser())
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    # It stays: what it starts may look for its module as long as it runs (data classes, processes).
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
