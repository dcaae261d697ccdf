"""The installed package: what `pip install envctl` gives must work from any folder, without the repository."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]


@dataclass
class Installed:
    """envctl in a virtual environment of its own, run in an empty folder on an environment of its own."""

    python: Path
    folder: Path
    environ: dict[str, str] = field(repr=False)

    def envctl(self, *arguments: str) -> str:
        """Run the installed command; its stdout."""
        return _run([str(self.python.with_name("envctl")), *arguments], self.folder, self.environ)

    def python_says(self, code: str, **variables: str) -> str:
        """Run Python code in the virtual environment, with these variables too; its stdout."""
        return _run([str(self.python), "-c", code], self.folder, {**self.environ, **variables}).strip()

    @property
    def bundle(self) -> Path:
        """Where the installed package keeps its compose files and seeds."""
        return Path(self.python_says("import envctl.config; print(envctl.config.bundle_root())"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, made from the source archive and not from the tree: so both are complete or none is."""
    work = tmp_path_factory.mktemp("dist")
    builder = _virtual_environment(work / "builder")
    _run([str(builder), "-m", "pip", "install", "--quiet", "hatchling>=1.26"], work)
    _run([str(builder), "-m", "hatchling", "build", "--target", "sdist", "--directory", str(work)], REPOSITORY)
    shutil.unpack_archive(next(work.glob("*.tar.gz")), work, filter="data")
    source = next(path for path in work.glob("envctl-*") if path.is_dir())
    _run([str(builder), "-m", "hatchling", "build", "--target", "wheel", "--directory", str(work)], source)
    return next(work.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The wheel, installed; whatever the tests bring up with it is taken down by it."""
    work = tmp_path_factory.mktemp("installed")
    python = _virtual_environment(work / "venv")
    # The locked dependencies of the virtual environment that runs these tests serve this one too; envctl itself stays
    # out, for a path file's own lines are not followed.
    site = _run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], work).strip()
    (Path(site) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    _run([str(python), "-m", "pip", "install", "--quiet", "--no-deps", str(wheel)], work)
    folder = work / "empty"
    folder.mkdir()
    name = f"wheel-{secrets.token_hex(4)}"
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("ENVCTL_", "PYTHON"))}
    environ |= {"ENVCTL_ENV": name, "ENVCTL_PORTS": "auto", "XDG_STATE_HOME": str(work / "state")}
    package = Installed(python, folder, environ)
    try:
        yield package
    finally:
        package.envctl("down")


def test_the_wheel_carries_every_file_of_compose_and_seeds_as_it_is(installed: Installed) -> None:
    """Hidden files and executable bits included: both decide what compose reads and what an image is made of."""
    for folder in ("compose", "seeds"):
        assert _contents(installed.bundle / folder) == _contents(REPOSITORY / folder)


def test_the_wheel_carries_the_schema_and_its_type_marker(installed: Installed) -> None:
    """Editors read the one, type checkers look for the other."""
    package = Path(installed.python_says("import envctl; print(envctl.__path__[0])"))
    schema = json.loads((package / "schema" / "envctl.schema.json").read_text())
    assert schema["title"] == "envctl configuration"
    assert (package / "py.typed").is_file()


def test_the_installed_command_tells_its_version(installed: Installed) -> None:
    """The console script is there, and the version is that of the source."""
    import envctl

    assert installed.envctl("--version") == f"envctl {envctl.__version__}\n"


def test_the_installed_recipes_are_those_of_the_checkout(installed: Installed) -> None:
    """Otherwise an image that one of them built would be built again by the other."""
    code = (
        "from envctl.config import bundle_root; from envctl.engine.images import load;"
        "from envctl.engine.images.fingerprint import fingerprint;"
        "images = load(bundle_root() / 'compose' / 'images' / 'images.yaml');"
        "print({name: fingerprint(image, images) for name, image in images.images.items()})"
    )
    assert installed.python_says(code) == _run([sys.executable, "-c", code], REPOSITORY).strip()


def test_images_are_listed_from_an_empty_folder(installed: Installed) -> None:
    """The table of images and their build contexts are found in the package."""
    listed = json.loads(installed.envctl("images", "list", "--json"))
    assert {"postgres", "redis", "kafka", "zookeeper", "minio", "spark-connect", "tools"} <= {
        row["name"] for row in listed["images"]
    }


def test_an_environment_goes_up_and_down_from_an_empty_folder(installed: Installed) -> None:
    """Up, an answer to a query as the app identity, down, and nothing of it is left on the engine or on the disk."""
    installed.envctl("up", "--profile", "core", "--timeout", "300")
    status = json.loads(installed.envctl("status", "--json"))
    variables = json.loads(installed.envctl("env", "--format", "json"))
    query = "import psycopg; print(psycopg.connect().execute('select current_user').fetchone()[0])"
    answer = installed.python_says(query, **variables)
    installed.envctl("down")
    assert (status["state"], set(status["services"])) == ("ready", {"postgres", "redis"})
    assert answer == "app"
    label = f"label=envctl.environment={installed.environ['ENVCTL_ENV']}"
    for kind in (["ps", "-aq"], ["volume", "ls", "-q"], ["network", "ls", "-q"]):
        assert _run(["docker", *kind, "--filter", label], installed.folder) == ""
    assert list(installed.folder.iterdir()) == []
    assert not (Path(installed.environ["XDG_STATE_HOME"]) / "envctl" / installed.environ["ENVCTL_ENV"]).exists()


def _contents(folder: Path) -> dict[str, tuple[bytes, bool]]:
    """Every file by its path: what it holds, and whether it can be run. Python's own leavings do not count."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), os.access(path, os.X_OK))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def _virtual_environment(folder: Path) -> Path:
    """A fresh virtual environment; its Python."""
    _run([sys.executable, "-m", "venv", str(folder)], folder.parent)
    return folder / "bin" / "python"


def _run(command: list[str], folder: Path, environ: dict[str, str] | None = None) -> str:
    """Run a command; its stdout. A failure shows what it said on stderr."""
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout
