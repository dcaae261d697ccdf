"""Configuration: command line, environment variables and one file, made into one frozen `Settings`.

Command line beats `ENVCTL_<KEY>` beats file. What may be written stands once, in `envctl/schema/envctl.schema.json`.
"""

from __future__ import annotations

from envctl.config.durations import seconds
from envctl.config.settings import ServiceOptions, Settings, bundle_root, load

__all__ = ["ServiceOptions", "Settings", "bundle_root", "load", "seconds"]
