"""Names of environments: what compose accepts in a project's name."""

from __future__ import annotations

import re
import unicodedata

# A derived name is cut here so that `envctl-<name>-spark-connect-1` still is a host name (63 characters, RFC 1035).
_LONGEST = 40


def slug(text: str) -> str:
    """`text` as a name that compose accepts; `default` where nothing of it can be kept."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9_]+", "-", ascii_text.lower()).strip("-_")[:_LONGEST].strip("-_") or "default"
