"""Any command, and what it says."""

from __future__ import annotations

import os
import subprocess
from typing import Any


def run(command: list[str], variables: dict[str, str]) -> dict[str, Any]:
    """Its exit `code` and `output`, of both its streams; children that it leaves behind are not waited for."""
    said = os.memfd_create("said")
    try:
        code = subprocess.call(
            command, env={**os.environ, **variables}, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
    except OSError as error:
        return {"code": 127, "output": str(error)}
    with os.fdopen(said, errors="replace", newline="") as stream:
        stream.seek(0)
        return {"code": code, "output": stream.read()}
