"""What the surgeon does: small programs of Python's standard library alone (its smallest part, without `ctypes` and
`resource`), sent as text and run on the engine's machine with every process of it in sight.

They know nothing of envctl. Each function takes and returns JSON; what it raises is its last line. Here `time.sleep`
waits: `envctl.waiting` is not there.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

PLACE = "/run/envctl-operations"
"""Where a surgeon keeps this package, with a digest of it."""

UNKNOWN = 77
"""The exit code of a command whose sources the surgeon does not have."""

_RUN = """
import json, os, sys
name, function, arguments = json.loads(sys.argv[1])
root, sources = sys.argv[2], sys.argv[3:]
if not sources and not os.path.isdir(root):
    sys.exit(__UNKNOWN__)
if sources and not os.path.isdir(root):
    fresh = f"{root}.{os.getpid()}"
    for path, text in zip(sources[::2], sources[1::2]):
        os.makedirs(os.path.dirname(f"{fresh}/{path}"), exist_ok=True)
        with open(f"{fresh}/{path}", "w") as stream:
            stream.write(text)
    try:
        os.rename(fresh, root)
    except OSError:
        pass  # another command was faster
sys.path.insert(0, root)
module = __import__(name, fromlist=[function])
print(json.dumps(getattr(module, function)(**arguments)))
""".replace("__UNKNOWN__", str(UNKNOWN))


def command(operation: str, arguments: dict[str, object], *, sources: bool) -> list[str]:
    """The command that runs `module.function` of this package with these arguments, and prints its answer as JSON.

    A surgeon keeps this package once it was sent with its `sources`; without, one that has it not exits with UNKNOWN.
    """
    module, _, function = operation.partition(".")
    digest, files = _package()
    # Without `site`, which looks for packages that are not there.
    python = ["python3", "-S", "-E", "-c", _RUN]
    call = json.dumps([f"{__name__}.{module}", function, arguments])
    return [*python, call, f"{PLACE}-{digest}", *(files if sources else [])]


@cache
def _package() -> tuple[str, list[str]]:
    """A digest of this package, and its files: path and text in turn."""
    parents, files = __name__.split("."), list[str]()
    for depth in range(len(parents)):
        files += ["/".join([*parents[: depth + 1], "__init__.py"]), ""]
    for file in sorted(Path(__file__).parent.glob("[!_]*.py")):
        files += ["/".join([*parents, file.name]), file.read_text()]
    return hashlib.sha256("\0".join(files).encode()).hexdigest()[:16], files
