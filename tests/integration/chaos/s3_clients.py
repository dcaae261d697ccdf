"""Clients of MinIO for the tests of requests that fail, and what they expect to be told."""

from __future__ import annotations

import io
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import urllib3
from minio.error import S3Error

from envctl.chaos.ward import Ward
from envctl.engine.gates import inside
from envctl.protocols import NotReady
from envctl.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    import minio

    from envctl.environment import Environment
    from envctl.site import Site

SIZE = 100_000
PATIENCE = 120.0


def stored(env: Environment) -> str:
    """The key of a new object of SIZE bytes."""
    name = f"{secrets.token_hex(4)}/object.bin"
    env.minio.client().put_object("app", name, io.BytesIO(b"x" * SIZE), SIZE)
    return name


def once(env: Environment) -> minio.Minio:
    """A new client that tries once."""
    return env.minio.client(http_client=urllib3.PoolManager(retries=False, timeout=PATIENCE))


def read(client: minio.Minio, key: str) -> int:
    """How many bytes come."""
    with client.get_object("app", key) as answer:
        return len(answer.read())


def write(client: minio.Minio, key: str, size: int = SIZE) -> None:
    """Store so many bytes."""
    client.put_object("app", key, io.BytesIO(b"y" * size), size)


@contextmanager
def refused(code: str) -> Iterator[None]:
    """By the gate, and not by the server."""
    with pytest.raises(S3Error) as error:
        yield
    assert error.value.code == code
    assert "request_id: envctl_" in str(error.value)


def network(env: Environment) -> tuple[str, str]:
    """The rules and the listening sockets in the server's network namespace."""
    one = Ward(env.name).site("minio")
    pid = one.hands.pid(one.container.id)
    look = 'rules=$(nft -s list ruleset 2>/dev/null) && all=$(ss -Hltn) && printf "%s\\n----\\n%s" "$rules" "$all"'
    found = until(lambda: _said(one, inside(pid, "sh", "-c", look)), PATIENCE, "the rules")
    rules, _, sockets = found.partition("----")
    # Not how many wait to be accepted.
    return rules, "\n".join(sorted(line.split()[3] for line in sockets.strip().splitlines()))


def _said(one: Site, command: list[str]) -> str:
    done = one.hands.operate(one.environment, command)
    if done.exit_code or not done.output:
        raise NotReady(f"code {done.exit_code}")
    return done.output
