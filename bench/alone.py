"""One service by plain `docker run`, from the command to its first protocol answer: the floor that `up` stands on."""

from __future__ import annotations

import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compared import cpu_seconds

from envctl.catalog import SERVICES
from envctl.model import Endpoint, Identity
from envctl.protocols import Advertises, HasIdentities, NotReady

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_PORT = 24000
PASSWORD = "bench-bench"
PATIENCE = 60.0
NETWORK = "envctl-bench"


class Alone:
    """One container made by hand from the same compose model."""

    def __init__(self, name: str, model: dict[str, Any], secrets: str) -> None:
        self.name, self.model, self.secrets = name, model["services"][name], secrets
        self.container = f"envctl-bench-{name}"
        self.service = SERVICES[name]
        self.ports = {port: FIRST_PORT + target % 1000 for port, target in self.service.ports.items()}

    def command(self) -> list[str]:
        """The `docker run` line."""
        known, model = self.service, self.model
        words = ["docker", "run", "-d", "--name", self.container, "--network", NETWORK, "--network-alias", self.name]
        words += ["-v", f"{self.secrets}:/run/secrets:ro"]
        words += [
            f"-e={key}={str(value).replace('$$', '$')}" for key, value in (model.get("environment") or {}).items()
        ]
        words += [f"-p=127.0.0.1:{self.ports[port]}:{target}" for port, target in known.ports.items()]
        words += ["--init"] if model.get("init") else []
        return [*words, model["image"], *(str(word).replace("$$", "$") for word in model.get("command") or [])]

    def measure(self) -> tuple[float, float]:
        """Seconds and CPU seconds until the first answer; the container is removed afterwards."""
        started = time.perf_counter()
        with self.running():
            return time.perf_counter() - started, cpu_seconds(self.container)

    @contextmanager
    def running(self) -> Iterator[None]:
        """The container, from its first answer on; removed with what it wrote."""
        if isinstance(self.service, Advertises):
            self.service.advertise(self.model, self.ports)
        try:
            subprocess.run(self.command(), check=True, capture_output=True)
            self._until_answered()
            yield
        finally:
            subprocess.run(["docker", "rm", "-fv", self.container], check=False, capture_output=True)

    def _until_answered(self) -> None:
        todo, admin, app = [self.service.ping], None, None
        if isinstance(self.service, HasIdentities):
            todo.insert(0, self.service.provision)
            admin = Identity(self.service.admin_name, PASSWORD)
            app = Identity(self.service.app_name, PASSWORD)
        at, started = Endpoint(self.name, "127.0.0.1", self.ports, admin, app), time.monotonic()
        while todo:
            try:
                todo[0](at, 2.0)
                todo.pop(0)
            except NotReady as reason:
                if time.monotonic() - started > PATIENCE:
                    raise SystemExit(f"{self.name} alone: {reason}") from reason
                time.sleep(0.02)


def secrets_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder with every secret of every service, with one password everywhere."""
    folder = tempfile.TemporaryDirectory(prefix="envctl-bench-")
    Path(folder.name).chmod(0o755)
    for name, service in SERVICES.items():
        if isinstance(service, HasIdentities):
            files = service.secret_files(Identity(service.admin_name, PASSWORD), Identity(service.app_name, PASSWORD))
            for key, content in files.items():
                (Path(folder.name) / f"{name.replace('-', '_')}_{key}").write_text(content)
    return folder
