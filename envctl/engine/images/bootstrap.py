"""The base image where no registry is: a minimal Debian, put together by debootstrap and imported."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import deque
from typing import TYPE_CHECKING

from envctl.engine.images import process
from envctl.engine.images.fingerprint import BUILD_LABEL, KIND_LABEL
from envctl.engine.images.refusal import NO_SPACE, no_room
from envctl.engine.images.surroundings import DEBIAN_MIRROR, debian_mirror
from envctl.errors import BuildFailed, ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from envctl.engine.images.crew import Stop
    from envctl.engine.images.reference import Reference
    from envctl.engine.images.workshop import Workshop

SUITE = "trixie"

APART = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
"""debootstrap mounts and starts things: in namespaces of its own all of it goes when it goes, however it goes."""

LEFT_OUT = ("./var/cache/apt/archives/*.deb", "./var/cache/apt/*.bin", "./var/lib/apt/lists/*_*", "./var/log/*")
TAIL = 12


def bootstrap(shop: Workshop, tag: Reference, recipe: str, say: Callable[[str], None], stop: Stop) -> None:
    """Make the base image `tag`, labelled with `recipe`; `say` hears each step. 30 s, 0.3 GB on disk meanwhile.

    Raises:
        ImageError: not root, no debootstrap, or no mirror is known.
        BuildFailed: debootstrap or the import failed.

    """
    mirror = debian_mirror(shop.environ)
    _check_tools()
    # A fixed place under the lock: what a killed process left there, the next one clears away.
    root = shop.folder / "base"
    shop.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.rmtree(root, ignore_errors=True)
    try:
        say(f"debootstrap {SUITE} from the host's Debian mirror")
        apart = APART if subprocess.run([*APART, "true"], capture_output=True, check=False).returncode == 0 else ()
        _run([*apart, "debootstrap", "--variant=minbase", SUITE, str(root), mirror], say, stop, dict(shop.environ))
        say("import")
        _run(list(_import(root, tag, recipe)), say, stop, shop.cli_environ())
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _check_tools() -> None:
    """Raises ImageError where debootstrap cannot work."""
    if shutil.which("debootstrap") is None:
        raise ImageError(
            "debootstrap, to build the base image",
            "it is not installed",
            "install it (Debian and Ubuntu: `apt-get install debootstrap`), or use a registry: `--images registry`",
        )
    if os.geteuid() != 0:
        raise ImageError(
            "root, to build the base image with debootstrap",
            f"this process runs as user {os.geteuid()}",
            "run `sudo envctl images build` once; everything after needs only the engine",
        )


def _import(root: Path, tag: Reference, recipe: str) -> Iterator[str]:
    """One command that packs the folder and hands it to the engine, without the caches."""
    yield from ("bash", "-o", "pipefail", "-c")
    yield 'tar --numeric-owner -C "$0" "${@:4}" -c . | docker import --change "$1" --change "$2" - "$3"'
    labels = f"LABEL {BUILD_LABEL}={recipe} {KIND_LABEL}={tag.repository}"
    yield from (str(root), labels, 'CMD ["bash"]', tag.tagged)
    yield from (f"--exclude={pattern}" for pattern in LEFT_OUT)


def _run(command: list[str], say: Callable[[str], None], stop: Stop, environ: dict[str, str]) -> None:
    """Run one step of the base; its last lines are the reason when it fails."""
    last: deque[str] = deque(maxlen=TAIL)
    said = set[str]()

    def heard(line: str) -> None:
        last.append(line)
        stage, _, rest = line.removeprefix("I: ").partition(" ")
        if line.startswith("I: ") and stage not in said:  # one line a package is too much: one a stage
            said.add(stage)
            say(f"{stage} {rest}")

    # SIGKILL at once: the parent of a pid namespace lets no other signal in, and nothing there is worth saving.
    code = process.run(command, heard, stop, environ, grace=0)
    if code:
        found = f"exit code {code}" + "".join(f"\n         | {line}" for line in last)
        if NO_SPACE.search(found):
            raise no_room("build the base image", found)
        raise BuildFailed(
            "build the base image",
            found,
            f"check the network, or name another mirror with {DEBIAN_MIRROR}; then run it again",
        )
