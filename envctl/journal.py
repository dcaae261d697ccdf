"""The fault journal of one environment: what is in force, written before the act, and what became of it.

`$XDG_STATE_HOME/envctl/<name>/faults/`: one file for each fault in force, 0600, written whole, fsynced and renamed;
`history.jsonl`, one line for every change of state, on one clock; `done/`, the last state of the faults that are over.
A secret is in none of them: snapshots hold verifiers and hashes.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envctl.errors import StateFolderError, UnknownName
from envctl.events import emit, now
from envctl.locks import file_lock, make_folder, unusable
from envctl.protocols import Lost

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from envctl.state import StateFolder

KEPT = 200
"""Faults that are over and still told of."""


class Stage(StrEnum):
    """How far a fault is. The first three are in force, or may be."""

    PLANNED = "planned"
    APPLIED = "applied"
    VERIFIED = "verified"
    HEALED = "healed"
    LOST = "lost"
    REFUSED = "refused"


@dataclass(frozen=True)
class Expiry:
    """When a fault is over: seconds on the clock that no one sets, which counts from one boot to the next; and on the
    wall clock, for people. `at` is ISO-8601 UTC.
    """

    monotonic: float
    boot: str
    at: str

    @classmethod
    def after(cls, seconds: float) -> Expiry:
        """So many seconds from now."""
        wall = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
        return cls(time.monotonic() + seconds, _boot(), wall)

    @property
    def left(self) -> float:
        """Seconds until then; 0 when it is over. After a boot everything is over."""
        return max(0.0, self.monotonic - time.monotonic()) if self.boot == _boot() else 0.0


@dataclass(frozen=True)
class Entry:
    """One fault, as the journal knows it: enough for any process to heal it, and to do the very same again.

    `order` counts the faults of an environment; `parameters` are the fault's fields, `seed` and `choices` what chance
    decided; `claims` what no other fault may touch meanwhile; `plan` what was seen and recorded before the act, from
    which it is undone; `container` and `started_at` the very start of the container that it was applied to; `holder`
    the process (see `engine.owner`) with whose death it ends; `evidence` what was measured; `problem` why it could not
    be healed yet, or why it was lost.
    """

    id: str
    order: int
    fault: str
    service: str
    parameters: dict[str, Any]
    seed: int
    expires: Expiry
    at: str
    stage: Stage = Stage.PLANNED
    choices: dict[str, Any] = field(default_factory=dict)
    claims: tuple[str, ...] = ()
    plan: dict[str, Any] = field(default_factory=dict)
    container: str = ""
    started_at: str = ""
    holder: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)
    problem: str = ""

    def public(self) -> dict[str, Any]:
        """What `chaos status` shows: everything but the plan."""
        shown = {key: value for key, value in asdict(self).items() if key not in {"plan", "expires", "holder"}}
        return {**shown, "expires": self.expires.at, "left": round(self.expires.left, 3)}


class Journal:
    """All entries of one environment. Any number of processes and threads may use it at once."""

    def __init__(self, folder: StateFolder) -> None:
        self.environment = folder.name
        self.path = folder.path / "faults"

    def entries(self) -> list[Entry]:
        """What is in force or may be, in the order of injection."""
        try:
            files = sorted(self.path.glob("*.json"))
        except (FileNotFoundError, NotADirectoryError):
            return []
        found = (_read(file) for file in files)
        return sorted((entry for entry in found if entry is not None), key=lambda entry: entry.order)

    def get(self, fault: str) -> Entry | None:
        """One that is in force; None when it is over, or never was."""
        return _read(self.path / f"{fault}.json")

    def ended(self, fault: str) -> Entry | None:
        """The last state of one that is over; None when it is in force, never was, or is long forgotten."""
        return _read(self.path / "done" / f"{fault}.json")

    def lost(self) -> list[Entry]:
        """What is gone before its time, whose time is not over: somebody may still count on it."""
        ended = (_read(file) for file in sorted((self.path / "done").glob("*.json")))
        found = [entry for entry in ended if entry and entry.stage is Stage.LOST and entry.expires.left]
        return sorted(found, key=lambda entry: entry.order)

    def find(self, fault: str) -> Entry:
        """One in any state.

        Raises:
            UnknownName: none has that id.

        """
        entry = self.get(fault) or self.ended(fault)
        if entry is None:
            raise UnknownName("fault", fault, [known.id for known in self.entries()])
        return entry

    def save(self, entry: Entry) -> Entry:
        """Write it; on return it is on the disk. Returns what was given.

        Raises:
            Lost: the environment went meanwhile, and its folder.
            StateFolderError: the folder cannot be written.

        """
        self._write(self.path / f"{entry.id}.json", entry)
        return entry

    def close(self, entry: Entry, stage: Stage, problem: str = "") -> Entry:
        """Note how it ended, and take it out of those in force."""
        entry = replace(entry, stage=stage, problem=problem)
        if not self.path.is_dir():
            return entry
        make_folder(self.path / "done")
        self._write(self.path / "done" / f"{entry.id}.json", entry)
        (self.path / f"{entry.id}.json").unlink(missing_ok=True)
        (self.path / f"{entry.id}.lock").unlink(missing_ok=True)
        self._forget_old()
        return entry

    def say(self, event: str, entry: Entry, **data: object) -> None:
        """Tell listeners, and the history."""
        facts = {"id": entry.id, "fault": entry.fault, "service": entry.service, **data}
        emit(event, environment=self.environment, **facts)
        self.note(event, facts)

    def note(self, event: str, facts: Mapping[str, object]) -> None:
        """Add a line to the history; also for what a test's own clients do."""
        line = {"at": now(), "monotonic": round(time.monotonic(), 6), "event": event, "pid": os.getpid(), **facts}
        # The history tells; what heals is the entry. A folder that went with its environment tells no more.
        with suppress(OSError):
            if self.path.parent.is_dir():
                make_folder(self.path)
            descriptor = os.open(self.path / "history.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                # In one go: an interrupt leaves no half of a line.
                os.write(descriptor, (json.dumps(line, default=str) + "\n").encode())
            finally:
                os.close(descriptor)

    def history(self) -> list[dict[str, Any]]:
        """Every change of state of every fault, and what else was noted, by the clock."""
        with suppress(FileNotFoundError):
            lines = (self.path / "history.jsonl").read_text().splitlines()
            return sorted((json.loads(line) for line in lines if line.endswith("}")), key=lambda one: one["monotonic"])
        return []

    @contextmanager
    def planning(self, timeout: float = 30.0) -> Iterator[None]:
        """Hold the whole journal, to look at it and add to it; a short time.

        Raises:
            Busy: another process held it for all of `timeout` seconds.
            StateFolderError: the folder cannot be made or written.

        """
        with self._lock("planning", timeout, make=True):
            yield

    @contextmanager
    def holding(self, fault: str, timeout: float = 60.0) -> Iterator[None]:
        """Hold one fault: whoever injects or heals it does so alone. The kernel frees it when the holder dies.

        Raises:
            Busy: another process held it for all of `timeout` seconds.

        """
        with self._lock(fault, timeout, make=False):
            try:
                yield
            finally:
                # Who waited for it finds nothing to hold, and made the file anew.
                if not (self.path / f"{fault}.json").exists():
                    (self.path / f"{fault}.lock").unlink(missing_ok=True)

    @contextmanager
    def _lock(self, name: str, timeout: float, *, make: bool) -> Iterator[None]:
        if not make and not self.path.is_dir():
            # The environment went, and its folder: it must not come back. There is nothing left to hold.
            yield
            return
        with file_lock(self.path / f"{name}.lock", timeout, f"the faults of environment {self.environment!r}"):
            yield

    def _write(self, path: Path, entry: Entry) -> None:
        draft = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as stream:
                json.dump(asdict(entry), stream)
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(path)
            _sync(path.parent)
        except OSError as error:
            with suppress(OSError):
                draft.unlink()
            if not self.path.is_dir():
                raise Lost("its environment is gone") from error
            raise unusable(self.path, error) from error

    def _forget_old(self) -> None:
        done = sorted((self.path / "done").glob("*.json"), key=lambda path: path.stat().st_mtime)
        for path in done[:-KEPT]:
            path.unlink(missing_ok=True)


def _read(path: Path) -> Entry | None:
    try:
        data = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise unusable(path.parent, error) from error
    except ValueError as error:
        raise _damaged(path, error) from error
    try:
        known = {key: value for key, value in data.items() if key in Entry.__dataclass_fields__}
        typed = {"expires": Expiry(**data["expires"]), "stage": Stage(data["stage"]), "claims": tuple(data["claims"])}
        return Entry(**(known | typed))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> StateFolderError:
    return StateFolderError(
        "the journal of faults",
        f"{path} is damaged ({error})",
        "`envctl down` removes the environment with every fault in it; then `envctl up`",
    )


def _sync(folder: Path) -> None:
    """Make a rename durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _boot() -> str:
    """Which boot of the machine this is; empty where the system does not say."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    return ""
