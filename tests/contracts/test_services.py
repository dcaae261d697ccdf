"""Laws of the catalog that need no engine: names, identities, variables, handles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from envctl.catalog import PROFILES, SERVICES
from envctl.config import bundle_root
from envctl.protocols import HasHandle, HasIdentities, HasOptions, HasShell, HasVariables, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from envctl.model import Endpoint

VARIABLES: Mapping[str, str] = {
    "postgres": "DATABASE_URL PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE",
    "redis": "REDIS_URL REDIS_HOST REDIS_PORT REDIS_USERNAME REDIS_PASSWORD",
    "kafka": (
        "KAFKA_BOOTSTRAP_SERVERS KAFKA_SASL_BOOTSTRAP_SERVERS KAFKA_SASL_MECHANISM KAFKA_SASL_USERNAME "
        "KAFKA_SASL_PASSWORD"
    ),
    "zookeeper": "ZOOKEEPER_CONNECT",
    "minio": (
        "AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION AWS_DEFAULT_REGION "
        "S3_BUCKET"
    ),
    "spark-connect": "SPARK_REMOTE",
}
"""The connection data that the interface promises, by service."""


def test_profiles_are_those_of_the_compose_files() -> None:
    """The compose files are the truth; the catalog repeats them for those who only look."""
    found: dict[str, set[str]] = {}
    for path in (bundle_root() / "compose" / "services").glob("*.yaml"):
        for name, service in yaml.safe_load(path.read_text())["services"].items():
            for profile in service["profiles"]:
                found.setdefault(profile, set()).add(name)

    assert found == {profile: set(names) for profile, names in PROFILES.items()}


def test_the_full_profile_is_the_whole_catalog() -> None:
    """Nothing is left out, and no profile names what is not there."""
    assert set(PROFILES["full"]) == set(SERVICES)


def test_a_service_is_known_by_its_name(service: Service) -> None:
    """Its main port has the same name and comes first; every port has a standard on the host."""
    assert SERVICES[service.name] is service
    assert isinstance(service, Service)
    assert next(iter(service.ports)) == service.name
    assert list(service.ports) == list(service.standard)


def test_no_two_services_want_one_host_port() -> None:
    """All of them fit on one machine."""
    standard = [port for service in SERVICES.values() for port in service.standard.values()]

    assert len(set(standard)) == len(standard)


def test_connection_data_has_the_names_that_libraries_read(service: Service, at: Callable[[int], Endpoint]) -> None:
    """Exactly those of the interface, none empty, all text."""
    assert isinstance(service, HasVariables)
    variables = service.variables(at(20000))

    assert list(variables) == VARIABLES[service.name].split()
    assert all(isinstance(value, str) and value for value in variables.values())
    assert any("20000" in value for value in variables.values())


def test_what_holds_a_password_is_named_as_secret_and_nothing_else(
    service: Service, at: Callable[[int], Endpoint]
) -> None:
    """CI masks the one and shows the other; the administrator's password is in neither."""
    assert isinstance(service, HasVariables)
    variables = service.variables(at(20000))

    assert service.secret_variables() == {name for name, value in variables.items() if "the-app-secret" in value}
    assert not any("the-admin-secret" in value for value in variables.values())


def test_a_password_that_tells_all_is_mounted_as_a_file(service: Service, at: Callable[[int], Endpoint]) -> None:
    """The admin's, or the one that serves both, plain: lost ones are read back from there."""
    if not isinstance(service, HasIdentities):
        pytest.skip("has no identities")
    where = at(1)
    assert where.admin
    assert where.app
    files = service.secret_files(where.admin, where.app)

    assert files.get("admin", files.get("app")) in {"the-admin-secret", "the-app-secret"}
    assert (service.admin_name in {"envctl", "admin"}, service.app_name) == (True, "app")


def test_a_handle_shows_where_and_no_secret(service: Service, at: Callable[[int], Endpoint]) -> None:
    """It may be printed, logged, and shown by a test that fails."""
    assert isinstance(service, HasHandle)
    handle = service.handle(at(20000))

    assert "20000" in str(handle.url)  # type: ignore[attr-defined]
    for shown in (repr(handle), str(handle), f"{[handle]}"):
        assert "secret" not in shown


def test_a_shell_has_its_password_in_variables_alone(service: Service, at: Callable[[int], Endpoint]) -> None:
    """Arguments are seen by everybody on the machine."""
    assert isinstance(service, HasShell)
    command, variables = service.shell(at(20000))

    assert command
    assert not any("secret" in word for word in command)
    assert "the-admin-secret" not in variables.values()


def test_options_change_the_model_and_dollars_stay_dollars(service: Service) -> None:
    """Compose reads the model once more, where `$` is its own sign; the same options twice are the same model."""
    if not isinstance(service, HasOptions):
        pytest.skip("has no options")
    first: dict[str, object] = {"command": ["server"], "environment": {}}
    second: dict[str, object] = {"command": ["server"], "environment": {}}
    service.apply_options(first, {"a.setting": "one$two"})
    service.apply_options(second, {"a.setting": "one$two"})

    assert first == second != {"command": ["server"], "environment": {}}
    assert "one$$two" in str(first)


def test_speed_that_costs_something_says_what(service: Service) -> None:
    """`--fast` is never silent about durability."""
    if isinstance(service, HasOptions):
        assert service.fast_cost or not service.fast
