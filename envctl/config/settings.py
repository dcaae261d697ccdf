"""`Settings`: all that was configured, checked once, frozen."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envctl.config import sources
from envctl.config.durations import seconds
from envctl.config.names import slug
from envctl.config.sources import Source
from envctl.config.texts import from_environment, from_options, service_names
from envctl.config.validation import schema, violations
from envctl.errors import ConfigurationError, Problem, UsageError
from envctl.model import ImageSource, PortPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from envctl.config.validation import Schema

DEFAULT_TIMEOUT = 120.0
_PLAIN = {"registry", "ttl", "fast", "relay", "dataset", "seeds"}


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """What was set for one service: preferred host port of its main port, image, the server's own settings."""

    port: int | None = None
    image: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """All that was configured for one environment. Times are seconds; `files` are absolute.

    `seeds` are the folders where a dataset's name is looked up, in their order.
    """

    name: str
    profiles: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    ports: PortPolicy = PortPolicy.PREFER
    images: ImageSource = ImageSource.AUTO
    registry: str | None = None
    timeout: float = DEFAULT_TIMEOUT
    ttl: float | None = None
    fast: bool = False
    relay: bool = False
    dataset: str | None = None
    scale: float = 1.0
    seeds: tuple[Path, ...] = ()
    overrides: Mapping[str, ServiceOptions] = field(default_factory=dict)


def bundle_root() -> Path:
    """The folder with `compose/` and `seeds/`: inside an installed package, else the repository's root."""
    package = Path(__file__).parents[1]
    bundle = package / "_bundle"
    return bundle if bundle.is_dir() else package.parent


def load(
    cli: Mapping[str, object],
    *,
    cwd: Path,
    environ: Mapping[str, str],
    config_file: Path | None = None,
    files_exist: bool = False,
) -> Settings:
    """One `Settings` from the command line, `ENVCTL_<KEY>` and the configuration file, the first that says it.

    `cli` has the keys of `Settings` (without `overrides`); None and empty values count as not given. The file is
    `config_file`, else `ENVCTL_CONFIG`, else the nearest one upwards from `cwd` (see `sources.find`). With
    `files_exist` a compose file that is not there is a problem too: `up` needs them, `down` must not.

    Raises:
        ConfigurationError: with every problem of every source.

    """
    given = config_file or environ.get("ENVCTL_CONFIG")
    file = cwd / given if given else sources.find(cwd)
    rules = schema()
    read = [from_options(cli, rules), from_environment(environ, rules), sources.read(file) if file else Source()]
    found = [_in_seconds(source) for source in read]
    problems = [problem for source in found for problem in (*source.problems, *_problems(source, rules))]
    if files_exist:
        problems += [problem for source in found for problem in _missing_files(source, cwd)]
    if problems:
        raise ConfigurationError(problems)
    values = {**_merged(found, cwd), "seeds": _seed_folders(found, cwd)}
    return _settings(values, service_names(cli), _default_name(found, cwd))


def _problems(source: Source, rules: Schema) -> Iterator[Problem]:
    """Every breach of the schema; an impossible name with one that is possible."""
    for place, message in violations(source.values, rules):
        hint = f"; {slug(str(source.values['name']))!r} would do" if place == ("name",) else ""
        yield source.problem(place, message + hint)


def _in_seconds(source: Source) -> Source:
    """Durations as numbers, so that one limit holds for both forms. What cannot be read stays, for the schema."""
    values = dict(source.values)
    for key in ("timeout", "ttl"):
        value = values.get(key)
        if isinstance(value, str):
            with suppress(UsageError):
                values[key] = seconds(value)
    return replace(source, values=values)


def _missing_files(source: Source, cwd: Path) -> Iterator[Problem]:
    """Compose files that are not there. Files of the wrong type are the schema's to report."""
    files = source.values.get("files")
    for number, path in enumerate(_paths(source, cwd) if isinstance(files, list) else ()):
        if not path.is_file():
            yield source.problem(("files", str(number)), f"no such compose file: {path}")


def _paths(source: Source, cwd: Path) -> tuple[Path, ...]:
    """The compose files, absolute: from the folder of the file that names them, else from `cwd`."""
    folder = source.file.parent if source.file else cwd
    files = source.values.get("files", ())
    return tuple(Path(os.path.normpath(folder / str(item))) for item in files) if isinstance(files, list) else ()


def _dataset(source: Source, cwd: Path) -> dict[str, object]:
    """A dataset that is named by its path, absolute: from the folder of the file that names it, else from `cwd`."""
    named = str(source.values.get("dataset") or "")
    if "/" not in named and not named.endswith((".yaml", ".yml")):
        return {}
    return {"dataset": os.path.normpath((source.file.parent if source.file else cwd) / Path(named).expanduser())}


def _seed_folders(found: Sequence[Source], cwd: Path) -> tuple[Path, ...]:
    """Beside the configuration, in the working folder, and what ships."""
    folders = [*(source.file.parent for source in found if source.file), cwd, bundle_root()]
    return tuple(dict.fromkeys(folder / "seeds" for folder in folders))


def _merged(found: Sequence[Source], cwd: Path) -> dict[str, Any]:
    """The first source that says something wins, key by key; single services field by field."""
    merged: dict[str, Any] = {}
    services: dict[str, dict[str, Any]] = {}
    for source in found:
        said: dict[str, Any] = {**source.values, **_dataset(source, cwd), "files": _paths(source, cwd)}
        for name, fields in said.pop("services", {}).items():
            services[name] = {**fields, **services.get(name, {})}
        merged = {**said, **merged, "files": merged.get("files") or said["files"]}
    return {**merged, "overrides": services}


def _default_name(found: Sequence[Source], cwd: Path) -> str:
    """The name of the folder that is configured, so that every folder below means the same environment."""
    return slug(next((source.file.parent for source in found if source.file), cwd).name)


def _settings(values: dict[str, Any], services: tuple[str, ...], name: str) -> Settings:
    plain = {key: value for key, value in values.items() if key in _PLAIN}
    return Settings(
        name=values.get("name", name),
        profiles=tuple(values.get("profiles", ())),
        services=services,
        files=values["files"],
        ports=PortPolicy(values.get("ports", PortPolicy.PREFER)),
        images=ImageSource(values.get("images", ImageSource.AUTO)),
        timeout=float(values.get("timeout", DEFAULT_TIMEOUT)),
        scale=float(values.get("scale", 1.0)),
        overrides={name: _service(fields) for name, fields in values["overrides"].items()},
        **plain,
    )


def _service(fields: dict[str, Any]) -> ServiceOptions:
    options = {key: _option(value) for key, value in fields.get("options", {}).items()}
    return ServiceOptions(fields.get("port"), fields.get("image"), options)


def _option(value: object) -> str:
    """A setting in the words servers use: `true` and `false`, numbers as they are."""
    return str(value).lower() if isinstance(value, bool) else str(value)
