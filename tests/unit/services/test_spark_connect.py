"""Spark Connect's URL, options and the way to a client."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from envctl.errors import EnvctlError
from envctl.model import Endpoint, Identity
from envctl.services.spark_connect import SparkConnect

AT = Endpoint(
    "spark-connect", "127.0.0.1", {"spark-connect": 20502}, Identity("envctl", "t/k;n=1"), Identity("app", "t/k;n=1")
)


def test_the_url_names_localhost_and_quotes_the_token() -> None:
    """Spark's client sends a token without TLS to that very name only, and takes `;` and `=` as separators."""
    assert SparkConnect().handle(AT).url == "sc://localhost:20502/;token=t%2Fk%3Bn%3D1"
    assert SparkConnect().variables(AT) == {"SPARK_REMOTE": SparkConnect().handle(AT).url}


def test_both_identities_share_the_servers_one_token() -> None:
    """Spark does not tell an admin from an app."""
    assert SparkConnect().secret_files(Identity("envctl", "one"), Identity("app", "two")) == {"app": "two"}


def test_options_come_after_the_compose_files_own() -> None:
    """The last --conf of a name wins in Spark; dollar signs survive compose."""
    model: dict[str, Any] = {"command": ["spark-submit", "--conf", "spark.sql.shuffle.partitions=4"]}
    SparkConnect().apply_options(model, {"spark.sql.shuffle.partitions": "1", "spark.x": "$y"})
    assert model["command"][3:] == ["--conf", "spark.sql.shuffle.partitions=1", "--conf", "spark.x=$$y"]


def test_without_pyspark_a_session_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of envctl's with the command, not an ImportError."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyspark"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(EnvctlError, match=r"envctl\[spark\]"):
        SparkConnect().handle(AT).session()
