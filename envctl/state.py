"""The folder for state: secrets and pinned ports of each environment.

`$XDG_STATE_HOME/envctl/<name>/` (default `~/.local/state`), mode 0700; files 0600, written whole, fsynced, then
renamed, so that a crash leaves the old or the new one. What is running is never read from here: the engine says
that by labels. Losing this folder loses nothing but the pins; secrets are read back from the containers.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets as randomness
import threading
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from envctl.errors import Interrupted, StateFolderError
from envctl.events import emit
from envctl.locks import file_lock, make_folder, stands, unusable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SECRET_BYTES = 24
"""Entropy of a password: 192 bits, 48 hexadecimal digits, which no shell, URL or server reads as anything else."""


@dataclass
class Pins:
    """What must outlive a process and is not the engine's to know.

    `secrets` and `ports` by service; `ready` says which start of which container was proven ready
    (`{container id: started_at}`) and `ready_ms` how long each service took.
    """

    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    ports: dict[str, dict[str, int]] = field(default_factory=dict)
    ready: dict[str, str] = field(default_factory=dict)
    ready_ms: dict[str, int] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    profiles: list[str] = field(default_factory=list)
    digest: str = ""
    starting: str = ""
    ttl: float | None = None

    def secret(self, service: str, identity: str) -> str:
        """The password of one identity of one service, made on first use.

        The admin's is random; the others come from it, so that one file in a container is enough to find all again.
        """
        known = self.secrets.setdefault(service, {})
        admin = known.setdefault("admin", randomness.token_hex(SECRET_BYTES))
        derived = hashlib.sha256(f"{identity} of {admin}".encode()).hexdigest()[: 2 * SECRET_BYTES]
        return known.setdefault(identity, derived)


class StateFolder:
    """The state of one environment on this machine."""

    def __init__(self, name: str, root: Path | None = None) -> None:
        self.name = name
        self.root = root or state_root()
        self.path = self.root / name

    def create(self) -> None:
        """Make the folder; idempotent.

        Raises:
            StateFolderError: it cannot be made or written.

        """
        try:
            make_folder(self.root)
            make_folder(self.path)
            if not os.access(self.root, os.W_OK):
                raise PermissionError(13, "read-only")
        except OSError as error:
            raise unusable(self.path, error) from error

    def load(self) -> Pins:
        """The pins; empty ones when there are none yet."""
        try:
            text = (self.path / "environment.json").read_bytes()
        except FileNotFoundError:
            return Pins()
        except OSError as error:
            raise unusable(self.path, error) from error
        try:
            return _pins(json.loads(text))
        except (ValueError, TypeError, AttributeError) as error:
            raise StateFolderError(
                f"the state of environment {self.name!r}",
                f"{self.path / 'environment.json'} is damaged ({error})",
                f"remove it and run `envctl --env {self.name} down`, then `up`",
            ) from error

    def save(self, pins: Pins) -> None:
        """Write the pins: whole or not at all."""
        self.write("environment.json", json.dumps(asdict(pins), indent=1))

    def write(self, file: str, text: str) -> Path:
        """Write one 0600 file of this environment, fsynced, atomically; returns its path."""
        path = self.path / file
        draft = path.with_name(f".{file}.{os.getpid()}.{threading.get_ident()}")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(path)
        except OSError as error:
            # Where nothing can be written nothing can be deleted either; the first error is the one that counts.
            with suppress(OSError):
                draft.unlink()
            raise unusable(self.path, error) from error
        return path

    def log(self, file: str) -> IO[bytes]:
        """A 0600 file of this environment, open for appending."""
        return os.fdopen(os.open(self.path / file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")

    def touch(self) -> None:
        """Note that the environment is in use now, for `--ttl`. A folder that is gone or read-only is not an error:
        looking at an environment must work for those who may only look.
        """
        with suppress(OSError):
            (self.path / "used").touch(mode=0o600)

    def last_used(self) -> float | None:
        """Unix time of the last `touch`, None when there was none."""
        try:
            return (self.path / "used").stat().st_mtime
        except OSError:
            return None

    def request_down(self) -> None:
        """Tell an `up` that is at work to stop (see `down_requested`); where that cannot be written, none is."""
        with suppress(OSError):
            (self.path / "down-requested").touch(mode=0o600)

    def down_requested(self) -> bool:
        """Whether another process wants this environment down."""
        return (self.path / "down-requested").exists()

    def require_wanted(self) -> None:
        """Stop an `up` that another process's `down` asks to stop, or has overtaken: then the folder is gone.

        Raises:
            Interrupted: it does, or has.

        """
        if self.down_requested() or not self.path.is_dir():
            raise Interrupted(
                f"environment {self.name!r} up", "another process took it down meanwhile", "run `up` again"
            )

    def clear_request(self) -> None:
        """Forget an earlier request; called by whoever holds the lock."""
        (self.path / "down-requested").unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete the folder; called by whoever holds the lock. Idempotent."""
        import shutil

        gone = self.path.with_name(f".{self.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            # First out of the way, in one step: whoever waits for the lock makes the folder anew at any moment.
            self.path.rename(gone)
            shutil.rmtree(gone)
        except FileNotFoundError:
            return
        except OSError as error:
            raise unusable(self.path, error) from error

    @contextmanager
    def locked(self, timeout: float) -> Iterator[None]:
        """Hold this environment alone; released by the kernel when the process dies.

        The folder goes with the lock when nothing was ever pinned in it.

        Raises:
            Busy: another process held it for all of `timeout` seconds; names it.

        """

        def tell(holder: str) -> None:
            emit("lock.waiting", environment=self.name, reason=f"{holder} works on it")

        with file_lock(self.path / "lock", timeout, f"environment {self.name!r}", tell) as descriptor:
            try:
                yield
            finally:
                # Where the holder removed the folder, one that stands there now is somebody else's.
                if stands(self.path / "lock", descriptor) and not (self.path / "environment.json").exists():
                    self.remove()

    def others(self) -> Mapping[str, Pins]:
        """The pins of all other environments of this user; unreadable ones are left out (they pin nothing here)."""
        found: dict[str, Pins] = {}
        for path in self.root.glob("*/environment.json"):
            if path.parent.name != self.name:
                try:
                    found[path.parent.name] = StateFolder(path.parent.name, self.root).load()
                except StateFolderError:
                    continue
        return found


def _pins(data: dict[str, Any]) -> Pins:
    """Pins from a file, which may be of another version, or damaged."""
    pins = Pins(**{key: value for key, value in data.items() if key in Pins.__dataclass_fields__})
    for key, empty in vars(Pins()).items():
        if empty is not None and type(vars(pins)[key]) is not type(empty):
            raise TypeError(f"{key!r} is of the wrong type")
    return pins


def state_root(environ: Mapping[str, str] | None = None) -> Path:
    """`$XDG_STATE_HOME/envctl`, by default `~/.local/state/envctl`."""
    base = (environ or os.environ).get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "envctl"
