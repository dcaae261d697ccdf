"""`envctl doctor --fix`: what is safe to do for a machine that lacks something."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

from envctl.engine.doctor import daemon, plugins, sources
from envctl.engine.doctor.apt import Apt
from envctl.engine.doctor.engine import advice, chosen
from envctl.engine.doctor.site import Site, find_program
from envctl.engine.doctor.work import Work
from envctl.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from envctl.engine.doctor.finding import Action

PACKAGES = ("docker.io", "debootstrap", "iptables", "iproute2")
"""The engine, what its networks need, and what builds the base image. Debian and Ubuntu name them alike."""

CLI_PACKAGE = "docker-cli"
"""From Debian 13 on the program `docker` is a package of its own, only recommended by docker.io."""

ELSEWHERE: Mapping[str, str] = {
    "dnf": "sudo dnf install moby-engine docker-compose docker-buildx && sudo systemctl start docker",
    "zypper": "sudo zypper install docker docker-compose docker-buildx && sudo systemctl start docker",
    "pacman": "sudo pacman -S docker docker-compose docker-buildx && sudo systemctl start docker",
    "apk": "sudo apk add docker docker-cli-compose docker-cli-buildx && sudo service docker start",
    "brew": "brew install colima docker docker-compose docker-buildx && colima start",
}
"""Package manager to the command that a person types; envctl does not run these: they are untested here."""


def fix(report: Callable[[str], None]) -> list[Action]:
    """Do what is safe: install an engine where there is none, start it, add missing plugins. Each step is reported.

    An engine that answers is used as it is: nothing is restarted, reconfigured or replaced. A second call does
    nothing. Without root nothing of the system is touched; plugins go into the user's own folder.

    Raises:
        EngineError: something cannot be done here; what was wanted, what was found, and the command to run instead.

    """
    work = Work(report)
    apt = Apt(work) if shutil.which("apt-get") and shutil.which("dpkg") else None
    site = Site.look()
    if site.engine is None:
        _provide_engine(site, apt, work)
        site = Site.look()
    if site.engine is None:
        raise site.error or EngineError("a container engine", "none answers", "see `envctl doctor`")
    report(f"engine {site.engine.version.get('Version')} answers and is used as it is")
    _provide_cli(apt)
    plugins.provide(site, apt, work)
    _provide_debootstrap(site, apt, work)
    if not work.actions:
        report("nothing had to be done")
    return work.actions


def _provide_engine(site: Site, apt: Apt | None, work: Work) -> None:
    """Install the engine if it is not there, and start it."""
    if site.error and (chosen(site) or "no engine" not in site.error.found):
        # Somebody chose an engine that does not answer, or one keeps us out or is too old: not ours to work around.
        raise EngineError(site.error.wanted, site.error.found, advice(site))
    dockerd = find_program("dockerd")
    if dockerd is None:
        _install(apt)
        dockerd = find_program("dockerd")
    if dockerd is None:
        raise EngineError("the program dockerd", "not there after the installation", "see the output of apt above")
    _need_root("a running engine", "sudo systemctl start docker" if daemon.SYSTEMD.is_dir() else f"sudo {dockerd}")
    daemon.start(dockerd, work)


def _install(apt: Apt | None) -> None:
    """The engine from the system's packages.

    Raises:
        EngineError: no apt, or no root; names the command.

    """
    if apt is None:
        known = next((command for manager, command in ELSEWHERE.items() if shutil.which(manager)), "")
        raise EngineError(
            "a container engine", f"none is installed on {sys.platform}", known or "install Docker Engine"
        )
    command = f"sudo apt-get install --no-install-recommends {' '.join(PACKAGES)}"
    _need_root("a container engine from the system's packages", command)
    extra = [] if shutil.which("docker") else list(apt.candidates([CLI_PACKAGE]))
    apt.install([*PACKAGES, *extra])


def _provide_cli(apt: Apt | None) -> None:
    """The docker program beside an engine that is there without it (podman, an engine elsewhere)."""
    if shutil.which("docker"):
        return
    if apt is None or CLI_PACKAGE not in apt.candidates([CLI_PACKAGE]):
        how = "install the docker program by your system's packages; on Debian 12 it is part of docker.io"
        raise EngineError("the docker program", "not on PATH", how)
    _need_root("the docker program", f"sudo apt-get install {CLI_PACKAGE}")
    apt.install([CLI_PACKAGE])


def _provide_debootstrap(site: Site, apt: Apt | None, work: Work) -> None:
    """The tool that builds the base image, where images have to be built and it is missing."""
    if not sources.lacks_debootstrap(site):
        return
    command = "sudo apt-get install --no-install-recommends debootstrap"
    if apt is None or os.geteuid() != 0:
        work.report(f"images will have to be built here, which takes debootstrap: run `{command}`")
        return
    apt.install(["debootstrap"])


def _need_root(wanted: str, command: str) -> None:
    """Raise, with the command to run instead, unless we are root."""
    if os.geteuid() != 0:
        raise EngineError(wanted, "this takes root", f"run `{command}`, then again")
