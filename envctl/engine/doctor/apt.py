"""Debian's and Ubuntu's package manager: what it offers, installing it, and packages without installing them."""

from __future__ import annotations

import re


def parse_policy(text: str) -> dict[str, str]:
    """Candidate versions by package out of `apt-cache policy` (in English); packages without one are left out."""
    found, package = {}, ""
    for line in text.splitlines():
        if line and not line[0].isspace():
            package = line.rstrip(":")
        elif (match := re.match(r"\s+Candidate: (\S+)", line)) and match[1] != "(none)":
            found[package] = match[1]
    return found
