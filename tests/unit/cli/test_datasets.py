"""`envctl datasets`: for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Cli


def test_each_dataset_has_a_line_with_what_it_loads(envctl_run: Cli) -> None:
    """Where from, counts by service, bytes, time, description."""
    ended = envctl_run("datasets")
    header, small, *_ = ended.out.splitlines()
    assert header.split() == "dataset from rows messages keys objects bytes takes description".split()  # noqa: SIM905
    assert small.split()[:2] == ["small", "envctl"]
    assert "MB" in small


def test_the_scale_is_that_of_the_option_else_of_the_configuration(envctl_run: Cli) -> None:
    """As for `seed`."""
    Path("envctl.yaml").write_text("scale: 0.5\n")
    assert json.loads(envctl_run("datasets", "--json").out)["scale"] == 0.5
    assert json.loads(envctl_run("datasets", "--scale", "2", "--json").out)["scale"] == 2.0
    assert envctl_run("datasets", "--scale", "0").code == 2


def test_json_is_one_document_with_everything(envctl_run: Cli) -> None:
    """Also why a dataset is broken."""
    Path("seeds").mkdir()
    Path("seeds/mine.yaml").write_text("kafka: {topics: {a b: {}}}")
    listed = {entry["name"]: entry for entry in json.loads(envctl_run("datasets", "--json").out)["datasets"]}
    keys = {"name", "file", "shipped", "description", "services", "bytes", "seconds", "problem"}
    assert all(set(entry) == keys for entry in listed.values())
    assert (listed["small"]["shipped"], listed["small"]["problem"]) == (True, None)
    assert set(listed["small"]["services"]["kafka"]) == {"rows", "bytes"}
    assert "mine.yaml:1: kafka.topics.a b: must be a topic's name" in listed["mine"]["problem"]


def test_a_broken_dataset_is_said_to_be_broken(envctl_run: Cli) -> None:
    """On its line, in the column of its description."""
    Path("seeds").mkdir()
    Path("seeds/mine.yaml").write_text("kafka: {topics: {a b: {}}}")
    ended = envctl_run("datasets")
    assert ended.code == 0
    assert "cannot be loaded: " in ended.out.splitlines()[-1]
