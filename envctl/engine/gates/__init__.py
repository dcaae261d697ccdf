"""Programs that stand in a service's network namespace: they run in the surgeon, on the standard library's smallest
part, and import nothing of envctl's.
"""

from __future__ import annotations

from pathlib import Path


def program(name: str) -> str:
    """The text of a gate, as `python3 -c` takes it."""
    return Path(__file__).with_name(f"{name}.py").read_text()


def inside(pid: int, *command: object) -> list[str]:
    """A command line that runs in the network namespace of a process, when the surgeon executes it."""
    return ["nsenter", f"--net=/proc/{pid}/ns/net", *map(str, command)]
