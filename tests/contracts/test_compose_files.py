"""Laws of the compose files: each works without envctl, is reached from this machine alone, and holds no secret."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from envctl.catalog import SERVICES
from envctl.config import bundle_root
from envctl.protocols import HasIdentities, Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from envctl.model import Endpoint

COMPOSE = bundle_root() / "compose"
DEFAULTS = dict(
    line.split("=", 1)
    for line in (COMPOSE / ".env").read_text().splitlines()
    if line.strip() and not line.startswith("#")
)


def variable(service: Service, *parts: str) -> str:
    """The name of a variable of the compose files."""
    return "_".join(["ENVCTL", service.name, *parts]).upper().replace("-", "_")


def secret_names(service: Service) -> list[str]:
    """The compose secrets that a service's identities need."""
    return [f"{service.name.replace('-', '_')}_{key}" for key in ("admin", "app")]


def test_compose_includes_every_service_of_the_catalog() -> None:
    """And has no file that nobody includes."""
    included = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["include"]

    assert sorted(included) == sorted(f"services/{name}.yaml" for name in SERVICES)
    assert sorted(included) == sorted(str(p.relative_to(COMPOSE)) for p in COMPOSE.glob("services/*.yaml"))


def test_a_service_has_a_file_of_its_own(service: Service, described: dict[str, Any]) -> None:
    """To add a service is to add a file."""
    assert list(described["services"]) == [service.name]


def test_its_image_is_the_official_one_unless_told_otherwise(service: Service, model: dict[str, Any]) -> None:
    """The same that images.yaml pulls."""
    images = yaml.safe_load((COMPOSE / "images" / "images.yaml").read_text())["images"].values()
    (official,) = [image["official"] for image in images if image.get("service") == service.name]

    assert model["image"] == f"${{{variable(service, 'image')}:-{official}}}"


def test_every_port_is_bound_to_this_machine(service: Service, model: dict[str, Any]) -> None:
    """By number, with the standard host port as default; the main port's variable has no name in it."""
    expected = []
    for name, target in service.ports.items():
        word = variable(service, *([] if name == service.name else [name]), "port")
        expected.append(f"127.0.0.1:${{{word}:-{service.standard[name]}}}:{target}")

    assert model["ports"] == expected


def test_its_secrets_are_files_and_come_from_variables(
    service: Service, described: dict[str, Any], model: dict[str, Any], at: Callable[[int], Endpoint]
) -> None:
    """What tells all passwords is mounted; what is mounted is declared, and has a default for use without envctl."""
    if not isinstance(service, HasIdentities):
        assert "secrets" not in model
        return
    where = at(1)
    assert where.admin
    assert where.app
    keys = service.secret_files(where.admin, where.app)
    prefix = service.name.replace("-", "_")

    assert {f"{prefix}_{key}" for key in keys} & {f"{prefix}_admin", f"{prefix}_app"} & set(model["secrets"])
    assert set(model["secrets"]) == set(described["secrets"])
    for name, secret in described["secrets"].items():
        assert secret == {"environment": f"ENVCTL_SECRET_{name.upper()}"}
        assert DEFAULTS[f"ENVCTL_SECRET_{name.upper()}"]


def test_no_secret_is_in_its_environment_or_command(model: dict[str, Any]) -> None:
    """`docker inspect` shows both to everybody who may ask the engine."""
    shown = json.dumps({key: value for key, value in model.items() if key != "secrets"})

    assert "ENVCTL_SECRET" not in shown
    for word in {value for value in DEFAULTS.values() if len(value) < 40}:
        assert word not in shown
    for name, value in (model.get("environment") or {}).items():
        if re.search("PASSWORD|SECRET|TOKEN", name):
            assert str(value).startswith("/run/secrets/"), name


def test_a_person_sees_its_health(model: dict[str, Any]) -> None:
    """In `docker ps`; without what older engines reject."""
    health = model["healthcheck"]

    assert health["test"][0] in {"CMD", "CMD-SHELL"}
    assert {"interval", "timeout", "retries", "start_period"} <= health.keys()
    assert "start_interval" not in health


def test_nobody_waits_for_another_to_be_healthy(model: dict[str, Any]) -> None:
    """All start at once, and each waits for its own needs: the slowest is the cost, not the sum."""
    needs = model.get("depends_on") or []

    assert isinstance(needs, list)
    assert set(needs) <= set(SERVICES)


def test_it_is_limited_and_ends_in_order(model: dict[str, Any]) -> None:
    """Memory has an end, a stop has its time, and nothing restarts behind a test's back."""
    assert re.fullmatch(r"\d+[mg]", model["mem_limit"])
    assert re.fullmatch(r"\d+s", model["stop_grace_period"])
    assert model["restart"] == "no"


def test_its_data_is_in_named_volumes(described: dict[str, Any], model: dict[str, Any]) -> None:
    """They can be found by label; nothing of the host is mounted."""
    sources = [volume.split(":")[0] for volume in model.get("volumes") or []]

    assert set(sources) == set(described.get("volumes") or {})
    assert all(re.fullmatch(r"[a-z][a-z-]+", source) for source in sources)


def test_it_does_not_name_itself(model: dict[str, Any], described: dict[str, Any]) -> None:
    """Many environments stand side by side: no fixed container name, network, label or privilege."""
    assert not {"container_name", "networks", "network_mode", "labels", "privileged", "cap_add"} & model.keys()
    assert not {"networks", "name"} & described.keys()


@pytest.mark.parametrize("key", sorted(DEFAULTS))
def test_every_default_is_used(key: str) -> None:
    """No password lies about that nothing reads."""
    assert any(key in path.read_text() for path in COMPOSE.glob("services/*.yaml"))
