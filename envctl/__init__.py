"""Test environments that can be trusted: the public API, nothing else.

::

    import envctl

    with envctl.up(profile="core") as env:
        env.postgres.url
"""

from __future__ import annotations

from envctl.errors import EnvctlError
from envctl.version import __version__

__all__ = ["EnvctlError", "__version__"]
