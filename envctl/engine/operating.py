"""Calls to the surgeons of environments (see `operations.server`). Who has called keeps the line for the next time: to
start a program in a container takes an engine longer than most of what it is asked for.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any

from envctl.engine import operations
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from envctl.engine.conversation import Conversation
    from envctl.engine.sidecars import Found

_LONGEST, _LOOK = 120.0, 5.0
"""Seconds for a call, and between two looks whether the surgeon is still there."""
_TRIES = 3


class Operating:
    """The lines of one process, each for one call at a time. `surgeon` finds an environment's, `begin` a conversation
    with a program in it.
    """

    def __init__(self, surgeon: Callable[[str], Found], begin: Callable[[str, Sequence[str]], Conversation]) -> None:
        self._surgeon, self._begin = surgeon, begin
        self._lines: dict[tuple[int, str, Found], list[Conversation]] = {}
        weakref.finalize(self, _close, self._lines)

    def call(self, environment: str, name: str, arguments: dict[str, object]) -> Any:  # noqa: ANN401 - its JSON
        """What `module.function` returns. It may run twice, where a line breaks.

        Raises:
            NotReady: it failed; with its last line.

        """
        said = ""
        for _ in range(_TRIES):
            idle, surgeon = self._idle(environment)
            try:
                line = idle.pop()
            except IndexError:
                line = self._begin(surgeon.id, operations.command())
            try:
                told = self._ask(line, environment, surgeon, operations.call(name, arguments))
                if "unknown" in told:
                    told = self._ask(line, environment, surgeon, operations.call(name, arguments, sources=True))
            except NotReady as broken:
                line.close()
                said = str(broken)
                continue
            except BaseException:
                line.close()
                raise
            idle.append(line)
            if "error" in told:
                raise NotReady(told["error"])
            return told["answer"]
        raise NotReady(f"the surgeon did not answer when it was asked for {name}: {said}")

    def _idle(self, environment: str) -> tuple[list[Conversation], Found]:
        """The lines to the surgeon that is there now. An engine (20.10) keeps those open for ever whose container it
        has removed.
        """
        surgeon = self._surgeon(environment)
        for key in list(self._lines):
            if key[:2] == (os.getpid(), environment) and key[2] != surgeon:
                _close({key: self._lines.pop(key, [])})
        return self._lines.setdefault((os.getpid(), environment, surgeon), []), surgeon

    def _ask(self, line: Conversation, environment: str, surgeon: Found, call: dict[str, object]) -> dict[str, Any]:
        line.say(call)
        for _ in range(round(_LONGEST / _LOOK)):
            if (told := line.hear(_LOOK)) is not None:
                return dict(told)
            if self._surgeon(environment) != surgeon:
                raise NotReady("the surgeon is gone")
        raise NotReady(f"nothing within {_LONGEST:g} s")


def _close(lines: dict[tuple[int, str, Found], list[Conversation]]) -> None:
    for (owner, *_), some in list(lines.items()):
        for line in some if owner == os.getpid() else ():
            line.close()
