"""ZooKeeper's options and connection data."""

from __future__ import annotations

from typing import Any

from envctl.model import Endpoint
from envctl.services.zookeeper import ZooKeeper

AT = Endpoint("zookeeper", "127.0.0.1", {"zookeeper": 20181})


def test_options_of_zoo_cfg_become_the_images_variables() -> None:
    """Camel case and dots alike, as the official image spells them."""
    model: dict[str, Any] = {"environment": {"ZOOKEEPER_TICK_TIME": "1000"}}
    ZooKeeper().apply_options(model, {"tickTime": "2000", "autopurge.purgeInterval": "1", "maxClientCnxns": "$5"})
    assert model["environment"] == {
        "ZOOKEEPER_TICK_TIME": "2000",
        "ZOOKEEPER_AUTOPURGE_PURGE_INTERVAL": "1",
        "ZOOKEEPER_MAX_CLIENT_CNXNS": "$$5",
    }


def test_fast_stops_the_sync_of_every_write() -> None:
    """The one durability that ZooKeeper has to trade."""
    model: dict[str, Any] = {}
    ZooKeeper().apply_options(model, ZooKeeper.fast)
    assert model == {"environment": {"ZOOKEEPER_FORCE_SYNC": "no"}}


def test_its_address_is_all_that_a_client_needs() -> None:
    """Variable and handle say the same; nothing is secret."""
    assert ZooKeeper().variables(AT) == {"ZOOKEEPER_CONNECT": "127.0.0.1:20181"}
    assert ZooKeeper().handle(AT).url == "127.0.0.1:20181"
    assert ZooKeeper().secret_variables() == frozenset()
