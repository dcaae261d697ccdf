"""Ports: the wanted one or a free one, who holds it, and the same address for the whole life of an environment."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.scenarios.program import PATIENCE

if TYPE_CHECKING:
    from tests.scenarios.scene import Scene

UP = ("up", "--service", "redis")


def want(scene: Scene, service: str, port: int) -> None:
    """Configure the preferred port of a service."""
    scene.configure(f"{{ports: prefer, services: {{{service}: {{port: {port}}}}}}}")
    del scene.environ["ENVCTL_PORTS"]


def test_a_free_port_that_is_wanted_is_used(scene: Scene, a_free_port: int) -> None:
    """Also under `--ports strict`."""
    want(scene, "redis", a_free_port)
    assert scene.envctl(*UP, "--ports", "strict", "--json").events[-1]["services"]["redis"]["port"] == a_free_port


def test_a_taken_port_is_left_to_its_holder(scene: Scene, a_free_port: int) -> None:
    """Envctl takes another, says which and who holds the wanted one, and stays there when the holder has gone."""
    want(scene, "redis", a_free_port)
    holder = scene.holds(a_free_port)
    *events, result = scene.envctl(*UP, "--json").events
    (moved,) = (event for event in events if event["event"] == "port.moved")
    got = result["services"]["redis"]["port"]
    assert (moved["service"], moved["wanted"], moved["got"]) == ("redis", a_free_port, got)
    assert str(holder.process.pid) in moved["holder"]
    assert 20000 <= got < 32768
    assert holder.lasts(0)
    holder.kill()
    assert scene.envctl(*UP, "--json").events[-1]["services"]["redis"]["port"] == got


def test_a_port_of_a_container_is_left_to_it(scene: Scene, a_free_port: int) -> None:
    """The holder is named as a container."""
    want(scene, "redis", a_free_port)
    stranger = scene.stranger(ports={"1234/tcp": ("127.0.0.1", a_free_port)})
    assert f"port {a_free_port} is held by container {stranger.name}" in scene.envctl(*UP).out


def test_strict_refuses_and_names_the_holder(scene: Scene, a_free_port: int) -> None:
    """Exit code 1 with the process's name and id; nothing was started, nothing is left."""
    want(scene, "redis", a_free_port)
    holder = scene.holds(a_free_port)
    said = scene.envctl(*UP, "--ports", "strict", exits=1)
    assert f"{a_free_port} for redis" in said.err
    assert f"{psutil.Process(holder.process.pid).name()} (pid {holder.process.pid})" in said.err
    assert "--ports prefer" in said.err
    scene.is_gone()


def test_auto_never_takes_a_standard_port(scene: Scene) -> None:
    """Every port is below the range of outgoing connections."""
    services = scene.envctl("up", "--profile", "core", "--ports", "auto", "--json").events[-1]["services"]
    assert all(20000 <= service["port"] < 32768 for service in services.values())


@pytest.mark.parametrize("way", ["restart", "kill"])
def test_a_restart_changes_no_address(scene: Scene, way: str) -> None:
    """After `docker restart`, or kill and start, `envctl wait` says when it is ready, where it was before."""
    scene.envctl(*UP)
    variables = scene.envctl("env", "--format", "json").document
    container = scene.containers()["redis"]
    if way == "restart":
        container.restart(timeout=10)
    else:
        container.kill()
        assert scene.envctl("status", "--json").document["state"] == "stopped"
        container.start()
    assert scene.envctl("wait", "--json").events[-1]["ok"] is True
    assert scene.envctl("env", "--format", "json").document == variables
    assert scene.containers()["redis"].id == container.id


def test_a_restarted_service_counts_as_ready_again(scene: Scene) -> None:
    """What `wait` proved, `status` shows, and `up` attaches to."""
    scene.envctl(*UP)
    scene.containers()["redis"].restart(timeout=10)
    scene.envctl("wait")
    assert scene.envctl("status", "--json").document["state"] == "ready"
    assert scene.envctl(*UP, "--json").events[-1]["attached"] is True


def test_a_port_stolen_while_the_container_was_down_is_replaced(scene: Scene) -> None:
    """A foreign process took the pinned port meanwhile: `up` moves, says so, and works."""
    scene.envctl(*UP)
    port = scene.envctl("status", "--json").document["services"]["redis"]["port"]
    scene.containers()["redis"].kill()
    holder = scene.holds(port)
    said = scene.envctl(*UP, "--json")
    assert said.events[-1]["services"]["redis"]["port"] != port
    assert said.events[-1]["state"] == "ready"
    assert holder.lasts(0)


def producer_of(variables: dict[str, str], *, sasl: bool) -> Any:  # noqa: ANN401 - kafka-python has no types
    """A producer as a user makes it from the variables."""
    import kafka

    if not sasl:
        return kafka.KafkaProducer(bootstrap_servers=variables["KAFKA_BOOTSTRAP_SERVERS"])
    return kafka.KafkaProducer(
        bootstrap_servers=variables["KAFKA_SASL_BOOTSTRAP_SERVERS"],
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism=variables["KAFKA_SASL_MECHANISM"],
        sasl_plain_username=variables["KAFKA_SASL_USERNAME"],
        sasl_plain_password=variables["KAFKA_SASL_PASSWORD"],
    )


def test_kafka_advertises_its_address_after_a_move_and_a_restart(scene: Scene, a_free_port: int) -> None:
    """On both listeners: a client reaches the broker at the address that it is told, not only the bootstrap one."""
    want(scene, "kafka", a_free_port)
    scene.holds(a_free_port)
    scene.envctl("up", "--profile", "streaming", "--ports", "prefer")
    variables = scene.envctl("env", "--format", "json").document
    for round_ in range(2):
        for sasl in (False, True):
            scene.step(f"round {round_}: a message is sent, SASL {sasl}")
            with closing(producer_of(variables, sasl=sasl)) as producer:
                assert producer.send("scene", b"message").get(timeout=PATIENCE).topic == "scene"
        if not round_:
            scene.containers()["kafka"].kill()
            scene.containers()["kafka"].start()
            scene.envctl("wait")
    assert scene.envctl("env", "--format", "json").document == variables
    assert not variables["KAFKA_BOOTSTRAP_SERVERS"].endswith(f":{a_free_port}")
