"""Where settings come from: one file, environment variables, the command line; each as plain values with places.

Nothing is judged here beyond what a file's syntax says; the schema does that for all sources alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from envctl.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from envctl.config.validation import Place

YAML_NAMES = ("envctl.yaml", "envctl.yml")
TOML_NAME = "pyproject.toml"


@dataclass(frozen=True, slots=True)
class Source:
    """Values by key, and how a problem with one of them is named.

    `lines` maps a place in the file to its line; `names` maps a key to the option or variable that carried it.
    """

    values: dict[str, object] = field(default_factory=dict)
    file: Path | None = None
    lines: Mapping[Place, int] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def problem(self, place: Place, message: str) -> Problem:
        """What is wrong at `place`, in the words of whoever wrote it: file and line, variable, or option."""
        if self.file is None:
            name = self.names.get(place[0], place[0]) if place else ""
            return Problem(message, ".".join([name, *place[1:]]))
        return Problem(message, ".".join(place), self.file, self.line(place))

    def line(self, place: Place) -> int:
        """The line of `place`, else of the nearest thing around it; 0 where not even that is known."""
        return next((self.lines[place[:end]] for end in range(len(place), -1, -1) if place[:end] in self.lines), 0)


def find(cwd: Path) -> Path | None:
    """The configuration that holds in `cwd`: the nearest upwards, so that every folder of a project means the same.

    In one folder `envctl.yaml` beats `pyproject.toml`, which counts only with a table `[tool.envctl]`. The search
    ends at the repository's root (the folder with `.git`) and below the home folder: what lies around is another's.
    """
    for folder in _upwards(cwd):
        for name in YAML_NAMES:
            if (folder / name).is_file():
                return folder / name
        if (folder / TOML_NAME).is_file() and _mentions_envctl(folder / TOML_NAME):
            return folder / TOML_NAME
    return None


def _upwards(cwd: Path) -> Iterator[Path]:
    home = Path.home()
    for folder in (cwd, *cwd.parents):
        if folder != cwd and folder == home:
            return
        yield folder
        if (folder / ".git").exists():
            return


def _mentions_envctl(file: Path) -> bool:
    """Whether the file has a table `[tool.envctl]`, or is broken where it names one. Somebody else's file stays so."""
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    if "envctl" not in text:
        return False
    import tomllib

    try:
        return "envctl" in tomllib.loads(text).get("tool", {})
    except tomllib.TOMLDecodeError:
        return "tool.envctl" in text


def read(file: Path) -> Source:
    """The file's values with their lines. Whatever keeps it from being read is in `problems`."""
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        return _broken(file, f"is no UTF-8 text (byte {error.start})")
    except OSError as error:
        return _broken(file, f"cannot be read: {error.strerror}")
    if file.suffix == ".toml":
        from envctl.config.toml_file import parse
    else:
        from envctl.config.yaml_file import parse
    values, lines, problems = parse(text, file)
    return Source(values, file, lines, problems=tuple(problems))


def _broken(file: Path, message: str) -> Source:
    return Source(file=file, problems=(Problem(message, file=file),))
