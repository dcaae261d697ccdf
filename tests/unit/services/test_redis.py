"""Redis' ACL file, answers and options, without a server."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from envctl.model import Endpoint, Identity
from envctl.protocols import NotReady
from envctl.services.redis import Redis

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ADMIN, APP = Identity("envctl", "r00t"), Identity("app", "s3cret")
LOADED = b"+OK\r\n+PONG\r\n$11\r\nloading:0\r\n\r\n"


@contextmanager
def server(answer: bytes) -> Iterator[Endpoint]:
    """Something that gives one prepared answer to whatever it is asked, then hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Endpoint("redis", "127.0.0.1", {"redis": listener.getsockname()[1]}, ADMIN, APP)
        thread.join(10)


def test_a_loaded_server_that_answers_is_ready() -> None:
    """Login, PONG, loading:0."""
    with server(LOADED) as at:
        Redis().ping(at, 1)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"-WRONGPASS invalid username-password pair\r\n", "authentication failed for app"),
        (b"+OK\r\n-LOADING Redis is loading the dataset in memory\r\n", "LOADING Redis is loading"),
        (b"+OK\r\n+PONG\r\n$11\r\nloading:1\r\n\r\n", "loading its data set"),
        (b"+OK\r\n+PING\r\n$0\r\n\r\n", "PING answered 'PING'"),
        (b"+OK\r\n-NOPERM User app has no permissions\r\n", "NOPERM"),
        (b"-ERR unknown command, with args beginning with: 'app' 's3cret'\r\n", r"'app' '\*\*\*'"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "what answers is not Redis"),
        (b"$many\r\n", "what answers is not Redis"),
        (b"", "closed without an answer"),
    ],
)
def test_anything_else_is_not_ready_and_says_why(answer: bytes, reason: str) -> None:
    """Servers that quote the command that they did not understand get the password masked."""
    with server(answer) as at, pytest.raises(NotReady, match=reason):
        Redis().ping(at, 1)


def test_the_acl_file_holds_hashes() -> None:
    """Of both passwords, and turns `default` off."""
    files = Redis().secret_files(ADMIN, APP)
    assert files["acl"].splitlines()[0].startswith("user default off ")
    assert "r00t" not in files["acl"]
    assert "s3cret" not in files["acl"]
    assert files["admin"] == "r00t"


def test_plain_compose_has_the_same_rules() -> None:
    """compose/.env holds the ACL file for the development passwords that stand beside it."""
    lines = (Path(__file__).parents[3] / "compose" / ".env").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines if line.startswith("ENVCTL_SECRET_REDIS"))
    admin, app = Identity("envctl", values["ENVCTL_SECRET_REDIS_ADMIN"]), Identity("app", "app-dev-password")
    acl = values["ENVCTL_SECRET_REDIS_ACL"].strip('"').replace("\\n", "\n")
    assert acl == Redis().secret_files(admin, app)["acl"]


@pytest.mark.parametrize(
    ("options", "added"),
    [
        ({"maxmemory": "64mb"}, ["--maxmemory", "64mb"]),
        ({"save": "60 1"}, ["--save", "60", "1"]),
        ({"save": "", "appendonly": "no"}, ["--appendonly", "no", "--save", ""]),
    ],
)
def test_options_become_directives_on_the_command_line(options: Mapping[str, str], added: list[str]) -> None:
    """Appended in a stable order, so that they beat the compose file's."""
    model: dict[str, object] = {"command": ["redis-server", "--appendonly", "yes"]}
    Redis().apply_options(model, options)
    assert model["command"] == ["redis-server", "--appendonly", "yes", *added]


def test_secret_variables_hold_the_password_and_no_other_does() -> None:
    """The URL does too."""
    service, at = Redis(), Endpoint("redis", "127.0.0.1", {"redis": 16379}, ADMIN, APP)
    found = service.variables(at)
    assert found["REDIS_URL"] == "redis://app:s3cret@127.0.0.1:16379/0"
    assert {name for name, value in found.items() if "s3cret" in value} == service.secret_variables()
