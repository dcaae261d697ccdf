"""What was loaded, as one document: from the pages of the journal, the same for the same data wherever it was made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

    from envctl.seeding.journal import Journal

LOADING, LOADED, CLEARING = "loading", "loaded", "clearing"
"""The states of a page: half there, all there, half removed."""

FUNCTIONS = "python functions"
"""The page of a dataset's Python functions; no service can have this name (compose allows no space)."""


def manifest(journal: Journal, only: Collection[str] = ()) -> dict[str, Any]:
    """What is loaded: `{"dataset", "scale", "services": {name: {target: {"rows": …, digests …}}}}`, in fixed order.

    Nothing of a machine or a moment is in it, and of versions only that PostgreSQL hashes rows in the way of its major
    version and that Spark words its views. Of several datasets, the first service's gives the name. `only`: no others.
    """
    pages = {name: journal.page(name) for name in loaded(journal) if not only or name in only}
    first: dict[str, Any] = next(iter(pages.values()), {})
    services = {name: _in_order(page["manifest"]) for name, page in pages.items()}
    return {"dataset": first.get("dataset", ""), "scale": first.get("scale", 1.0), "services": services}


def loaded(journal: Journal) -> list[str]:
    """The services that hold the whole of their share."""
    return [name for name in _services(journal) if journal.page(name).get("state") == LOADED]


def summary(journal: Journal) -> str | None:
    """What is loaded in a few words, for `status`: a dataset's name, where that is all there is to say."""
    shares: dict[str, list[str]] = {}
    for name in _services(journal):
        page = journal.page(name)
        scale = "" if page.get("scale", 1.0) == 1.0 else f" at scale {page['scale']:g}"
        half = "" if page.get("state") == LOADED else ", half loaded"
        shares.setdefault(f"{page.get('dataset', '?')}{scale}{half}", []).append(name)
    if len(shares) <= 1:
        return next(iter(shares), None)
    return "; ".join(f"{what} ({', '.join(names)})" for what, names in shares.items())


def _services(journal: Journal) -> list[str]:
    return [name for name in journal.services() if name != FUNCTIONS]


def _in_order(value: Any) -> Any:  # noqa: ANN401 - JSON
    """JSON with every mapping's keys sorted."""
    return {key: _in_order(value[key]) for key in sorted(value)} if isinstance(value, dict) else value
