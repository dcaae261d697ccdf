"""The things envctl talks about."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from envctl.model import Container, Endpoint, Identity, Leak, Resource, State

APP = Identity("app", "pass-word")


def test_a_password_is_in_no_representation() -> None:
    """Whoever logs an identity, or what contains one, logs no secret."""
    at = Endpoint("redis", "127.0.0.1", {"redis": 6379}, APP, APP)

    for shown in (repr(APP), str(APP), repr(at), f"{at}", repr([at])):
        assert "pass-word" not in shown


def test_an_endpoint_is_its_main_port() -> None:
    """The first port is the service's own."""
    at = Endpoint("kafka", "127.0.0.1", {"kafka": 20092, "sasl": 20094})

    assert at.port == 20092
    assert at.address == "127.0.0.1:20092"


def test_data_cannot_be_changed() -> None:
    """What was observed stays what was observed, for every thread."""
    with pytest.raises(FrozenInstanceError):
        APP.username = "other"  # type: ignore[misc]


def test_containers_of_different_moments_differ() -> None:
    """Equal means: the same in every observed respect."""
    before = Container("c1", "shop-redis-1", "shop", "redis", "redis:8", State.RUNNING, started_at="1")
    after = Container("c1", "shop-redis-1", "shop", "redis", "redis:8", State.RUNNING, started_at="2")

    assert before != after


def test_the_engines_words_are_the_states() -> None:
    """They are shown, compared and put into JSON as they are."""
    assert f"{State.RUNNING}" == "running"
    assert State("exited") is State.EXITED


def test_a_resource_and_a_leak_say_what_they_are() -> None:
    """As people read them."""
    assert str(Resource("volume", "shop_data", "shop_data")) == "volume shop_data"
    assert str(Leak("volume", "engine", "shop_data", "in use")) == "volume shop_data (engine): in use"
    assert str(Leak("port", "host", "5432")) == "port 5432 (host)"
