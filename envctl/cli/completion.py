"""What a shell offers behind TAB: names from the catalog and of files. Never asks the engine: TAB must not wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click


def services(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of envctl's own services."""
    from envctl.catalog import SERVICES

    return [name for name in SERVICES if name.startswith(incomplete)]


def profiles(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of envctl's own profiles."""
    from envctl.catalog import PROFILES

    return [name for name in PROFILES if name.startswith(incomplete)]


def datasets(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of datasets: those that ship and those of the working folder."""
    from pathlib import Path

    from envctl.config import bundle_root

    found = {path.stem for folder in (bundle_root(), Path.cwd()) for path in (folder / "seeds").glob("*.yaml")}
    return sorted(name for name in found if name.startswith(incomplete))
