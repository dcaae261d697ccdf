"""What compose says, in envctl's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from envctl.engine.compose import Compose, PortLost, Rendering, _not_started, _words
from envctl.engine.connect import Address
from envctl.errors import ConfigurationError, DiskFull, EngineError, EnvctlError

PREFIX = (
    "Error response from daemon: driver failed programming external connectivity on endpoint envctl-shop-redis-1 (c0): "
)


class Refused(Exception):
    """As python-on-whales raises: the program's words are in `stderr`."""

    def __init__(self, stderr: bytes | str | None) -> None:
        super().__init__("The command executed was `docker compose up`.\nIt returned with code 1")
        self.stderr = stderr


@pytest.mark.parametrize(
    "words",
    [
        PREFIX + "Error starting userland proxy: listen tcp4 127.0.0.1:16379: bind: address already in use",
        PREFIX + "Error starting userland proxy: listen tcp6 [::]:16379: bind: address already in use",
        PREFIX + "Bind for 127.0.0.1:16379 failed: port is already allocated",
        PREFIX + "Bind for 0.0.0.0:16379 failed: port is already allocated",
        PREFIX + "Bind for :::16379 failed: port is already allocated",
        PREFIX + "failed to bind host port for 127.0.0.1:16379:172.20.0.2:6379/tcp: address already in use",
        PREFIX + "failed to bind host port 127.0.0.1:16379/tcp: address already in use",
        PREFIX + "failed to bind host port for [::]:16379:[fd00::2]:6379/tcp: address already in use",
    ],
)
def test_a_port_that_was_lost_is_known_in_every_engines_words(words: str) -> None:
    """So that it is chosen anew: the host's port, not the container's."""
    error = _not_started(words)

    assert isinstance(error, PortLost)
    assert error.port == 16379


@pytest.mark.parametrize(
    ("words", "kind", "advice"),
    [
        ("Error response from daemon: mkdir /var/lib/x: no space left on device", DiskFull, "make room"),
        (
            "could not find an available, non-overlapping IPv4 address pool among the defaults",
            EngineError,
            "envctl gc",
        ),
        ("all predefined address pools have been fully subnetted", EngineError, "envctl gc"),
        ("Error response from daemon: something else", EnvctlError, "envctl doctor"),
    ],
)
def test_other_refusals_keep_the_engines_words(words: str, kind: type[EnvctlError], advice: str) -> None:
    """With what to do about the known ones."""
    error = _not_started(words)

    assert type(error) is kind
    assert words in error.found
    assert advice in error.advice


def test_only_the_last_words_are_shown() -> None:
    """Compose tells its whole story first."""
    error = _not_started("\n".join(f"line {number}" for number in range(20)))

    assert "line 14" not in error.found
    assert "line 15" in error.found
    assert "line 19" in error.found


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        (b'time="x" level=warning msg="obsolete"\n  no such service  \n\n', "no such service"),
        ("two\nlines", "two\nlines"),
        (b"\xff broken", "\ufffd broken"),
        (None, "The command executed was `docker compose up`."),
        (b"", "The command executed was `docker compose up`."),
    ],
)
def test_the_programs_words_are_taken_without_warnings(stderr: bytes | str | None, words: str) -> None:
    """Whatever bytes they are; where it said nothing, the first line of the error."""
    assert _words(Refused(stderr)) == words


@pytest.mark.parametrize(
    ("words", "kind", "found"),
    [
        ("docker: 'compose' is not a docker command.", EngineError, "there is no compose plugin"),
        ("unknown shorthand flag: 'f' in -f", EngineError, "there is no compose plugin"),
        (
            "validating /x/compose.yaml: (root) Additional property include is not allowed",
            EngineError,
            "this compose does not know `include`",
        ),
        (
            "yaml: line 3: mapping values are not allowed in this context",
            ConfigurationError,
            "line 3: mapping values are not allowed",
        ),
        ("validating /x/mine.yaml: services.a Additional property imagee is not allowed", ConfigurationError, "imagee"),
        (
            "validating /x/mine.yaml: services.a.labels Additional property include_x is not allowed",
            ConfigurationError,
            "include_x",
        ),
        ("env file /x/.env not found: stat /x/.env: no such file or directory", ConfigurationError, "env file"),
    ],
)
def test_why_files_could_not_be_rendered_is_told_apart(words: str, kind: type[EnvctlError], found: str) -> None:
    """No compose, one that is too old, or the user's files."""
    compose = Compose(Address("unix:///none", "test"))
    rendering = Rendering("envctl-shop", [Path("/x/compose.yaml"), Path("/x/mine.yaml")], [], [])
    error = compose._refused(Refused(words), rendering)

    assert type(error) is kind
    assert found in error.found
    if "/x/mine.yaml" in words:
        assert isinstance(error, ConfigurationError)
        assert error.problems[0].file == Path("/x/mine.yaml")


def test_variables_of_the_callers_shell_do_not_reach_compose(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would win over the ports, images and passwords that envctl has chosen."""
    monkeypatch.setenv("ENVCTL_POSTGRES_PORT", "1")
    monkeypatch.setenv("ENVCTL_SECRET_POSTGRES_APP", "x")
    monkeypatch.setenv("ENVCTL_REDIS_IMAGE", "x")
    monkeypatch.setenv("ENVCTL_ENV", "shop")
    client = Compose(Address("unix:///none", "test"))._client(Rendering("p", [], [], []))
    call = client.client_config.client_call

    assert call == [
        "env",
        *("-u", "ENVCTL_POSTGRES_PORT"),
        *("-u", "ENVCTL_REDIS_IMAGE"),
        *("-u", "ENVCTL_SECRET_POSTGRES_APP"),
        "docker",
    ]


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (Address("unix:///run/user/1000/docker.sock", "rootless docker"), "unix:///run/user/1000/docker.sock"),
        (Address("tcp://build:2376", "DOCKER_HOST"), None),
        (Address("ssh://far", "docker context 'far'", "far"), None),
    ],
)
def test_compose_talks_to_the_same_engine(address: Address, host: str | None) -> None:
    """What the docker CLI finds by itself is left to it: it knows the context's keys."""
    client = Compose(address)._client(Rendering("p", [], [], []))

    assert client.client_config.host == host
