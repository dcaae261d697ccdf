"""Connection data as text that others parse: sh, dotenv readers, GitHub Actions."""

from __future__ import annotations

import re
import secrets
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# What no shell and no dotenv reader takes for more than it is. `~` is expanded behind `:`, `#` begins comments.
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=?-]*")


def shell(variables: Mapping[str, str]) -> str:
    """Lines for `eval` in sh, bash and zsh: single quotes, in which nothing is special."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())


def dotenv(variables: Mapping[str, str]) -> str:
    """Lines for dotenv readers and compose: bare where that is safe, since `docker run --env-file` keeps quotes."""
    return "\n".join(f"{name}={_dotenv_value(value)}" for name, value in variables.items())


def github(variables: Mapping[str, str]) -> str:
    """Text to append to `$GITHUB_ENV`; values with line breaks in the form with a delimiter that is in none."""
    return "".join(f"{_github_entry(name, value)}\n" for name, value in variables.items())


def github_masks(values: Iterable[str]) -> Iterator[str]:
    """Workflow commands that hide the values in the job's log, line by line, for the log masks by line."""
    for value in values:
        for line in filter(None, value.splitlines()):
            yield f"::add-mask::{line.replace('%', '%25')}"


def _dotenv_value(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    if "'" not in value and "\n" not in value:
        return f"'{value}'"
    escaped = re.sub(r'([\\"$`])', r"\\\1", value).replace("\n", "\\n")
    return f'"{escaped}"'


def _github_entry(name: str, value: str) -> str:
    if "\n" not in value and "\r" not in value:
        return f"{name}={value}"
    delimiter = f"envctl_{secrets.token_hex(16)}"
    return f"{name}<<{delimiter}\n{value}\n{delimiter}"
