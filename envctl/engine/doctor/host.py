"""Checks of this machine: Python, memory, disk, certificates."""

from __future__ import annotations

import os
import platform
import shutil
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from envctl.engine.doctor.finding import Finding, Level
from envctl.engine.doctor.versions import text
from envctl.engine.images.surroundings import BUNDLE_VARIABLES, bundle

if TYPE_CHECKING:
    from envctl.engine.doctor.site import Site

PYTHON = ((3, 11), (3, 14))
"""Oldest and newest Python that the tests run on (`requires-python` in pyproject.toml)."""

MEMORY = 1.6 * 2**30
"""Bytes that the full profile holds when idle: the ceiling that the project's own benchmark enforces."""

DISK_NEEDED = 2 * 2**30
"""Bytes below which not even the data of one environment and its logs are safe."""

DISK_COMFORT = 8 * 2**30
"""Bytes for building every image from packages: 6 GB measured (3 GB of images, 3.2 GB of build cache), and room."""

STATE_NEEDED = 50 * 2**20
"""Bytes for secrets, journals and logs; real folders stay under 1 MB."""


def python(_site: Site) -> list[Finding]:
    """The interpreter that runs envctl."""
    oldest, newest = PYTHON
    found = f"{platform.python_version()} at {sys.executable}"
    data: dict[str, object] = {"version": platform.python_version(), "executable": sys.executable}
    if oldest <= sys.version_info[:2] <= newest:
        return [Finding("python", Level.OK, found, "supported", data=data)]
    meaning = f"outside {text(oldest)} to {text(newest)}, which is what the tests cover"
    return [Finding("python", Level.WARN, found, meaning, f"run envctl with Python {text(newest)}", data)]


def memory(site: Site) -> list[Finding]:
    """What services can use: what is free here, or all that the engine's own machine has."""
    import psutil

    engine = site.engine
    elsewhere = engine is not None and not engine.same_machine
    size = int(engine.info.get("MemTotal") or 0) if engine and elsewhere else psutil.virtual_memory().available
    where = "on the engine's machine" if elsewhere else "available"
    found, data = f"{gigabytes(size)} {where}", {"bytes": size}
    if size >= MEMORY:
        return [Finding("memory", Level.OK, found, f"enough for every profile (full: {gigabytes(MEMORY)})", data=data)]
    advice = "give the engine's machine more memory" if elsewhere else "close programs, or use a smaller profile"
    meaning = f"the full profile holds {gigabytes(MEMORY)}: services may be killed for lack of memory"
    return [Finding("memory", Level.WARN, found, meaning, advice, data)]


def disk(site: Site) -> list[Finding]:
    """Free space where the engine keeps its data and where envctl keeps its state."""
    from envctl.state import state_root

    return [*_engine_disk(site), state_disk(state_root())]


def state_disk(folder: Path) -> Finding:
    """Whether state can be written, and has room."""
    at = _nearest(folder)
    if at is None or not at.is_dir() or not os.access(at, os.W_OK | os.X_OK):
        meaning = "secrets and ports of an environment cannot be kept"
        advice = "make it writable, or set XDG_STATE_HOME to a folder that is"
        data = {"path": str(folder)}
        return Finding("disk.state", Level.FAIL, f"{at} cannot be written", meaning, advice, data, exit_code=2)
    return _space("disk.state", folder, STATE_NEEDED, STATE_NEEDED)


def _engine_disk(site: Site) -> list[Finding]:
    """The engine's data root, when it is on this machine and can be seen from here."""
    if site.engine is None:
        return []
    root = Path(str(site.engine.info.get("DockerRootDir") or ""))
    if site.engine.same_machine and root.is_absolute() and _nearest(root) is not None:
        return [_space("disk.engine", root, DISK_NEEDED, DISK_COMFORT)]
    meaning = "the engine's disk is not this machine's, so its free space is unknown"
    return [Finding("disk.engine", Level.WARN, f"{root} on another machine", meaning, "look with `docker system df`")]


def _space(check: str, folder: Path, needed: float, comfort: float) -> Finding:
    """Free space at `folder`: fail below `needed`, warn below `comfort` bytes."""
    at = _nearest(folder) or Path("/")
    free = shutil.disk_usage(at).free
    found, data = f"{gigabytes(free)} free at {folder}", {"path": str(folder), "bytes": free}
    if free < needed:
        meaning = f"less than the {gigabytes(needed)} needed"
        return Finding(check, Level.FAIL, found, meaning, "free some space", data)
    if free < comfort:
        meaning = f"enough to run, too little to build every image ({gigabytes(comfort)})"
        return Finding(check, Level.WARN, found, meaning, "free some space before the first `envctl up`", data)
    return Finding(check, Level.OK, found, "enough", data=data)


def _nearest(folder: Path) -> Path | None:
    """The folder, or the nearest parent that exists and may be looked at; None without even that."""
    for path in (folder, *folder.parents):
        try:
            if path.exists():
                return path
        except PermissionError:
            continue  # /var/lib/docker is closed to users, /var/lib is on the same disk unless mounted apart
    return None


def gigabytes(size: float) -> str:
    """1717986918 → `1.6 GiB`; below 1 GiB in MiB."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def certificates(_site: Site) -> list[Finding]:
    """The bundle of authorities that downloads inside builds will trust, and variables that name one in vain."""
    named = [(name, os.environ[name]) for name in BUNDLE_VARIABLES if os.environ.get(name)]
    findings = [_bundle(path, name) for name, path in named if not Path(path).is_file()]
    path = bundle(os.environ)
    if path is None:
        advice = "install the package ca-certificates"
        return [*findings, Finding("certificates", Level.WARN, "none found", "downloads over TLS will fail", advice)]
    return [*findings, _bundle(str(path), next((name for name, value in named if value == str(path)), "the system's"))]


def _bundle(path: str, origin: str) -> Finding:
    """One bundle: whether it is there and how many authorities it holds."""
    data: dict[str, object] = {"path": path, "origin": origin}
    try:
        context = ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        advice = f"correct or unset {origin}" if origin in BUNDLE_VARIABLES else "reinstall ca-certificates"
        meaning = "downloads that trust this bundle will fail"
        return Finding("certificates", Level.WARN, f"{path} ({origin}): {error}", meaning, advice, data)
    count = len(context.get_ca_certs())
    found = f"{path} ({origin}), {count} authorities"
    return Finding("certificates", Level.OK, found, "handed to every build as a secret", data={**data, "count": count})
