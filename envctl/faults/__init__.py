"""Faults: ways to hurt a service, each of which bites, heals and leaves proof."""

from envctl.faults.fault import Abode, Fault, Option, options, parameter

__all__ = ["Abode", "Fault", "Option", "options", "parameter"]
