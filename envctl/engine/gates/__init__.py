"""Programs that stand in a service's network namespace: they run in the surgeon, on the standard library's smallest
part, and import nothing but one another.
"""

from __future__ import annotations

from pathlib import Path

_SHARED = ("standing", "nfqueue", "rules", "requests")

_RUN = """
import sys, types
package = sys.modules[{package!r}] = types.ModuleType({package!r})
for name, text in {shared!r}:
    module = types.ModuleType(name)
    sys.modules[package.__name__ + "." + name] = package.__dict__[name] = module
    exec(compile(text, name, "exec"), module.__dict__)
exec(compile({text!r}, {name!r}, "exec"), {{"__name__": "__main__"}})
"""


def program(name: str) -> str:
    """The text of a gate, as `python3 -c` takes it."""
    folder = Path(__file__).parent
    shared = [(one, (folder / f"{one}.py").read_text()) for one in _SHARED]
    return _RUN.format(package=__name__, shared=shared, text=(folder / f"{name}.py").read_text(), name=name)


def inside(pid: int, *command: object) -> list[str]:
    """A command line that runs in the network namespace of a process, when the surgeon executes it."""
    return ["nsenter", f"--net=/proc/{pid}/ns/net", *map(str, command)]
