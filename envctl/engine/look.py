"""One look at the engine over its Unix socket, without the SDK.

A warm `up` and `status` ask two or three small questions; the SDK costs 60 to 100 ms before its first answer
(measured: `requests` 49, `docker` 11, version negotiation 20), which is half of all that they take. Everything else
goes through the SDK.
"""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from envctl.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

INFO = "/info"
_NOT_FOUND = 404
_OK = 200


def ask(path: Path, target: str, timeout: float) -> Any:  # noqa: ANN401 - the engine's JSON
    """The answer to `GET target`, None where the engine knows no such thing.

    HTTP/1.0, so that the engine ends the answer by closing and sends it in one piece.

    Raises:
        OSError: nobody answers at the socket, or not within `timeout` seconds.
        EngineError: the engine refuses.

    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(str(path))
        connection.sendall(f"GET {target} HTTP/1.0\r\nHost: engine\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(maxsplit=2)
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    if status == _NOT_FOUND:
        return None
    if status != _OK:
        raise EngineError(f"an answer of the engine at {path}", body.decode(errors="replace").strip() or "none")
    try:
        return json.loads(body)
    except ValueError as error:
        raise ConnectionError("the engine ended in the middle of an answer") from error


def containers(filters: Mapping[str, list[str]]) -> str:
    """The target that lists containers, stopped ones too."""
    return f"/containers/json?all=1&filters={quote(json.dumps(filters))}"


def container(identity: str) -> str:
    """The target that describes one container."""
    return f"/containers/{quote(identity)}/json"
