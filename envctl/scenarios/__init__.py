"""Scenarios: what is hurt when, and what must hold meanwhile; one file, one history, one verdict.

docs/scenarios.md says how they are written; `calls` runs one.
"""
