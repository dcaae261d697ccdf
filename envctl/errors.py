"""Every error that envctl raises on purpose.

::

    EnvctlError                  1  something was wanted and did not happen
    ├── UsageError               2  the request itself is wrong
    │   ├── UnknownName          2  a profile, service, dataset … that does not exist
    │   ├── ConfigurationError   2  configuration or compose files: every problem at once
    │   └── StateFolderError     2  the folder for state cannot be used
    ├── EngineError              4  the engine or compose cannot be used
    ├── ImageError               1  an image could be had neither by pull nor by build
    │   ├── RegistryUnreachable  1
    │   ├── RateLimited          1
    │   ├── DigestMismatch       1
    │   ├── DiskFull             1
    │   └── BuildFailed          1
    ├── PortTaken                1  a wanted host port belongs to someone else
    ├── NoSuchEnvironment        1  nothing of that name is there
    ├── Busy                     1  another process holds the environment
    ├── Interrupted            130  the user, a signal or another process's `down` ended the work
    ├── ServiceFailed            1  a service died, was OOM-killed or crash-loops
    ├── NotReadyInTime           1  the deadline passed with conditions unmet
    ├── SeedFailed               1  a dataset could not be loaded
    │   ├── SeedConflict         1  something that belongs to no dataset stands in its way
    │   └── NoSpace              1  the disk is too small for it
    ├── DatasetDiffers           1  what is in the services is not what was loaded
    ├── FaultError               1  a fault did not do what it is for
    │   ├── FaultUnfit           2  this service or engine cannot have it
    │   ├── FaultConflict        1  a fault in force stands in its way
    │   ├── FaultDidNotBite      1  it took no effect, and was healed again
    │   ├── VictimNeverCame      1  nothing did what it waited for
    │   └── HealFailed           1  the service is not what it was before
    └── LeakFound                3  something is still there that should be gone

Each carries what was `wanted`, what was `found`, and the `advice` on what to do next, so that the CLI, a log
and `--json` show the same facts. No message contains a secret: whoever raises one redacts first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


class EnvctlError(Exception):
    """The root: `except envctl.EnvctlError` catches everything that envctl raises on purpose."""

    exit_code: ClassVar[int] = 1

    def __init__(self, wanted: str, found: str = "", advice: str = "") -> None:
        self.wanted = wanted
        self.found = found
        self.advice = advice
        super().__init__(wanted, found, advice)

    def __str__(self) -> str:
        lines = [self.wanted]
        if self.found:
            lines.append(f"  found: {self.found}")
        if self.advice:
            lines.append(f"  do:    {self.advice}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # Children take other arguments: in another process an error is made of its data, not by its constructor.
        return Exception.__new__, (type(self), *self.args), self.__dict__

    def data(self) -> dict[str, object]:
        """The same facts for `--json`."""
        return {
            "error": type(self).__name__,
            "wanted": self.wanted,
            "found": self.found,
            "advice": self.advice,
            "exit_code": self.exit_code,
        }


class UsageError(EnvctlError):
    """The request itself is wrong; nothing was changed."""

    exit_code = 2


class UnknownName(UsageError):
    """A name that is not among the known ones; the message offers the nearest."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        import difflib  # only a wrong name needs it

        near = difflib.get_close_matches(str(name), self.known, n=1)  # a caller may have given no text
        advice = f"did you mean {near[0]!r}?" if near else f"choose one of: {', '.join(self.known) or 'none exist'}"
        super().__init__(f"no {kind} is named {name!r}", f"known: {', '.join(self.known) or 'none'}", advice)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in one place: `file:line: key: message`. Line 0: the whole file; no file: option or variable."""

    message: str
    key: str = ""
    file: Path | None = None
    line: int = 0

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file and self.line else str(self.file or "")
        return ": ".join(part for part in (place, self.key, self.message) if part)


class ConfigurationError(UsageError):
    """All problems of all configuration at once, so that they are mended in one go."""

    def __init__(self, problems: Sequence[Problem], wanted: str = "a valid configuration", advice: str = "") -> None:
        self.problems = tuple(problems)
        found = "\n         ".join(str(problem) for problem in problems)
        super().__init__(wanted, found, advice or "mend the places named above and run again; nothing was changed")


class StateFolderError(UsageError):
    """The folder for secrets, ports and journals cannot be created, read or written."""


class EngineError(EnvctlError):
    """No engine, no permission, too old, or no compose plugin; `envctl doctor` says more."""

    exit_code = 4


class ImageError(EnvctlError):
    """An image could not be had."""


class RegistryUnreachable(ImageError):
    """No registry answers, or it does not hold the image."""


class RateLimited(ImageError):
    """The registry answered 429."""


class DigestMismatch(ImageError):
    """What the registry served is not what is pinned; it is never used."""


class DiskFull(ImageError):
    """No space left for the image."""


class BuildFailed(ImageError):
    """A step of a build failed; `found` holds the step and its last lines."""


class PortTaken(EnvctlError):
    """A host port that was asked for strictly is held by someone else."""


class NoSuchEnvironment(EnvctlError):
    """No container carries this environment's label."""


class Busy(EnvctlError):
    """Another process works on this environment and did not finish in time."""


class Interrupted(EnvctlError):
    """Ended from outside: Ctrl-C, SIGTERM, or another process took the environment down."""

    exit_code = 130


class ServiceFailed(EnvctlError):
    """A service cannot become ready any more. `log` holds the culprit's last lines."""

    def __init__(self, service: str, reason: str, log: Sequence[str] = (), advice: str = "") -> None:
        self.service, self.reason, self.log = service, reason, tuple(log)
        found = reason + "".join(f"\n         | {line}" for line in log)
        super().__init__(f"{service} ready", found, advice or f"read the whole log with `envctl logs {service}`")

    def data(self) -> dict[str, object]:
        """The same facts for `--json`, the log as a list."""
        return {**super().data(), "service": self.service, "found": self.reason, "log": list(self.log)}


@dataclass(frozen=True, slots=True)
class Unmet:
    """One condition that did not come true: the service, its last probe error, its state and last log lines."""

    service: str
    last_error: str
    state: str
    log: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.service} ({self.state}): {self.last_error}" + "".join(f"\n           | {x}" for x in self.log)


class NotReadyInTime(EnvctlError):
    """The deadline passed; `unmet` names every condition still unmet with its last probe error."""

    def __init__(self, seconds: float, unmet: Sequence[Unmet], advice: str = "") -> None:
        self.seconds, self.unmet = seconds, tuple(unmet)
        names = ", ".join(item.service for item in unmet)
        found = "".join(f"\n         - {item}" for item in unmet)
        super().__init__(
            f"{names} ready within {seconds:g} s",
            f"{len(unmet)} still not ready{found}",
            advice or f"read `envctl logs {unmet[0].service}`, or allow more time with --timeout",
        )

    def data(self) -> dict[str, object]:
        """The same facts for `--json`, the conditions as a list."""
        unmet = [
            {"service": u.service, "state": u.state, "last_error": u.last_error, "log": list(u.log)} for u in self.unmet
        ]
        return {**super().data(), "unmet": unmet}


class SeedFailed(EnvctlError):
    """A dataset could not be loaded; the next `seed` goes on where this one ended, or begins anew where it must."""


class SeedConflict(SeedFailed):
    """Something stands in the way that belongs to no dataset; nothing was loaded and nothing removed."""


class NoSpace(SeedFailed):
    """The disk is too small for the dataset; nothing was loaded."""


class DatasetDiffers(EnvctlError):
    """`seed --verify` found something in a service that is not what was loaded."""


class FaultError(EnvctlError):
    """A fault did not do what it is for. `fault` is its id, empty where none was injected."""

    def __init__(self, wanted: str, found: str = "", advice: str = "", fault: str = "") -> None:
        self.fault = fault
        super().__init__(wanted, found, advice)


class FaultUnfit(FaultError, UsageError):
    """The service lacks what the fault needs, or the engine does; nothing was changed."""

    exit_code = 2


class FaultConflict(FaultError):
    """A fault that is in force hurts the same thing already; nothing was changed."""


class FaultDidNotBite(FaultError):
    """The fault was applied and had no effect; it was healed again."""


class VictimNeverCame(FaultError):
    """Nothing did what the fault waited for; it was healed again."""


class HealFailed(FaultError):
    """The service is not what it was before the fault; `found` names the difference. The fault stays in the journal."""


class LeakFound(EnvctlError):
    """Something of the environment is still there; each leak is named with the reason."""

    exit_code = 3

    def __init__(self, wanted: str, leaks: Sequence[object], advice: str = "") -> None:
        self.leaks = tuple(leaks)
        found = "".join(f"\n         - {leak}" for leak in leaks)
        super().__init__(wanted, f"{len(self.leaks)} left{found}", advice)


def redact(text: str, secrets: Iterable[str]) -> str:
    """`text` with every secret replaced by `***`; for output of other programs that may quote them."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
