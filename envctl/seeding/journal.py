"""The seed journal of one environment: what is being loaded into which service, and what is loaded.

`$XDG_STATE_HOME/envctl/<name>/seed.json`, written whole, fsynced and renamed (as all of the state folder), before the
act that it describes. What a service can tell by itself (which chunks, offsets, objects are there) is not in it.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from envctl.state import StateFolder

FILE = "seed.json"


class Journal:
    """All pages. Thread-safe; the holder of the environment's lock alone writes it."""

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._pages: dict[str, dict[str, Any]] = _read(folder)

    def services(self) -> list[str]:
        """The services that have a page."""
        return sorted(self._pages)

    def notes(self, service: str) -> Notes:
        """The service's page, empty for one that nothing was ever loaded into."""
        return Notes(self, service)

    def page(self, service: str) -> dict[str, Any]:
        """What the page says, as a copy."""
        with self._lock:
            return dict(self._pages.get(service, {}))

    def update(self, service: str, said: dict[str, Any]) -> None:
        """Add to a page, durably."""
        with self._lock:
            self._pages[service] = {**self._pages.get(service, {}), **said}
            self._save()

    def forget(self, service: str) -> None:
        """Tear a page out, durably."""
        with self._lock:
            if self._pages.pop(service, None) is not None:
                self._save()

    def _save(self) -> None:
        self._folder.write(FILE, json.dumps(self._pages))


class Notes:
    """One service's page: what must be known again after a kill."""

    def __init__(self, journal: Journal, service: str) -> None:
        self._journal, self._service = journal, service

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401 - JSON
        """What was noted under `key`."""
        return self._journal.page(self._service).get(key, default)

    def page(self) -> dict[str, Any]:
        """All of it, as a copy; empty where there is none."""
        return self._journal.page(self._service)

    def forget(self) -> None:
        """Tear the page out, durably."""
        self._journal.forget(self._service)

    def set(self, **said: Any) -> None:  # noqa: ANN401 - JSON
        """Note it: on return it is on the disk."""
        self._journal.update(self._service, said)


def _read(folder: StateFolder) -> dict[str, dict[str, Any]]:
    try:
        pages = json.loads((folder.path / FILE).read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        # A journal that cannot be read is none: everything is loaded again from the beginning.
        return {}
    return pages if isinstance(pages, dict) else {}
