"""The command line: parse, call one verb, render. The only room that prints."""

from __future__ import annotations

from envctl.cli.app import main

__all__ = ["main"]
