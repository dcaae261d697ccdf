"""The check of the kernel: which back ends for network faults it has, found by creating each in a scratch namespace.

Faults act through a sidecar of the image `envctl/tools`, so that image is the truest place to try (engine's kernel,
the sidecar's own tools). Without it, root tries on this machine with the host's tools. Both namespaces are nameless
and end with the program in them, however that ends: nothing remains but modules that the kernel loaded.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from envctl.engine.doctor.finding import Finding, Level
from envctl.engine.doctor.site import docker_command, find_program, run
from envctl.model import ROLE_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.engine.doctor.site import Site

PROGRAM = Path(__file__).with_name("kernel_probe.py")
TOOLS = "envctl/tools"


@dataclass(frozen=True, slots=True)
class Ability:
    """One back end: what it is good for, and which other one does the same where it is missing."""

    gives: str
    instead: str = ""


ABILITIES: Mapping[str, Ability] = {
    "netem": Ability("delay, loss, reordering in the kernel", "nfqueue"),
    "tbf": Ability("throttling of what a service sends", "netem"),
    "htb": Ability("throttling for one port or peer alone"),
    "u32": Ability("choosing packets by port or peer for shaping"),
    "ifb": Ability("throttling of what a service receives"),
    "iptables": Ability("partitions, loss, refused connections", "nft"),
    "nft": Ability("the same by the newer interface", "iptables"),
    "nfqueue": Ability("delay, loss, corruption from a program, with a seed", "netem"),
    "ss-kill": Ability("cutting established connections", "iptables"),
}
"""reference: chaos.md §4.2; the replacements were measured there."""


def kernel(site: Site) -> list[Finding]:
    """One finding for each back end, or one that says why nobody knows."""
    place, command = _place(site)
    if not command:
        advice = f"run as root on Linux, or have the image {TOOLS} built by `envctl up`"
        return [Finding("kernel", Level.WARN, "unknown", f"not tried: {place}", advice)]
    answer = run([*command, PROGRAM.read_text()])
    if answer.returncode != 0:
        said = answer.stderr.strip().rpartition("\n")[2] or f"exit code {answer.returncode}"
        advice = "network faults need CAP_NET_ADMIN in a container of their own"
        return [Finding("kernel", Level.WARN, f"unknown: {said}", f"could not be tried {place}", advice)]
    verdicts: dict[str, tuple[bool | None, str]] = json.loads(answer.stdout)
    return [_finding(name, verdicts, place) for name in ABILITIES]


def _finding(name: str, verdicts: Mapping[str, tuple[bool | None, str]], place: str) -> Finding:
    """One back end: there, replaced by another, or missing."""
    (able, said), ability = verdicts[name], ABILITIES[name]
    data: dict[str, object] = {"able": able, "said": said, "tried": place}
    check = f"kernel.{name}"
    if able:
        return Finding(check, Level.OK, said, ability.gives, data=data)
    if ability.instead and verdicts[ability.instead][0]:
        return Finding(
            check, Level.OK, f"absent: {said}", f"{ability.gives}: {ability.instead} does it here", data=data
        )
    if able is None:
        advice = f"`envctl up` makes the image {TOOLS}, which has the tool; then ask again"
        return Finding(check, Level.WARN, f"unknown: {said}", f"not tried: {ability.gives}", advice, data)
    advice = "nothing; `envctl chaos list` leaves out what needs it (or use a kernel with the module)"
    return Finding(check, Level.WARN, f"absent: {said}", f"not possible: {ability.gives}", advice, data)


def _place(site: Site) -> tuple[str, list[str]]:
    """Where to try, and the command that wants the program's text as its last argument; or why nowhere, and []."""
    image = _tools_image(site)
    if image:
        name = f"envctl-doctor-{secrets.token_hex(4)}"
        options = ["--rm", "--name", name, "--label", f"{ROLE_LABEL}=probe", "--network", "none", "--pull", "never"]
        start = [*docker_command(site.address), "run", *options, "--cap-add", "NET_ADMIN", image, "python3", "-c"]
        return f"in a container of {image}", start
    if site.engine and not site.engine.same_machine:
        return f"the engine's kernel is not this machine's, and it holds no image {TOOLS}", []
    if sys.platform != "linux":
        return "this machine does not run Linux", []
    if os.geteuid() != 0:
        return f"not root, and no image {TOOLS} is there", []
    unshare = find_program("unshare")
    if unshare is None:
        return "this machine has no `unshare`", []
    return "in a scratch namespace of this machine", [unshare, "--net", sys.executable, "-c"]


def _tools_image(site: Site) -> str:
    """A tag of the tools image that the engine has; empty without one or without an engine."""
    if site.engine is None:
        return ""
    tags = [tag for image in site.engine.api.images(name=TOOLS) for tag in image.get("RepoTags") or ()]
    return str(tags[0]) if tags else ""
