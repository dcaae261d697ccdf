"""Who lives in an environment: worked out from containers and pins alone, by any process."""

from __future__ import annotations

import json

import pytest

from envctl.model import MODEL_LABEL, Identity, State
from envctl.protocols import NotReady
from envctl.residents import Residents, overall, secret_path, state_of
from envctl.services.labelled import ONESHOT_LABEL, Labelled
from envctl.services.postgres import Postgres
from envctl.state import Pins
from tests.unit.fake_engine import FakeEngine, container

POSTGRES = container("postgres", ports={5432: 20432})
KAFKA = container("kafka", ports={9092: 20092, 9094: 20094})
MODEL = json.dumps({"ports": [{"target": 8080, "published": "20080"}]})
API = container("api", ports={8080: 20080}, labels={MODEL_LABEL: MODEL})
MIGRATE = container("migrate", labels={ONESHOT_LABEL: "true", MODEL_LABEL: "{}"})
PINS = Pins(secrets={"postgres": {"admin": "admin-word", "app": "app-word"}, "kafka": {"admin": "x", "app": "y"}})


def residents(*containers: object, pins: Pins = PINS) -> Residents:
    """The residents of these containers."""
    engine = FakeEngine().put(*containers)  # type: ignore[arg-type]
    return Residents(engine, pins, engine.containers())


def test_an_endpoint_has_the_containers_ports_and_the_pinned_identities() -> None:
    """The service's own port comes first; the names of the identities are the service's."""
    at = residents(POSTGRES, KAFKA).endpoint("postgres")

    assert (at.address, at.admin, at.app) == (
        "127.0.0.1:20432",
        Identity("envctl", "admin-word"),
        Identity("app", "app-word"),
    )
    assert dict(residents(KAFKA).endpoint("kafka").ports) == {"kafka": 20092, "sasl": 20094}


def test_a_service_without_identities_has_none() -> None:
    """ZooKeeper, and what the user brings."""
    at = residents(container("zookeeper", ports={2181: 2181}), API).endpoint("zookeeper")

    assert (at.admin, at.app) == (None, None)


def test_a_service_of_the_users_is_described_by_its_labels() -> None:
    """Its container says what its ports are; nothing else is needed."""
    found = residents(POSTGRES, API)

    assert isinstance(found.services["postgres"], Postgres)
    assert isinstance(found.services["api"], Labelled)
    assert found.endpoint("api").address == "127.0.0.1:20080"


def test_targets_are_all_services_or_those_that_are_named() -> None:
    """With their containers and addresses; a one-shot is known as one."""
    found = residents(POSTGRES, API, MIGRATE)
    targets = {target.service: target for target in found.targets()}

    assert {name: (t.address, t.oneshot) for name, t in targets.items()} == {
        "postgres": ("127.0.0.1:20432", False),
        "api": ("127.0.0.1:20080", False),
        "migrate": ("", True),
    }
    assert [target.service for target in found.targets(["api"])] == ["api"]


def test_every_password_is_known_as_a_secret() -> None:
    """So that none is shown."""
    assert sorted(residents(POSTGRES).secrets()) == ["admin-word", "app-word", "x", "y"]


def test_lost_passwords_are_read_back_from_the_containers() -> None:
    """Somebody deleted the state folder."""
    before = Pins()
    words = {identity: before.secret("postgres", identity) for identity in ("admin", "app")}
    engine = FakeEngine(files={("postgres", "/run/secrets/postgres_admin"): words["admin"].encode()}).put(POSTGRES)
    found = Residents(engine, pins := Pins(), engine.containers())

    assert found.recover_secrets()
    assert pins.secrets == {"postgres": words}
    assert found.endpoint("postgres").app == Identity("app", words["app"])
    assert not found.recover_secrets()


def test_passwords_that_are_there_are_not_read_again() -> None:
    """The usual case costs no question."""
    engine = FakeEngine().put(POSTGRES, API)

    assert not Residents(engine, PINS, engine.containers()).recover_secrets()
    assert not engine.asked["read_file"]


def test_passwords_that_are_nowhere_are_a_reason_not_to_be_ready() -> None:
    """And no invented ones."""
    found = residents(POSTGRES, pins=(pins := Pins()))

    assert not found.recover_secrets()
    assert pins == Pins()
    with pytest.raises(NotReady, match="its passwords are lost"):
        found.targets()[0].probe(1)


def test_a_secret_lies_where_compose_puts_it() -> None:
    """Names of secrets have no dash."""
    assert secret_path("spark-connect", "app") == "/run/secrets/spark_connect_app"


@pytest.mark.parametrize(
    ("state", "exit_code", "labels", "proven", "word"),
    [
        (State.RUNNING, 0, {}, "t1", "ready"),
        (State.RUNNING, 0, {}, "t0", "running"),
        (State.RUNNING, 0, {}, None, "running"),
        (State.PAUSED, 0, {}, "t1", "paused"),
        (State.RESTARTING, 1, {}, "t1", "restarting"),
        (State.EXITED, 0, {}, "t1", "exited"),
        (State.EXITED, 0, {ONESHOT_LABEL: "true"}, "t1", "done"),
        (State.EXITED, 0, {ONESHOT_LABEL: "false"}, "t1", "exited"),
        (State.EXITED, 1, {ONESHOT_LABEL: "true"}, "t1", "exited"),
        (State.EXITED, 0, {ONESHOT_LABEL: "true"}, "t0", "exited"),
        (State.CREATED, 0, {}, None, "created"),
    ],
)
def test_only_the_start_that_was_proven_is_ready(
    state: State, exit_code: int, labels: dict[str, str], proven: str | None, word: str
) -> None:
    """A container that was restarted since has to prove itself anew."""
    shown = container("api", state, exit_code=exit_code, started_at="t1", labels=labels)

    assert state_of(shown, {"api": proven} if proven else {}) == word


@pytest.mark.parametrize(
    ("states", "word"),
    [
        (["ready", "done"], "ready"),
        (["ready", "exited"], "degraded"),
        (["running"], "degraded"),
        (["paused", "created"], "degraded"),
        (["exited", "done"], "stopped"),
        (["created"], "stopped"),
    ],
)
def test_an_environment_is_as_ready_as_all_its_services(states: list[str], word: str) -> None:
    """One word for all."""
    assert overall(states) == word
