"""What runs inside the server: a few classes of Java, and how to ask them."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode

from envctl.errors import FaultUnfit
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.site import Site

_NAME = "EnvctlAgent"
_JARS = ("connect_*", "core_*", "common-utils*", "sql_*", "sql-api_*", "catalyst_*")
_LIBRARIES = [*(f"/opt/spark/jars/spark-{jar}.jar" for jar in _JARS), "/opt/spark/jars/scala-library*.jar"]
"""What the classes are compiled against: the server's own, so that they fit it, or do not compile."""

_UNFIT = "OSError: its Java "
"""How the words begin with which the server's Java does not take it."""


def ask(site: Site, command: str, **words: object) -> Mapping[str, list[str]]:
    """Have the server do something to itself; what it said, by name.

    The first time in a server's life Java says in its log that an agent was loaded.

    Raises:
        NotReady: it did not answer, or could not do it.
        FaultUnfit: its Java takes no agent.

    """
    name, sources = _sources()
    request = urlencode({"command": command, "token": "", "probe": "", **words})
    pid = site.hands.pid(site.container.id)
    try:
        said: str = site.hands.operation(
            site.environment, "java.ask", pid=pid, agent=name, sources=sources, libraries=_LIBRARIES, request=request
        )
    except NotReady as error:
        if str(error).startswith(_UNFIT):
            found = str(error).removeprefix("OSError: ")
            raise FaultUnfit(
                f"an agent in {site.name}", found, "use kill, restart or revoke-credentials, which need none"
            ) from error
        raise
    answer = parse_qs(said, keep_blank_values=True)
    if "problem" in answer:
        raise NotReady(f"the agent in {site.name}: {answer['problem'][0]}")
    return answer


@cache
def _sources() -> tuple[str, dict[str, str]]:
    """The main class and all texts. Another version has another name: both can be in one server."""
    texts = {path.stem: path.read_text() for path in sorted(Path(__file__).parent.glob("*.java"))}
    name = f"{_NAME}_{hashlib.sha256(''.join(texts.values()).encode()).hexdigest()[:8]}_"
    return name, {stem.replace(_NAME, name): text.replace(_NAME, name) for stem, text in texts.items()}
