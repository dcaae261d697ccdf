"""Which engine: found the way the docker CLI finds it, and clear words where there is none."""

from __future__ import annotations

import gc
import http.server
import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from envctl.engine.connect import Address, client, locate
from envctl.engine.docker_engine import DockerEngine
from envctl.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def context(home: Path, name: str, host: str, *, current: bool = True) -> None:
    """A docker context, as `docker context create` (and `use`) writes it."""
    meta = home / ".docker" / "contexts" / "meta" / name
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host}}}))
    if current:
        (home / ".docker" / "config.json").write_text(json.dumps({"currentContext": name}))


def refusal(ask: Callable[[], object]) -> str:
    """The text of the EngineError that `ask` raises, all that the SDK leaves open (a socket that failed) collected."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        with pytest.raises(EngineError) as caught:
            ask()
        text = str(caught.value)
        del caught
        gc.collect()
    return text


def test_docker_host_comes_first(tmp_path: Path) -> None:
    """Before any context."""
    context(tmp_path, "colima", "unix:///colima.sock")
    found = locate({"DOCKER_HOST": "tcp://build:2375", "DOCKER_CONTEXT": "colima"}, tmp_path)

    assert (found.url, found.reason) == ("tcp://build:2375", "DOCKER_HOST")


def test_the_current_context_comes_next(tmp_path: Path) -> None:
    """As `docker context use` chose it; a named one wins over it; `default` is none."""
    context(tmp_path, "colima", "unix:///colima.sock")
    context(tmp_path, "desktop", "unix:///desktop.sock", current=False)

    assert locate({}, tmp_path) == Address("unix:///colima.sock", "docker context 'colima'", "colima")
    assert locate({"DOCKER_CONTEXT": "desktop"}, tmp_path).url == "unix:///desktop.sock"
    assert not locate({"DOCKER_CONTEXT": "default"}, tmp_path).context


def test_a_configuration_folder_of_the_users_is_respected(tmp_path: Path) -> None:
    """`DOCKER_CONFIG`."""
    context(tmp_path, "far", "ssh://me@far")

    assert locate({"DOCKER_CONFIG": str(tmp_path / ".docker")}, tmp_path / "elsewhere").url == "ssh://me@far"


def test_a_context_that_does_not_exist_is_a_clear_error(tmp_path: Path) -> None:
    """With what to choose from."""
    with pytest.raises(EngineError, match=r"no context is named 'gone'(?s:.*)docker context ls"):
        locate({"DOCKER_CONTEXT": "gone"}, tmp_path)


@pytest.mark.parametrize("text", ["", "{half", "{}", '{"currentContext": ""}', "[]", "null"])
def test_an_odd_docker_configuration_chooses_no_context(tmp_path: Path, text: str) -> None:
    """It is not ours to mend."""
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(text)

    assert not locate({}, tmp_path).context


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("run/docker.sock", "rootless docker"),
        (".docker/run/docker.sock", "Docker Desktop"),
        (".docker/desktop/docker.sock", "Docker Desktop for Linux"),
        (".colima/default/docker.sock", "Colima"),
        ("run/podman/podman.sock", "rootless podman"),
    ],
)
def test_well_known_sockets_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, reason: str) -> None:
    """Where no system engine is: rootless, Desktop, Colima, podman."""
    socket_file = tmp_path / place
    socket_file.parent.mkdir(parents=True)
    socket_file.touch()
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: path.is_relative_to(tmp_path) and exists(path))
    found = locate({"XDG_RUNTIME_DIR": str(tmp_path / "run")}, tmp_path)

    assert (found.url, found.reason) == (f"unix://{socket_file}", reason)


@pytest.mark.parametrize(
    ("url", "local", "host"),
    [
        ("unix:///var/run/docker.sock", True, "127.0.0.1"),
        ("npipe:////./pipe/docker_engine", True, "127.0.0.1"),
        ("tcp://build.example:2376", False, "build.example"),
        ("ssh://me@far.example", False, "far.example"),
    ],
)
def test_published_ports_are_where_the_engine_is(url: str, local: bool, host: str) -> None:
    """On this machine by number, never by a name that may mean ::1."""
    address = Address(url, "test")

    assert (address.local, address.published_host) == (local, host)


class Answers(http.server.BaseHTTPRequestHandler):
    """An engine of any version."""

    version: ClassVar[dict[str, Any]] = {}

    def do_GET(self) -> None:
        """Every question is answered with the version."""
        body = json.dumps(self.version).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def address_string(self) -> str:
        """A Unix socket has no address."""
        return ""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Callable[[dict[str, Any]], Address]]:
    """Starts an engine that says it is of this version."""
    path = tmp_path / "engine.sock"
    handler = type("Handler", (Answers,), {})
    with socketserver.ThreadingUnixStreamServer(str(path), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()

        def answer(version: dict[str, Any]) -> Address:
            handler.version = version
            return Address(f"unix://{path}", "test")

        yield answer
        server.shutdown()
        thread.join()


def test_an_engine_that_is_new_enough_is_taken(engine: Callable[[dict[str, Any]], Address]) -> None:
    """20.10 is what Debian 12 ships."""
    client(engine({"Version": "20.10.24+dfsg1", "ApiVersion": "1.41"})).close()
    client(engine({"Version": "29.0.0-rc.1", "ApiVersion": "1.51"})).close()


def test_an_engine_that_is_too_old_is_refused(engine: Callable[[dict[str, Any]], Address]) -> None:
    """With both versions."""
    with pytest.raises(EngineError, match=r"Docker Engine 20\.10 or newer(?s:.*)found: 19\.03\.15"):
        client(engine({"Version": "19.03.15", "ApiVersion": "1.40"}))


def test_podman_has_numbers_of_its_own(engine: Callable[[dict[str, Any]], Address]) -> None:
    """Version 4 is not older than Docker's 20."""
    version = {"Version": "4.9.3", "ApiVersion": "1.41", "Components": [{"Name": "Podman Engine"}]}
    client(engine(version)).close()


def test_no_engine_is_a_clear_error(tmp_path: Path) -> None:
    """The address, why this one, and what to do."""
    error = refusal(lambda: client(Address(f"unix://{tmp_path}/none.sock", "DOCKER_HOST")))

    assert f"unix://{tmp_path}/none.sock (DOCKER_HOST)" in error
    assert "no engine answers there" in error
    assert "envctl doctor --fix" in error


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_no_permission_is_another_clear_error(tmp_path: Path) -> None:
    """Whoever is not in the group is told so."""
    path = tmp_path / "engine.sock"
    for folder in [tmp_path, *list(tmp_path.parents)[:2]]:
        folder.chmod(0o755)
    code = f"""
import os
import docker, docker.errors, docker.utils
from envctl.engine.connect import Address, client
os.setuid(65534)
try:
    client(Address("unix://{path}", "test"))
except Exception as error:
    print(type(error).__name__, error)
"""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        path.chmod(0o600)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.startswith("EngineError")
    assert "permission denied on its socket" in done.stdout
    assert "usermod -aG docker" in done.stdout


def test_an_engine_that_goes_away_is_an_engine_error(engine: Callable[[dict[str, Any]], Address]) -> None:
    """Whatever the transport calls it; not a traceback of a library."""
    address = engine({"Version": "20.10.24", "ApiVersion": "1.41"})
    docker_engine = DockerEngine(address)
    docker_engine.api.close()
    assert address.socket
    address.socket.unlink()

    assert "no engine answers" in refusal(docker_engine.containers)


@pytest.mark.parametrize("url", ["tcp://docker:2375", "ssh://me@elsewhere"])
def test_an_engine_on_another_machine_is_refused_before_anything_is_made(url: str) -> None:
    """Its services would be published on its own 127.0.0.1, where no test of ours reaches them."""
    with pytest.raises(EngineError, match=r"127\.0\.0\.1 only"):
        Address(url, "DOCKER_HOST").require_here()


@pytest.mark.parametrize("url", ["unix:///var/run/docker.sock", "tcp://127.0.0.1:2375", "tcp://localhost:2375"])
def test_an_engine_on_this_machine_is_taken(url: str) -> None:
    """By socket or by loopback."""
    Address(url, "DOCKER_HOST").require_here()


def test_ssh_without_its_library_says_what_to_install() -> None:
    """The SDK itself ends in a NameError there."""
    with pytest.raises(EngineError, match=r"docker\[ssh\]"):
        client(Address("ssh://me@elsewhere", "DOCKER_HOST"))
