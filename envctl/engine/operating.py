"""Calls to the surgeons of environments (see `operations.server`). Who has called keeps the line for the next time: to
start a program in a container takes an engine longer than most of what it is asked for.
"""

from __future__ import annotations

import os
import weakref
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from envctl.engine import operations
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from envctl.engine.conversation import Conversation

_LONGEST = 120.0
"""Seconds for a call."""
_TRIES = 3


class Operating:
    """The lines of one process, one for each call at a time; `open` begins a conversation with a program."""

    def __init__(self, begin: Callable[[str, Sequence[str]], Conversation]) -> None:
        self._begin = begin
        self._lines: dict[tuple[int, str], list[Conversation]] = defaultdict(list)
        weakref.finalize(self, _close, self._lines)

    def call(self, environment: str, name: str, arguments: dict[str, object]) -> Any:  # noqa: ANN401 - its JSON
        """What `module.function` returns. It may run twice, where a line breaks.

        Raises:
            NotReady: it failed; with its last line.

        """
        idle, said = self._lines[os.getpid(), environment], ""
        for _ in range(_TRIES):
            try:
                line = idle.pop()
            except IndexError:
                line = self._begin(environment, operations.command())
            try:
                told = _ask(line, name, arguments)
            except NotReady as broken:
                # The surgeon of before may be gone, and another one there.
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


def _ask(line: Conversation, name: str, arguments: dict[str, object]) -> dict[str, Any]:
    for sources in (False, True):
        line.say(operations.call(name, arguments, sources=sources))
        if (told := line.hear(_LONGEST)) is None:
            raise NotReady(f"nothing within {_LONGEST:g} s")
        if "unknown" not in told:
            break
    return dict(told)


def _close(lines: dict[tuple[int, str], list[Conversation]]) -> None:
    for (owner, _), some in lines.items():
        for line in some if owner == os.getpid() else ():
            line.close()
