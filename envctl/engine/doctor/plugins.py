"""The docker CLI's plugins compose and buildx: where a machine without them gets them from."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from envctl.engine.connect import OLDEST_COMPOSE
from envctl.engine.doctor.apt import KEYRING, Apt
from envctl.engine.doctor.engine import plugin_version
from envctl.engine.doctor.versions import numbers, text
from envctl.engine.images.surroundings import debian_mirror
from envctl.errors import EngineError, ImageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envctl.engine.doctor.site import Site
    from envctl.engine.doctor.work import Work

SUITE = "trixie"
"""Debian 13: its plugins are Go programs that also run on Debian 12, which has none (reference: images.md §12.2)."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """One plugin: the packages that may hold it, Docker's own first, and the oldest version that will do."""

    name: str
    packages: Sequence[str]
    oldest: tuple[int, ...]


PLUGINS = (
    Plugin(
        "compose",
        # docker-compose-plugin: Docker's repository; -v2: Ubuntu; docker-compose: v2 since Debian 13, v1 before.
        ["docker-compose-plugin", "docker-compose-v2", "docker-compose"],
        OLDEST_COMPOSE,
    ),
    Plugin("buildx", ["docker-buildx-plugin", "docker-buildx"], (0,)),
)


def provide(site: Site, apt: Apt | None, work: Work) -> None:
    """See to it that both plugins are there. One that is there is never replaced.

    Raises:
        EngineError: compose is too old, a plugin cannot be had, or it does not answer after all.

    """
    missing = [plugin for plugin in PLUGINS if not _present(site, plugin, work)]
    if not missing:
        return
    if apt is None:
        advice = "see the manual of your system: docker compose v2 and buildx are packages of most of them"
        raise EngineError(_names(missing), "not there, and this system has no apt", advice)
    distribution = choose(missing, apt.candidates([package for plugin in missing for package in plugin.packages]))
    if distribution and os.geteuid() == 0:
        apt.install(list(distribution.values()))
    elif distribution:
        _copy(apt, list(distribution.values()), work)
    elsewhere = [plugin for plugin in missing if plugin.name not in distribution]
    if elsewhere:
        _from_debian([f"docker-{plugin.name}" for plugin in elsewhere], work)
    for plugin in missing:
        version, said = plugin_version(site, plugin.name)
        if not version:
            raise EngineError(f"the docker plugin {plugin.name}", f"put there, but: {said}", "run `docker info`")
        work.report(f"docker {plugin.name} {text(version)} answers")


def _present(site: Site, plugin: Plugin, work: Work) -> bool:
    version, _ = plugin_version(site, plugin.name)
    if version and version < plugin.oldest:
        advice = "update it by the way it was installed; envctl does not replace what is there"
        raise EngineError(f"docker {plugin.name} {text(plugin.oldest)} or newer", text(version), advice)
    if version:
        work.report(f"docker {plugin.name} {text(version)} is there and used as it is")
    return bool(version)


def choose(plugins: Sequence[Plugin], candidates: Mapping[str, str]) -> dict[str, str]:
    """Plugin to the first package of the distribution that is new enough; those without one are left out."""
    found: dict[str, str] = {}
    for plugin in plugins:
        fit = [p for p in plugin.packages if p in candidates and numbers(candidates[p]) >= plugin.oldest]
        if fit:
            found[plugin.name] = fit[0]
    return found


def _from_debian(packages: Sequence[str], work: Work) -> None:
    """The route for distributions without them: Debian 13's packages, unpacked by an apt apart from the machine's."""
    try:
        mirror = debian_mirror(os.environ)
    except ImageError as error:
        raise EngineError(f"the packages {', '.join(packages)}", error.found, error.advice) from error
    with tempfile.TemporaryDirectory(prefix="envctl-apt-") as folder:
        apart = Apt.apart(work, Path(folder), f"deb [signed-by={KEYRING}] {mirror} {SUITE} main")
        _copy(apart, packages, work)


def _copy(apt: Apt, packages: Sequence[str], work: Work) -> None:
    """Put the plugins of some packages where the docker CLI looks for a user's own."""
    target = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "cli-plugins"
    with tempfile.TemporaryDirectory(prefix="envctl-deb-") as folder:
        apt.unpack(packages, Path(folder))
        programs = sorted(Path(folder).rglob("cli-plugins/docker-*"))
        if not programs:
            found = "the packages hold none"
            raise EngineError(f"docker plugins from {', '.join(packages)}", found, "install compose v2 by hand")
        target.mkdir(parents=True, exist_ok=True)
        for program in programs:
            started, final = time.monotonic(), target / program.name
            partial = final.with_suffix(".partial")
            shutil.copyfile(program, partial)
            partial.chmod(0o755)
            # A docker that looks for plugins in this moment sees the whole program or none.
            partial.replace(final)
            work.did(f"put the plugin {program.name} into {target}", f"cp {program.name} {target}", started)


def _names(plugins: Sequence[Plugin]) -> str:
    return "the docker plugins " + ", ".join(plugin.name for plugin in plugins)
