"""Which services: what was asked for, what that needs, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from envctl.errors import ConfigurationError, UnknownName
from envctl.selection import check_names, select
from envctl.services.labelled import PROFILE_LABEL


def model() -> dict[str, Any]:
    """A model as compose renders it with all profiles."""
    return {
        "name": "envctl-shop",
        "services": {
            "db": {
                "profiles": ["core", "full"],
                "volumes": [{"type": "volume", "source": "db-data", "target": "/data"}],
                "networks": {"default": None},
                "secrets": [{"source": "db_app"}],
            },
            "queue": {"profiles": ["streaming", "full"], "depends_on": {"keeper": {"condition": "service_started"}}},
            "keeper": {"profiles": ["deep"], "depends_on": {"disk": {}}, "networks": {"back": {}}},
            "disk": {"profiles": ["deep"], "volumes": [{"type": "bind", "source": "/srv", "target": "/srv"}]},
            "mine": {"labels": {PROFILE_LABEL: "core, extra"}, "configs": [{"source": "conf", "target": "/c"}]},
            "always": {"image": "x", "tmpfs": ["/scratch"], "volumes": [{"type": "volume", "target": "/anonymous"}]},
        },
        "volumes": {"db-data": None, "unused": None},
        "networks": {"default": None, "back": None},
        "secrets": {"db_app": {"environment": "X"}, "unused": {"environment": "Y"}},
        "configs": {"conf": {"file": "/c"}, "unused": {"file": "/u"}},
    }


@pytest.mark.parametrize(
    ("profiles", "services", "chosen"),
    [
        (["core"], [], ["db", "mine", "always"]),
        (["extra"], [], ["mine", "always"]),
        (["streaming"], [], ["queue", "keeper", "disk", "always"]),
        (["core", "full"], [], ["db", "queue", "keeper", "disk", "mine", "always"]),
        ([], ["queue"], ["queue", "keeper", "disk", "always"]),
        (["core"], ["disk"], ["db", "disk", "mine", "always"]),
        ([], [], ["always"]),
    ],
)
def test_profiles_and_services_come_with_what_they_need(
    profiles: list[str], services: list[str], chosen: list[str]
) -> None:
    """Needs of needs too, whatever their profile; services without a profile belong to every selection, as in compose.

    A label gives a profile as compose's own key does.
    """
    selected = model()
    select(selected, profiles, services)

    assert list(selected["services"]) == chosen
    assert not any("profiles" in service for service in selected["services"].values())


def test_what_no_selected_service_uses_is_not_made() -> None:
    """Compose would create every volume and network that the model names."""
    selected = model()
    select(selected, ["core"], [])

    assert list(selected["volumes"]) == ["db-data"]
    assert list(selected["networks"]) == ["default"]
    assert list(selected["secrets"]) == ["db_app"]
    assert list(selected["configs"]) == ["conf"]


def test_needs_that_go_round_in_a_circle_end() -> None:
    """Compose refuses them; selecting must not hang before it can."""
    selected = {"services": {"a": {"depends_on": {"b": {}}}, "b": {"depends_on": {"a": {}}}}}
    select(selected, [], ["a"])

    assert list(selected["services"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("profiles", "services", "text"),
    [
        (["cor"], [], r"no profile is named 'cor'(?s:.*)did you mean 'core'"),
        ([], ["dbx"], r"no service is named 'dbx'(?s:.*)did you mean 'db'"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(profiles: list[str], services: list[str], text: str) -> None:
    """Also where files of the user's add names; nothing was changed."""
    selected = model()
    with pytest.raises(UnknownName, match=text):
        select(selected, profiles, services)
    assert selected == model()


def test_nothing_selected_is_an_error() -> None:
    """An environment without a service is nobody's wish."""
    with pytest.raises(ConfigurationError, match="no service is selected"):
        select({"services": {"db": {"profiles": ["core"]}}}, [], [])


def test_envctls_own_names_are_checked_before_anything_is_asked() -> None:
    """Without files of the user's nothing else can exist."""
    check_names(["core", "full"], ["postgres", "spark-connect"])
    with pytest.raises(UnknownName, match="did you mean 'streaming'"):
        check_names(["straeming"], [])
    with pytest.raises(UnknownName, match="did you mean 'postgres'"):
        check_names([], ["postgre"])
