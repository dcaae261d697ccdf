"""Checks of the engine and of the docker CLI with its plugins, clock and architecture."""

from __future__ import annotations

import platform
import subprocess
from typing import TYPE_CHECKING

from envctl.engine.connect import OLDEST_COMPOSE, OLDEST_ENGINE
from envctl.engine.doctor.finding import Finding, Level
from envctl.engine.doctor.site import docker_command, run
from envctl.engine.doctor.versions import numbers, text

if TYPE_CHECKING:
    from envctl.engine.doctor.site import Site

ENGINE_UNUSABLE = 4
"""The exit code of INTERFACE §1 for "engine unreachable"; the same as `EngineError.exit_code`."""

SKEW = 2.0
"""Seconds of difference between the clocks from which on log times and time-outs mislead; 1 s is measuring noise."""

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

FIX = "`envctl doctor --fix` installs it"


def engine(site: Site) -> list[Finding]:
    """Whether an engine answers, which one, and why that one."""
    if site.engine is None:
        return [_no_engine(site)]
    version, address = str(site.engine.version.get("Version", "")), site.address
    name = "podman" if site.engine.podman else "Docker Engine"
    where = f"{address.url} ({address.reason})" if address else ""
    data: dict[str, object] = {"version": version, "url": address.url if address else "", "podman": site.engine.podman}
    meaning = f"answers, {text(OLDEST_ENGINE)} or newer"
    if site.engine.podman:
        meaning = "answers the docker API; the tests run on Docker Engine only"
        return [Finding("engine", Level.WARN, f"{name} {version} at {where}", meaning, "report what differs", data)]
    return [Finding("engine", Level.OK, f"{name} {version} at {where}", meaning, data=data)]


def _no_engine(site: Site) -> Finding:
    """The one finding for an engine that cannot be used; checks that need one say nothing of their own."""
    error, address = site.error, site.address
    data: dict[str, object] = {"url": address.url if address else "", "reason": address.reason if address else ""}
    found = f"{error.wanted}: {error.found}{_root_cause(error)}" if error else "no answer"
    meaning = "nothing can run; disk, networks, clock, images were not looked at"
    return Finding("engine", Level.FAIL, found, meaning, advice(site), data, ENGINE_UNUSABLE)


def _root_cause(error: BaseException) -> str:
    """The system's own words at the bottom of a chain of exceptions, in brackets; empty for an error without one."""
    cause = error
    while deeper := cause.__cause__ or cause.__context__:
        cause = deeper
    return f" ({cause})" if cause is not error and str(cause) else ""


def chosen(site: Site) -> str:
    """How somebody chose this engine explicitly, so that no other may take its place; empty when it was just found."""
    if site.address is None or not site.address.context:
        return "DOCKER_HOST" if site.address and site.address.reason == "DOCKER_HOST" else ""
    return site.address.reason


def advice(site: Site) -> str:
    """What to do about an engine that cannot be used."""
    if site.error and chosen(site) and "no engine" in site.error.found:
        undo = "unset DOCKER_HOST" if chosen(site) == "DOCKER_HOST" else "`docker context use default`"
        return f"start the engine that {chosen(site)} names, or {undo} to use this machine's"
    return site.error.advice if site.error else ""


def cli(site: Site) -> list[Finding]:
    """The docker program, its compose plugin (needed) and its buildx plugin (needed to build images)."""
    try:
        version = numbers(run(["docker", "--version"]).stdout)
    except OSError as error:
        meaning = "compose is a plugin of the docker program; nothing can run without it"
        found = f"no docker program: {error.strerror}"
        return [Finding("docker", Level.FAIL, found, meaning, FIX, exit_code=ENGINE_UNUSABLE)]
    program = Finding("docker", Level.OK, text(version), "drives compose", data={"version": text(version)})
    return [program, _plugin(site, "compose"), _plugin(site, "buildx")]


def _plugin(site: Site, name: str) -> Finding:
    """One plugin of the docker CLI by the version it prints."""
    compose = name == "compose"
    level, exit_code = (Level.FAIL, ENGINE_UNUSABLE) if compose else (Level.WARN, 1)
    meaning = "nothing can run without it" if compose else "images cannot be built from packages without it"
    version, said = plugin_version(site, name)
    data: dict[str, object] = {"version": text(version)}
    if not version:
        return Finding(name, level, f"no {name} plugin: {said}", meaning, FIX, data, exit_code)
    if compose and version < OLDEST_COMPOSE:
        advice = "update the compose plugin; one that is there is not replaced by envctl"
        meaning = f"{text(OLDEST_COMPOSE)} or newer is needed"
        return Finding(name, level, text(version), meaning, advice, data, exit_code)
    return Finding(name, Level.OK, text(version), "present", data=data)


def plugin_version(site: Site, name: str) -> tuple[tuple[int, ...], str]:
    """The version of a plugin, () without one, and what the CLI said."""
    try:
        answer = run([*docker_command(site.address), name, "version"])
    except (OSError, subprocess.TimeoutExpired) as error:
        return (), str(error)
    said = (answer.stdout or answer.stderr).strip().partition("\n")[0]
    return (numbers(said) if answer.returncode == 0 else ()), said


def clock(site: Site) -> list[Finding]:
    """The engine's clock against ours."""
    if site.engine is None:
        return []
    skew = site.engine.skew
    found, data = f"{skew:+.2f} s", {"seconds": round(skew, 3)}
    if abs(skew) <= SKEW:
        return [Finding("clock", Level.OK, found, "the engine's clock agrees with ours", data=data)]
    advice = "set both clocks by NTP; restart the engine's machine if it slept"
    meaning = "log times, --since and certificates mislead"
    return [Finding("clock", Level.WARN, found, meaning, advice, data)]


def architecture(site: Site) -> list[Finding]:
    """The engine's processor against ours, and against that of each image of envctl that is there."""
    if site.engine is None:
        return []
    theirs, ours = _normal(str(site.engine.info.get("Architecture", ""))), _normal(platform.machine())
    foreign = _foreign_images(site, theirs)
    data: dict[str, object] = {"engine": theirs, "host": ours, "foreign_images": foreign}
    if foreign:
        meaning = "they run emulated: starts take several times as long and may pass the time-out"
        found = f"engine {theirs}, but made for another: {', '.join(foreign)}"
        return [Finding("architecture", Level.WARN, found, meaning, "remove them and run `envctl images build`", data)]
    if theirs != ours:
        meaning = "the engine's machine differs from this Python's; images follow the engine"
        return [Finding("architecture", Level.OK, f"engine {theirs}, here {ours}", meaning, data=data)]
    return [Finding("architecture", Level.OK, theirs, "the same here and in the engine", data=data)]


def _foreign_images(site: Site, architecture: str) -> list[str]:
    """Tags of envctl's own images that were made for another processor."""
    if site.engine is None:
        return []
    found = []
    for image in site.engine.api.images(filters={"label": "envctl.image"}):
        details = site.engine.api.inspect_image(image["Id"])  # type: ignore[no-untyped-call]
        made_for = _normal(str(details.get("Architecture", "")))
        if made_for != architecture:
            found.append(f"{(image.get('RepoTags') or [image['Id']])[0]} ({made_for})")
    return found


def _normal(machine: str) -> str:
    """The engine's `x86_64` and an image's `amd64` are one."""
    return _ARCHITECTURES.get(machine.lower(), machine.lower())
