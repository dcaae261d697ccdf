"""Test environments that can be trusted: the public API, nothing else.

::

    import envctl

    with envctl.up(profile="core", seed="small") as env:  # torn down at the end, whatever happens
        env.postgres.url                                  # 'postgresql://…'

    env = envctl.attach()                                 # an environment that `envctl up` made
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envctl.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from envctl.environment import Environment
    from envctl.errors import EnvctlError

__all__ = ["EnvctlError", "Environment", "__version__", "attach", "up"]


def up(
    profile: str | Sequence[str] = (),
    *,
    seed: str | Path | None = None,
    scale: float | None = None,
    name: str | None = None,
    services: Sequence[str] = (),
    files: Sequence[str | Path] = (),
    timeout: float | str | None = None,
    keep_on_failure: bool = False,
    recreate: bool = False,
    config: str | Path | None = None,
    **settings: Any,  # noqa: ANN401 - the keys of the configuration file: ports, images, registry, ttl, fast
) -> Environment:
    """Bring an environment up, truly ready, or attach to one that is; with `seed`, that dataset is in it then.

    What this call makes goes when the `with` block ends or this process dies, however it dies; an environment that
    was there before stays. Names and values are those of the command line; times are seconds or `"2m"`.

    Raises:
        EnvctlError: one of its children; the message says what was wanted, found, and what to do.

    """
    from envctl import environment
    from envctl.engine import owner

    profiles = (profile,) if isinstance(profile, str) else tuple(profile)
    given = {"name": name, "profiles": profiles, "services": tuple(services), "files": tuple(files), "timeout": timeout}
    given |= {"dataset": None if seed is None else str(seed), "scale": scale}
    return environment.up(
        _settings({**given, **settings}, config, files_exist=True),
        recreate=recreate,
        keep_on_failure=keep_on_failure,
        owner=owner.this_process(),
    )


def attach(name: str | None = None, *, config: str | Path | None = None) -> Environment:
    """An environment that is already up: `name`, else ENVCTL_ENV, else the configuration's, else the folder's.

    Raises:
        NoSuchEnvironment: nothing of that name is there.

    """
    from envctl import environment

    return environment.attach(_settings({"name": name}, config))


def _settings(given: dict[str, Any], config: str | Path | None, *, files_exist: bool = False) -> Any:  # noqa: ANN401 - loaded lazily
    import os
    from pathlib import Path

    from envctl.config import load

    file = Path(config) if config is not None else None
    return load(given, cwd=Path.cwd(), environ=os.environ, config_file=file, files_exist=files_exist)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the classes, without the cost of their imports for `envctl --help`
    if name == "Environment":
        from envctl.environment import Environment

        return Environment
    if name == "EnvctlError":
        from envctl.errors import EnvctlError

        return EnvctlError
    raise AttributeError(name)
