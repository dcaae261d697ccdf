"""A machine that has nothing: a bare Debian 12 with git and make, the repository cloned into it, and the first minute.

Not part of the default run (its name keeps it out): `make test-fresh`. Takes root, debootstrap and an engine, about
two minutes, and ten more with `ENVCTL_FRESH_UP=1`, which runs the whole `make up` in it. The machine is a container
with its own network, process tree and disk for an engine inside; nothing of the host's engine is visible to it.
Certificates of this host are installed as a company would install its own: into the system's store.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from envctl.engine.images.surroundings import PROXIES, bundle, debian_mirror

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SUITE = "bookworm"
NEWCOMER = "git,make,ca-certificates"
"""What somebody who types `git clone` and `make up` has."""

BOOT = """\
set -e
mount -o remount,rw /sys
for group in /sys/fs/cgroup /sys/fs/cgroup/*/; do
    if mountpoint -q "$group"; then mount -o remount,bind,rw "$group"; fi
done
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    # cgroup v2 gives controllers only to groups whose parent holds no process (moby does the same in hack/dind).
    mkdir -p /sys/fs/cgroup/init
    xargs -rn1 </sys/fs/cgroup/cgroup.procs >/sys/fs/cgroup/init/cgroup.procs || true
    sed -e 's/ / +/g' -e 's/^/+/' </sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control
fi
exec sleep infinity
"""


@dataclass(frozen=True)
class Machine:
    """The bare machine; `name` is its container on the host's engine."""

    name: str

    def run(self, command: str, *, check: bool = True) -> str:
        """Run a shell command in the cloned repository, as root, without a terminal; both output streams."""
        done = subprocess.run(
            ["docker", "exec", "--workdir", "/root/envctl", self.name, "bash", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        print(f"$ {command}\n{done.stdout}")
        if check and done.returncode:
            pytest.fail(f"`{command}` ended with {done.returncode} on the bare machine:\n{done.stdout}")
        return done.stdout


def host(*command: str, cwd: Path | None = None) -> str:
    """Run a command on this host; its output."""
    done = subprocess.run(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}"
    return done.stdout


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A bare Debian 12 as an image of the host's engine; removed afterwards."""
    folder, name = tmp_path_factory.mktemp("fresh") / "root", f"envctl-fresh:{secrets.token_hex(4)}"
    try:
        mirror = debian_mirror(os.environ)
        host("debootstrap", "--variant=minbase", f"--include={NEWCOMER}", SUITE, str(folder), mirror)
        host("bash", "-o", "pipefail", "-c", f"tar --numeric-owner -C {folder} -c . | docker import - {name}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    yield name
    host("docker", "rmi", name)


@pytest.fixture(scope="module")
def machine(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The machine, started, with the host's certificates and a clone of the repository's current commit."""
    name = f"envctl-fresh-{secrets.token_hex(4)}"
    proxies = [f"--env={key}" for key in (*PROXIES, *map(str.lower, PROXIES)) if key in os.environ]
    # An anonymous volume: overlay does not stack on overlay, so the inner engine needs a real disk.
    host("docker", "run", "--detach", "--init", "--name", name, *rights(), *proxies, "--volume", "/var/lib/docker",
         image, "bash", "-c", BOOT)  # fmt: skip
    try:
        archive = tmp_path_factory.mktemp("clone") / "envctl.bundle"
        host("git", "bundle", "create", str(archive), "HEAD", cwd=ROOT)
        host("docker", "cp", str(archive), f"{name}:/root/envctl.bundle")
        host("docker", "exec", name, "git", "clone", "--quiet", "/root/envctl.bundle", "/root/envctl")
        if certificates := bundle(os.environ):
            host(
                "docker",
                "cp",
                "--follow-link",
                str(certificates),
                f"{name}:/usr/local/share/ca-certificates/company.crt",
            )
            host("docker", "exec", name, "update-ca-certificates")
        yield Machine(name)
    finally:
        host("docker", "rm", "--force", "--volumes", name)


def rights() -> list[str]:
    """What an engine inside a container needs.

    Not `--privileged`: that asks for every capability there is, and hosts that lack one refuse it.
    """
    bounding = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapBnd"))
    cap_sys_resource = 1 << 24
    lacking = [] if int(bounding.split()[1], 16) & cap_sys_resource else ["--cap-drop=SYS_RESOURCE"]
    open_doors = [f"--security-opt={door}=unconfined" for door in ("seccomp", "apparmor", "systempaths")]
    return ["--cap-add=ALL", *lacking, *open_doors, "--device-cgroup-rule=a *:* rwm"]


def test_the_machine_has_neither_python_nor_an_engine_at_first(machine: Machine) -> None:
    """Otherwise the rest proves nothing."""
    assert machine.run("command -v python3 docker dockerd debootstrap iptables ip systemctl", check=False) == ""


def test_bootstrap_finds_a_python_and_installs_the_locked_dependencies(machine: Machine) -> None:
    """From the system's packages and the package registry, through the company's certificates; then does nothing."""
    said = machine.run("scripts/bootstrap")
    assert "installing it: apt-get" in said
    assert machine.run(".venv/bin/envctl version").strip()
    assert machine.run("scripts/bootstrap") == ""


def test_fix_brings_engine_compose_and_buildx_and_says_each_step(machine: Machine) -> None:
    """And then the doctor has nothing to complain about that keeps envctl from working."""
    said = machine.run(".venv/bin/envctl doctor --fix")
    for step in ("apt-get install", "dockerd", "docker-compose", "docker-buildx"):
        assert step in said
    machine.run("docker info >/dev/null && docker compose version && docker buildx version")
    machine.run(".venv/bin/envctl doctor")


def test_fix_a_second_time_changes_nothing(machine: Machine) -> None:
    """The same daemon runs on."""
    daemon = machine.run("cat /var/run/docker.pid")
    assert "nothing had to be done" in machine.run(".venv/bin/envctl doctor --fix")
    assert machine.run("cat /var/run/docker.pid") == daemon


def test_a_stopped_engine_is_started_again(machine: Machine) -> None:
    """Where no init system does it: after a reboot of such a machine."""
    machine.run("pid=$(cat /var/run/docker.pid); kill $pid; tail --pid=$pid -f /dev/null")
    said = machine.run(".venv/bin/envctl doctor --fix")
    assert "start the engine" in said
    assert "apt-get install" not in said
    machine.run("docker info >/dev/null")


@pytest.mark.skipif("ENVCTL_FRESH_UP" not in os.environ, reason="takes ten minutes: set ENVCTL_FRESH_UP=1")
def test_make_up_ends_with_every_service_and_make_down_with_none(machine: Machine) -> None:
    """The first minutes of a newcomer, images built from package registries where no registry answers."""
    said = machine.run("make up")
    for service in ("postgres", "redis", "zookeeper", "kafka", "minio", "spark-connect"):
        assert service in said
    machine.run("make down")
    assert machine.run("docker ps --all --quiet --filter label=envctl.environment") == ""
