"""What the surgeon does: small programs of Python's standard library alone (its smallest part, without `ctypes` and
`resource`), sent as text and run on the engine's machine with every process of it in sight.

They know nothing of envctl. Each function takes and returns JSON; what it raises is its last line. Here `time.sleep`
waits: `envctl.waiting` is not there.
"""

from __future__ import annotations

import json
from pathlib import Path

_BASE = ("processes", "cgroups", "leases", "limits")
"""What the others use, in the order in which they use one another."""

_ALSO = {
    "network": (
        "tracing",
        "namespaces",
        "connections",
        "probing",
        "knocking",
        "queueing",
        "dropping",
        "shaping",
        "cutting",
    ),
}
"""What one uses besides."""

_RUN = """
import json, sys, types
name, function, arguments, sources = json.loads(sys.argv[1])
for module, text in sources:
    made = sys.modules[module] = types.ModuleType(module)
    if module == __PACKAGE__ or __PACKAGE__.startswith(module + "."):
        made.__path__ = []
    exec(compile(text, module, "exec"), made.__dict__)
print(json.dumps(getattr(sys.modules[name], function)(**arguments)))
""".replace("__PACKAGE__", repr(__name__))


def command(operation: str, arguments: dict[str, object]) -> list[str]:
    """The command that runs `module.function` of this package with these arguments, and prints its answer as JSON."""
    module, _, function = operation.partition(".")
    folder, parents = Path(__file__).parent, __name__.split(".")
    packages = [(".".join(parents[: depth + 1]), "") for depth in range(len(parents))]
    needed = dict.fromkeys((*_BASE, *_ALSO.get(module, ()), module))
    sources = [*packages, *((f"{__name__}.{name}", (folder / f"{name}.py").read_text()) for name in needed)]
    return ["python3", "-c", _RUN, json.dumps([f"{__name__}.{module}", function, arguments, sources])]
