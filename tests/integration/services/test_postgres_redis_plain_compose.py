"""The compose files by themselves, as somebody without envctl would use them."""

from __future__ import annotations

import os
import secrets
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
import redis

from envctl.protocols import NotReady
from envctl.waiting import until
from tests.integration.services.conftest import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FILE = Path(__file__).parents[3] / "compose" / "compose.yaml"


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """`docker compose` on the file, from a folder that has nothing to do with it; ports of the engine's choice, the
    images of this machine, everything else by default.
    """
    project = f"svctest-plain-{secrets.token_hex(4)}"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ENVCTL_")}
    environ |= {"ENVCTL_POSTGRES_PORT": "0", "ENVCTL_REDIS_PORT": "0"}
    environ |= {"ENVCTL_POSTGRES_IMAGE": "envctl/postgres:17", "ENVCTL_REDIS_IMAGE": "envctl/redis:8"}
    folder = tmp_path_factory.mktemp("elsewhere")

    def run(*arguments: str) -> str:
        command = ["docker", "compose", "-f", str(FILE), "-p", project, *arguments]
        done = subprocess.run(command, cwd=folder, env=environ, check=True, capture_output=True, text=True)
        return done.stdout + done.stderr

    try:
        run.said = run("--profile", "core", "up", "-d")
        yield run
    finally:
        subprocess.run(["docker", "compose", "-p", project, "down", "-v", "-t", "0"], check=True, capture_output=True)


def test_it_warns_of_nothing(compose: Callable[..., str]) -> None:
    """No variable unset, no option ignored."""
    assert "warn" not in compose.said.lower()


def test_postgres_takes_its_development_password(compose: Callable[..., str]) -> None:
    """As the superuser on the database `app`; envctl is what makes the role `app`."""
    host, port = compose("port", "postgres", "5432").strip().split(":")
    assert host == "127.0.0.1"

    def ask() -> None:
        try:
            with psycopg.connect(
                host=host, port=port, user="envctl", password="envctl-dev-password", dbname="app"
            ) as db:
                db.execute("SELECT 1")
        except psycopg.OperationalError as error:
            raise NotReady(str(error)) from error

    until(ask, PATIENCE, "a login")


def test_redis_takes_its_development_password(compose: Callable[..., str]) -> None:
    """As app."""
    host, port = compose("port", "redis", "6379").strip().split(":")

    def ask() -> None:
        with redis.Redis(host=host, port=int(port), username="app", password="app-dev-password") as client:
            try:
                client.ping()
            except redis.ConnectionError as error:
                raise NotReady(str(error)) from error

    until(ask, PATIENCE, "a login")


def test_the_healthchecks_pass(compose: Callable[..., str]) -> None:
    """`docker compose ps` says so."""

    def look() -> None:
        listed = compose("ps", "--format", "{{.Service}}={{.Health}}").split()
        if sorted(listed) != ["postgres=healthy", "redis=healthy"]:
            raise NotReady(str(listed))

    until(look, PATIENCE, "healthy")


def test_secrets_are_in_no_description(compose: Callable[..., str]) -> None:
    """Neither in what compose renders."""
    assert "dev-password" not in compose("--profile", "full", "config")
