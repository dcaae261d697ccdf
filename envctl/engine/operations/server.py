"""What runs in the surgeon for as long as somebody talks to it: calls come in, and answers go out, in lines of JSON.

A call: `call` (module, function, arguments), or `sources` (path and text in turn) where an answer before was `unknown`.
An answer: `answer`, or the last line of what went wrong as `error`, or `unknown`. It ends when its standard input does.

Each call is done by a child of its own, so that none finds anything of another, nor takes this one with it; what it
needs is loaded here, once. Calls about a `token` wear it (see `leases`).
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import Any


def serve(root: str) -> None:
    """Until nobody asks any more; `root` is where the package is kept."""
    sys.path.insert(0, root)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answered(root, json.loads(line))) + "\n")
        sys.stdout.flush()


def _answered(root: str, asked: dict[str, Any]) -> dict[str, Any]:
    if "sources" in asked:
        _keep(root, asked["sources"])
    if not os.path.isdir(root):  # noqa: PTH112 - pathlib costs 10 ms here
        return {"unknown": True}
    name, function, arguments = asked["call"]
    try:
        act = getattr(__import__(name, fromlist=[function]), function)
    except Exception as error:  # noqa: BLE001 - told to who asked
        return _failed(error)
    return _by_child(act, arguments)


def _by_child(act: Any, arguments: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    back, forth = os.pipe()
    child = os.fork()
    if child:
        os.close(forth)
        with open(back) as stream:  # noqa: PTH123
            said = stream.read()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return dict(json.loads(said)) if said else {"error": f"exit code {code}"}
    try:
        # Apart, so that no word of a program that it runs gets among the answers, nor a question into a program.
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        if token := arguments.get("token") or arguments.get("wire", {}).get("token"):
            from envctl.engine.operations import leases

            leases.wear(token)
        try:
            told = {"answer": act(**arguments)}
        except BaseException as error:  # noqa: BLE001
            told = _failed(error)
        with open(forth, "w") as stream:  # noqa: PTH123
            json.dump(told, stream)
    finally:
        os._exit(0)


def _failed(error: BaseException) -> dict[str, Any]:
    import traceback

    return {"error": traceback.format_exception_only(error)[-1].strip()}


def _keep(root: str, sources: list[str]) -> None:
    """Another may be doing the same, and be faster."""
    fresh = f"{root}.{os.getpid()}"
    for path, text in zip(sources[::2], sources[1::2], strict=True):
        os.makedirs(os.path.dirname(f"{fresh}/{path}"), exist_ok=True)  # noqa: PTH103, PTH120
        with open(f"{fresh}/{path}", "w") as stream:  # noqa: PTH123
            stream.write(text)
    with suppress(OSError):
        os.rename(fresh, root)  # noqa: PTH104


if __name__ == "__main__":
    serve(sys.argv[1])
