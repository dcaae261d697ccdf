"""Programs that stand in a service's network namespace: they run in the surgeon, on the standard library's smallest
part, and import nothing but one another.
"""

from __future__ import annotations

import re
from pathlib import Path

_IMPORTS = re.compile(r"^from envctl\.engine\.gates(?:\.(\w+))? import (.+)$", re.MULTILINE)

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
    texts: dict[str, str] = {}
    _gather(name, texts)
    text = texts.pop(name)
    return _RUN.format(package=__name__, shared=list(texts.items()), text=text, name=name)


def _gather(name: str, texts: dict[str, str]) -> None:
    """Add the texts of a gate and of what it imports, which come before it."""
    text = (Path(__file__).parent / f"{name}.py").read_text()
    for module, names in _IMPORTS.findall(text):
        for one in [module] if module else [word.split()[0] for word in names.split(",")]:
            if one not in texts:
                _gather(one, texts)
    texts[name] = text


def inside(pid: int, *command: object) -> list[str]:
    """A command line that runs in the network namespace of a process, when the surgeon executes it."""
    return ["nsenter", f"--net=/proc/{pid}/ns/net", *map(str, command)]
