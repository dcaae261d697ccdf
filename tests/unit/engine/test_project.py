"""The compose model: labels that make everything findable, and what changed since last time."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from envctl.engine.project import differences, label, name_of, published
from envctl.model import CONFIG_LABEL, ENVIRONMENT_LABEL, MODEL_LABEL, OWNER_LABEL


def model() -> dict[str, Any]:
    """A model as compose renders it: `$` is written `$$`."""
    return {
        "services": {
            "db": {
                "image": "db:1",
                "command": ["sh", "-c", "echo $$HOME"],
                "environment": {"A": "1", "PRICE": "5$$"},
                "labels": {"mine": "yes"},
                "ports": [{"target": 5432, "published": "20432"}],
            },
            "cache": {"image": "cache:1", "labels": None},
        },
        "networks": {"default": None, "outer": {"external": True, "name": "outer"}},
        "volumes": {"data": {"name": "x", "labels": {"mine": "yes"}}, "theirs": {"external": True}},
    }


def labelled(wanted: dict[str, Any] | None = None, owner: str = "user") -> dict[str, Any]:
    """The model with envctl's labels."""
    wanted = wanted or model()
    label(wanted, "shop", owner)
    return wanted


def on_the_container(service: dict[str, Any]) -> dict[str, str]:
    """The labels as the engine shows them: compose has turned `$$` into `$`."""
    return {key: value.replace("$$", "$") for key, value in service["labels"].items()}


def test_an_environment_is_one_compose_project() -> None:
    """Findable by name, too."""
    assert name_of("shop") == "envctl-shop"


def test_services_networks_and_volumes_say_whose_they_are() -> None:
    """By label, so that nothing else is needed to find them; the user's own labels stay."""
    found = labelled(owner="process:x:1:2")
    base = {ENVIRONMENT_LABEL: "shop", OWNER_LABEL: "process:x:1:2"}

    assert found["networks"]["default"] == {"labels": base}
    assert found["volumes"]["data"] == {"name": "x", "labels": {"mine": "yes", **base}}
    for service in found["services"].values():
        assert base.items() <= service["labels"].items()
        assert {CONFIG_LABEL, MODEL_LABEL} <= service["labels"].keys()
    assert found["services"]["db"]["labels"]["mine"] == "yes"


def test_what_belongs_to_somebody_else_is_not_labelled() -> None:
    """External networks and volumes must survive `down`."""
    found = labelled()

    assert found["networks"]["outer"] == {"external": True, "name": "outer"}
    assert found["volumes"]["theirs"] == {"external": True}


def test_a_model_without_networks_and_volumes_is_fine() -> None:
    """`network_mode: host`, no data."""
    found = labelled({"services": {"a": {"image": "a"}}})

    assert "networks" not in found


def test_the_whole_service_stands_on_its_container() -> None:
    """With `$` as it was in the model, after compose has interpolated the label once."""
    db = labelled()["services"]["db"]

    assert json.loads(on_the_container(db)[MODEL_LABEL]) == model()["services"]["db"]


def test_labelling_twice_changes_nothing() -> None:
    """A port that was lost is chosen anew and the model labelled again."""
    once = labelled()
    again = labelled(copy.deepcopy(once))

    assert again == once


def test_an_unchanged_service_has_no_differences() -> None:
    """Whoever owns it."""
    before, now = labelled(), labelled(owner="process:x:1:2")
    for name, service in now["services"].items():
        assert differences(on_the_container(before["services"][name]), service) == []


@pytest.mark.parametrize(
    ("key", "value", "lines"),
    [
        ("image", "db:2", ["image: db:1 → db:2"]),
        ("environment", {"A": "2", "PRICE": "5$$"}, ["environment.A: 1 → 2"]),
        ("environment", {"A": "1", "PRICE": "6$$"}, ["environment.PRICE: 5$$ → 6$$"]),
        ("environment", {"A": "1", "PRICE": "5$$", "B": ""}, ["environment.B: (none) → "]),
        ("environment", {"A": "1"}, ["environment.PRICE: 5$$ → (none)"]),
        ("command", ["sh", "-c"], ["command.2: echo $$HOME → (none)"]),
        ("ports", [{"target": 5432, "published": "20433"}], ["ports.0.published: 20432 → 20433"]),
        ("init", True, ["init: (none) → True"]),
        ("tmpfs", [], ["tmpfs: (none) → []"]),
        ("labels", {"mine": "no"}, ["labels.mine: yes → no"]),
    ],
)
def test_each_difference_is_one_exact_line(key: str, value: object, lines: list[str]) -> None:
    """`key: old → new`; what was not there is `(none)`."""
    before, wanted = labelled(), model()
    wanted["services"]["db"][key] = value
    now = labelled(wanted)

    assert differences(on_the_container(before["services"]["db"]), now["services"]["db"]) == lines
    assert differences(on_the_container(before["services"]["cache"]), now["services"]["cache"]) == []


@pytest.mark.parametrize("labels", [{}, {CONFIG_LABEL: "x"}, {CONFIG_LABEL: "x", MODEL_LABEL: "{"}])
def test_a_container_that_does_not_say_what_it_was_is_of_another_version(labels: dict[str, str]) -> None:
    """It is made anew, and that is the reason given."""
    assert differences(labels, labelled()["services"]["db"]) == ["made by another version of envctl"]


def test_published_ports_are_those_of_the_model() -> None:
    """None where a service publishes none."""
    assert [port["target"] for port in published(model()["services"]["db"])] == [5432]
    assert published(model()["services"]["cache"]) == []
