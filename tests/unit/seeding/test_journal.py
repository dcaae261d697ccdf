"""The seed journal: durable, torn out page by page, and no obstacle when it is damaged."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest

from envctl.seeding.journal import FILE, Journal
from envctl.seeding.manifest import LOADED, LOADING, manifest, summary
from envctl.state import StateFolder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    """The folder of environment `shop`, made."""
    folder = StateFolder("shop", tmp_path / "envctl")
    folder.create()
    return folder


def test_what_is_noted_is_there_for_the_next_process(folder: StateFolder) -> None:
    """Page by page; a note adds to what its page says."""
    notes = Journal(folder).notes("redis")
    notes.set(state=LOADING, digest="d")
    notes.set(state=LOADED)
    again = Journal(folder)
    assert again.services() == ["redis"]
    assert again.page("redis") == {"state": LOADED, "digest": "d"}
    assert (again.notes("redis").get("digest"), again.notes("redis").get("other", 7)) == ("d", 7)


def test_a_page_is_torn_out_for_good(folder: StateFolder) -> None:
    """The others stay; one that is not there is fine."""
    journal = Journal(folder)
    journal.update("redis", {"state": LOADED})
    journal.update("kafka", {"state": LOADED})
    journal.notes("redis").forget()
    journal.notes("redis").forget()
    assert Journal(folder).services() == ["kafka"]
    assert journal.notes("redis").page() == {}


def test_a_page_that_was_read_is_a_copy(folder: StateFolder) -> None:
    """Only a note changes the journal."""
    journal = Journal(folder)
    journal.update("redis", {"state": LOADED})
    journal.page("redis")["state"] = "changed"
    assert journal.page("redis") == {"state": LOADED}


@pytest.mark.parametrize("text", ["", "{", "[]", "7"])
def test_a_damaged_journal_is_none(folder: StateFolder, text: str) -> None:
    """Everything is looked at and loaded again."""
    (folder.path / FILE).write_text(text)
    assert Journal(folder).services() == []


def test_many_threads_write_one_journal(folder: StateFolder) -> None:
    """No page is lost."""
    journal = Journal(folder)
    threads = [threading.Thread(target=journal.update, args=(f"s{n}", {"n": n})) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(json.loads((folder.path / FILE).read_text())) == 20


def test_status_names_the_dataset_and_what_there_is_to_say_about_it(folder: StateFolder) -> None:
    """A name alone, when all of one dataset is there at its own size."""
    journal = Journal(folder)
    assert summary(journal) is None
    journal.update("redis", {"dataset": "small", "scale": 1.0, "state": LOADED})
    journal.update("python functions", {"dataset": "small", "state": LOADED})
    assert summary(journal) == "small"
    journal.update("kafka", {"dataset": "small", "scale": 0.1, "state": LOADING})
    assert summary(journal) == "small at scale 0.1, half loaded (kafka); small (redis)"


def test_a_manifest_holds_what_is_loaded_in_fixed_order(folder: StateFolder) -> None:
    """Half of a dataset is not in it, nor anything of this machine."""
    journal = Journal(folder)
    for service, state in (("redis", LOADED), ("kafka", LOADING), ("minio", LOADED)):
        page = {
            "dataset": "small",
            "scale": 1.0,
            "state": state,
            "file": "/here",
            "manifest": {"b": {"rows": 1}, "a": 2},
        }
        journal.update(service, page)
    document = manifest(journal)
    assert (document["dataset"], document["scale"], [*document["services"]]) == ("small", 1.0, ["minio", "redis"])
    assert json.dumps(document["services"]["redis"]) == '{"a": 2, "b": {"rows": 1}}'
    assert "/here" not in json.dumps(document)
