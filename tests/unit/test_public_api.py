"""The public API is what `__all__` says, and looking at it costs nothing."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

import envctl
from envctl.environment import Environment

HEAVY = ("click", "docker", "grpc", "kafka", "minio", "psutil", "psycopg", "python_on_whales", "redis", "requests")


def loaded_after(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after `code`."""
    shown = "import sys; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{shown}"], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_every_public_name_exists_and_is_documented() -> None:
    """What `__all__` promises is there."""
    for name in envctl.__all__:
        assert getattr(envctl, name), name
        assert name.startswith("__") or getattr(envctl, name).__doc__, name
    assert {"EnvctlError", "Environment", "attach", "up"} <= {*envctl.__all__}
    assert envctl.Environment is Environment


def test_every_public_name_can_be_imported_by_a_star() -> None:
    """Names that are loaded on demand too."""
    assert "envctl" in loaded_after("from envctl import *; Environment, up, attach, EnvctlError")


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    """As of any module; `hasattr` and `from … import` behave."""
    assert not hasattr(envctl, "nonsense")
    with pytest.raises(ImportError):
        exec("from envctl import nonsense")  # noqa: S102 - the statement is what is tested


def test_importing_envctl_loads_no_client_and_no_command_line() -> None:
    """Each costs 50 to 230 ms, which `import envctl` at the head of a test suite must not."""
    assert not loaded_after("import envctl") & {*HEAVY, "structlog", "rich", "yaml", "jsonschema"}


def test_the_environment_class_loads_no_client_of_a_service() -> None:
    """They are loaded by the handle that needs them."""
    assert not loaded_after("from envctl import Environment") & {*HEAVY, "rich"}


def test_the_version_is_that_of_the_package() -> None:
    """One number, in one place."""
    assert envctl.__version__ == importlib.metadata.version("envctl")
