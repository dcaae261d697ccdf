"""Debian's and Ubuntu's package manager: what it offers, installing it, and packages without installing them."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

from envctl.engine.doctor.work import attempt, tail

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from envctl.engine.doctor.work import Work

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
LOCK_TIMEOUT = 120
"""Seconds to wait for another package manager, as runs on its own in the first minutes of a new machine."""


class Apt:
    """apt as this machine has it, or (with `options`) with other sources and nothing shared."""

    def __init__(self, work: Work, options: Sequence[str] = (), origin: str = "") -> None:
        self._work = work
        self._origin = origin
        self._options = [*options, "-o", f"DPkg::Lock::Timeout={LOCK_TIMEOUT}"]
        self._updated = False

    @classmethod
    def apart(cls, work: Work, folder: Path, source: str) -> Apt:
        """An apt whose only source is the one line `source`, all of its state in `folder`; works for any user.

        Certificates, proxies and the processor's architecture are still the machine's.
        """
        for part in ("lists/partial", "cache/archives/partial"):
            (folder / part).mkdir(parents=True)
        (folder / "sources.list").write_text(f"{source}\n")
        settings = {
            "Dir::Etc::sourcelist": folder / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State::lists": folder / "lists",
            "Dir::Cache": folder / "cache",
            "APT::Sandbox::User": "root",
        }
        options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        return cls(work, options, f" from {source.partition('] ')[2]}")

    def update(self) -> None:
        """Refresh the lists, once. One dead source of many is said and does not end the work: the rest may do.

        The machine's own lists are root's: without root they are used as they are.
        """
        if self._updated or not (self._origin or os.geteuid() == 0):
            return
        self._updated = True
        started = time.monotonic()
        what = f"refresh the package lists{self._origin}"
        self._work.report(f"{what}: apt-get update")
        answer = attempt(["apt-get", *self._options, "update"])
        if answer.returncode != 0:
            self._work.report(
                f"apt-get update had trouble; going on with the lists that are there: {tail(answer.stdout)}"
            )
            return
        self._work.did(what, "apt-get update", started)

    def candidates(self, packages: Sequence[str]) -> dict[str, str]:
        """Package to version of those among `packages` that could be installed."""
        self.update()
        return parse_policy(attempt(["apt-cache", *self._options, "policy", *packages]).stdout)

    def install(self, packages: Sequence[str]) -> None:
        """Install without recommended packages, as root.

        Raises:
            EngineError: apt failed.

        """
        self.update()
        words = ["install", "--yes", "--no-install-recommends", *packages]
        advice = "correct what apt complains about, then again"
        shown = f"apt-get {' '.join(words)}"
        self._work.step("install packages", ["apt-get", *self._options, *words], advice=advice, shown=shown)

    def unpack(self, packages: Sequence[str], folder: Path) -> None:
        """Download packages and unpack their files into `folder`; installs nothing, needs no root.

        Raises:
            EngineError: a download or dpkg failed.

        """
        self.update()
        advice = "check the mirror in the host's apt configuration, then again"
        folder.mkdir(parents=True, exist_ok=True)
        words = ["download", *packages]
        shown = f"apt-get {' '.join(words)}"
        command = ["apt-get", *self._options, *words]
        self._work.step(f"download packages{self._origin}", command, advice=advice, shown=shown, cwd=folder)
        for archive in sorted(folder.glob("*.deb")):
            command = ["dpkg", "-x", str(archive), str(folder)]
            self._work.step("unpack", command, advice=advice, shown=f"dpkg -x {archive.name}")


def parse_policy(text: str) -> dict[str, str]:
    """Candidate versions by package out of `apt-cache policy` (in English); packages without one are left out."""
    found, package = {}, ""
    for line in text.splitlines():
        if line and not line[0].isspace():
            package = line.rstrip(":")
        elif (match := re.match(r"\s+Candidate: (\S+)", line)) and match[1] != "(none)":
            found[package] = match[1]
    return found
