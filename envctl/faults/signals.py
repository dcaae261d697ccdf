"""Signals as they are typed: `KILL`, `SIGKILL`, `9`."""

from __future__ import annotations

from typing import Any

_IN_ORDER = """HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN
    TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"""

NUMBERS = {name: number for number, name in enumerate(_IN_ORDER.split(), start=1)}
"""Linux's, which the service runs on, whatever this machine's system is (signal(7))."""

STOPPING = frozenset({"STOP", "TSTP", "TTIN", "TTOU"})
"""After these a process stands still, until CONT."""

_NAMES = {number: name for name, number in NUMBERS.items()}


def signal(value: Any) -> str:  # noqa: ANN401 - what a caller gave
    """The name without SIG. Raises ValueError with what is wanted."""
    word = str(value).strip().upper().removeprefix("SIG")
    name = _NAMES.get(int(word)) if word.isdigit() else word
    if isinstance(value, bool) or name not in NUMBERS:
        raise ValueError("a signal of Linux: " + ", ".join(NUMBERS) + ", or its number")
    return name
