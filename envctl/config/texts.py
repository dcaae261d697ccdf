"""Settings that arrive as text: options of the command line and environment variables."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from envctl.config.sources import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from envctl.config.validation import Schema

_TRUTH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_OPTIONS = {"name": "--env", "profiles": "--profile", "files": "--file", "dataset": "the dataset"}


def from_options(options: Mapping[str, object], rules: Schema) -> Source:
    """What the command line, or a caller in Python, said; None and empty lists say nothing.

    `services` here are names (`--service`), which is not the file's key `services`: see `service_names`.
    """
    given = {key: value for key, value in options.items() if value not in (None, (), []) and key != "services"}
    values = {key: _read(value, rules["properties"].get(key, {}), _separator(key, "")) for key, value in given.items()}
    return Source(values, names={key: _OPTIONS.get(key, f"--{key}") for key in values})


def service_names(options: Mapping[str, object]) -> tuple[str, ...]:
    """The services named one by one on the command line."""
    return tuple(_items(options.get("services") or (), ","))


def from_environment(environ: Mapping[str, str], rules: Schema) -> Source:
    """`ENVCTL_<KEY>` for every key. An empty variable says nothing.

    Lists are separated by commas (`files` by the system's path separator, as in `COMPOSE_FILE`), `services` is JSON.
    The name is `ENVCTL_ENV`, which `envctl env` hands over; `ENVCTL_NAME` follows the rule of the other keys.
    """
    values: dict[str, object] = {}
    names: dict[str, str] = {}
    variables = [(key, f"ENVCTL_{key.upper()}") for key in rules["properties"]]
    for key, variable in [*variables, ("name", "ENVCTL_ENV")]:
        if environ.get(variable):
            values[key] = _read(environ[variable], rules["properties"][key], _separator(key, os.pathsep))
            names[key] = variable
    return Source(values, names=names)


def _separator(key: str, between_files: str) -> str:
    """A path may hold a comma; nothing else may."""
    return between_files if key == "files" else ","


def _read(value: object, rules: Schema, separator: str) -> object:
    """`value` as the schema's type where its text can be read so; else as it is, for the schema to refuse."""
    kind = rules.get("type")
    if kind == "array":
        return list(_items(value, separator))
    if not isinstance(value, str):
        return value
    if kind == "boolean":
        return _TRUTH.get(value.lower(), value)
    if kind not in ("number", "object"):
        return value
    try:
        return float(value) if kind == "number" else json.loads(value)
    except ValueError:
        return value


def _items(value: object, separator: str) -> Iterable[str]:
    """The items of a list, of a single item, or of text with several."""
    for part in value if isinstance(value, tuple | list) else (value,):
        text = str(part)
        yield from (item.strip() for item in text.split(separator) if item.strip()) if separator else (text,)
