"""A disk whose power can fail: a file system of its own for the data of a container, in a file beside its volume.

The container is started on it, and it is seen nowhere else. When it is cut, the kernel throws away what was not forced
to the disk (FS_IOC_SHUTDOWN without a flush of the journal: linux/fs/ext4/ioctl.c), as a machine does that stops; what
was, is found again by the file system's own recovery. Paths are those of the engine's machine.
"""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import struct
import time
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from envctl.engine.operations import leases
from envctl.engine.operations.namespaces import run

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOOP, _GET_FREE = 7, 0x4C82
"""The major number of loop devices, and LOOP_CTL_GET_FREE of linux/loop.h."""

_SHUTDOWN, _WITHOUT_FLUSH = 0x8004587D, 2
"""FS_IOC_SHUTDOWN and its flag of linux/fs.h."""

_FORCED, _NOT_FORCED = ".envctl-forced", ".envctl-not-forced"
_ROOM, _SMALL = 1 << 30, 8 << 20
"""Bytes that a service may write besides what is there (the file takes none before that), and of a disk to be tried."""

_PLACE = "/run/envctl-disk-"
_STARTING, _FREE = 60.0, 20.0
"""Seconds for the engine to start a container, and for the kernel to let go of a disk."""


def probe(volume: str, image: str) -> None:
    """See that there can be such a disk, by making a small one. Raises OSError with what the system says."""
    os.stat(_here() + volume)  # noqa: PTH116
    tried = f"{image}.tried"
    with _alone(tried):
        try:
            _format(tried, _SMALL)
            with _mounted(tried) as place, open(f"{place}/word", "w") as stream:  # noqa: PTH123
                stream.write("word")
        finally:
            _remove(tried)


def make(volume: str, image: str) -> None:
    """Copy a stopped container's data onto such a disk; one that is there is fine."""
    with _alone(image):
        if not os.path.exists(_here() + image):  # noqa: PTH110
            _make(volume, image)


def _make(volume: str, image: str) -> None:
    used = int(run("du", "-s", "-B1", _here() + volume).split()[0])
    found = os.statvfs(os.path.dirname(_here() + image))  # noqa: PTH120
    if found.f_bavail * found.f_frsize < 2 * used + _ROOM // 8:
        raise OSError(
            f"{used >> 20} MiB of data are to be copied, and there are {found.f_bavail * found.f_frsize >> 20}"
        )
    part = f"{image}.part"
    _format(part, 2 * used + _ROOM)
    with _mounted(part) as place:
        os.rmdir(f"{place}/lost+found")  # noqa: PTH106 - some services take it for theirs
        run("cp", "-a", "-T", _here() + volume, place)
    os.rename(_here() + part, _here() + image)  # noqa: PTH104


def _format(image: str, size: int) -> None:
    """An empty file system in a new file of so many bytes."""
    _remove(image)
    with open(_here() + image, "wb") as stream:  # noqa: PTH123
        stream.truncate(size)
    run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", _here() + image)


def insert(volume: str, image: str, token: str) -> dict[str, bool]:
    """Have the container find the disk in its volume's place when it is started; `release` comes then, or it ends by
    itself. Whether what was `forced` to it is there, and what was not is `forgotten`; empty before it was in one.
    """
    release(volume, token)
    with _alone(image), _mounted(image) as place:
        found = _remembered(place)
        # Now and not when the power fails: to force it then would force sizes of other files, without what is in them.
        with open(f"{place}/{_FORCED}", "w") as stream:  # noqa: PTH123
            stream.write(_FORCED)
    device = _attached(image)
    try:
        run("mount", "--namespace", str(_engine()), "-t", "ext4", device, volume)
    finally:
        run("losetup", "--detach", device)  # with its last mount, where it has one
    leases.after(token, _STARTING, lambda: _unmount(volume))
    return found


def release(volume: str, token: str) -> None:
    """The container has the disk, and nobody else."""
    leases.end(token)
    _unmount(volume)


def on_disks(pid: int, directories: list[str]) -> bool:
    """Whether these directories of a container's main process are such disks."""
    return all(os.major(os.stat(f"/proc/{pid}/root{one}").st_dev) == _LOOP for one in directories)  # noqa: PTH116


def cut(pid: int, directories: list[str]) -> None:
    """Let the power fail: of the disks in these directories of a container's main process, and of its processes."""
    if not on_disks(pid, directories):
        raise OSError(f"{' and '.join(directories)} are on no disks of envctl's")
    places = [os.open(f"/proc/{pid}/root{one}", os.O_RDONLY) for one in directories]
    for place in places:
        with suppress(OSError):  # a call before this one may have been cut off just after the power failed
            os.write(os.open(_NOT_FORCED, os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=place), _NOT_FORCED.encode())
    for place in places:
        fcntl.ioctl(place, _SHUTDOWN, struct.pack("I", _WITHOUT_FLUSH))
    os.kill(pid, signal.SIGKILL)


def put_back(volume: str, image: str, token: str) -> dict[str, bool]:
    """Have the data of a stopped container in its volume again; idempotent, also after a call that broke off. As
    `insert`, what the disk forgot.
    """
    release(volume, token)
    fresh, found = f"{image}.new", dict[str, bool]()
    with _alone(image):
        _remove(f"{image}.part")
        if os.path.exists(_here() + image):  # noqa: PTH110
            run("rm", "-rf", _here() + fresh)
            with _mounted(image) as place:
                found = _remembered(place)
                run("cp", "-a", "-T", place, _here() + fresh)
            # In one step: who breaks off here does it all once more, or leaves only what is old.
            run("mv", "--exchange", "-T", _here() + fresh, _here() + volume)
            _remove(image)
        run("rm", "-rf", _here() + fresh)
    return found


def state(volume: str, image: str) -> dict[str, Any]:
    """What is left of the disk: `files` beside the volume, `mounts` on the machine, and `loops`."""
    folder, name = os.path.split(_here() + image)
    with _alone(image):  # who asked for it may be dead, and it still be made
        files = [found for found in os.listdir(folder) if found.startswith(name)]  # noqa: PTH208
        return {"files": files, "mounts": [volume] if _is_mounted(volume) else [], "loops": _loops(image)}


def _remembered(place: str) -> dict[str, bool]:
    """What a disk remembers of what was written to it when its power failed; that is removed."""
    forced, other = (_taken(f"{place}/{name}") for name in (_FORCED, _NOT_FORCED))
    return {"forced": forced, "forgotten": not other} if forced or other else {}


def _taken(path: str) -> bool:
    """Remove a file; whether there was something in it."""
    with suppress(FileNotFoundError):
        size = os.stat(path).st_size  # noqa: PTH116
        os.unlink(path)  # noqa: PTH108
        return size > 0
    return False


def _here() -> str:
    """Where the files of the engine's machine are seen."""
    return f"/proc/{_engine()}/root"


@cache
def _engine() -> int:
    """What started this container for the engine: it sees the volumes where the engine does. The first process of all
    may be closed to everybody.
    """
    pid = os.getpid()
    while pid > 1 and not _stat(pid)[0].startswith(("containerd-shim", "conmon")):
        pid = int(_stat(pid)[1].split()[1])
    return pid


def _stat(pid: int) -> tuple[str, str]:
    """Its name, and what the kernel says after it: state, parent, …"""
    with open(f"/proc/{pid}/stat") as stream:  # noqa: PTH123
        name, _, rest = stream.read().partition("(")[2].rpartition(") ")
    return name, rest


@contextmanager
def _alone(image: str) -> Iterator[None]:
    """After whoever makes or copies the disk: who asks again, because it took long, must not do so beside it. What one
    has left that was killed, is let go.
    """
    folder = os.open(os.path.dirname(_here() + image), os.O_RDONLY)  # noqa: PTH120
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        _let_go(image)
        yield
    finally:
        os.close(folder)


def _let_go(image: str) -> None:
    held = [_node(int(name.removeprefix("loop"))) for name in _loops(image)]
    with open("/proc/self/mountinfo") as stream:  # noqa: PTH123
        mounts = [line.split() for line in stream]
    for words in mounts:
        if words[4].startswith(_PLACE) and words[words.index("-") + 2] in held:
            run("umount", words[4])
    for device in held:
        with suppress(OSError):  # it may be gone with its mount
            run("losetup", "--detach", device)


@contextmanager
def _mounted(image: str) -> Iterator[str]:
    """The disk's files, in this container alone."""
    device, place = _attached(image), f"{_PLACE}{os.getpid()}"
    try:
        os.makedirs(place, exist_ok=True)  # noqa: PTH103
        run("mount", "-t", "ext4", device, place)
    finally:
        run("losetup", "--detach", device)
    try:
        yield place
    finally:
        run("umount", place)
        os.rmdir(place)  # noqa: PTH106


def _attached(image: str) -> str:
    """A loop device for it. Two file systems on one file would destroy it: who has it, lets go first."""
    over = time.monotonic() + _FREE
    while held := _loops(image):
        if time.monotonic() > over:
            raise OSError(f"the kernel still holds {image} ({', '.join(held)})")
        time.sleep(0.02)
    while True:
        with open("/dev/loop-control", "rb") as control:  # noqa: PTH123
            number = fcntl.ioctl(control, _GET_FREE)
        device = _node(number)
        try:
            run("losetup", device, _here() + image)
        except OSError:
            # Somebody else may have been faster.
            if time.monotonic() > over:
                raise
            time.sleep(0.02)
        else:
            return device


def _node(number: int) -> str:
    """The loop device of that number: containers have none before somebody makes it."""
    device = f"/dev/loop{number}"
    with suppress(FileExistsError):
        os.mknod(device, stat.S_IFBLK | 0o600, os.makedev(_LOOP, number))
    return device


def _loops(image: str) -> list[str]:
    """The loop devices of that file."""
    found = []
    for name in os.listdir("/sys/block"):  # noqa: PTH208
        with suppress(OSError), open(f"/sys/block/{name}/loop/backing_file") as stream:  # noqa: PTH123
            if os.path.basename(image) in stream.read():  # noqa: PTH119
                found.append(name)
    return found


def _unmount(volume: str) -> None:
    while _is_mounted(volume):
        run("umount", "--namespace", str(_engine()), volume)


def _is_mounted(volume: str) -> bool:
    with open(f"/proc/{_engine()}/mountinfo") as stream:  # noqa: PTH123
        return any(line.split()[4] == volume for line in stream)


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(_here() + path)  # noqa: PTH108
