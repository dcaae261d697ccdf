"""What Spark SQL statements make, by their texts."""

from __future__ import annotations

import pytest

from envctl.errors import ConfigurationError
from envctl.services.spark_connect.seeding.names import made_by


@pytest.mark.parametrize(
    ("statement", "made", "drop"),
    [
        ("CREATE TABLE t (a INT)", "default.t", "DROP TABLE IF EXISTS `default`.`t`"),
        ("create or replace view `My View` as select 1", "default.my view", "DROP VIEW IF EXISTS `default`.`my view`"),
        ("-- why\n/* so */ CREATE VIEW IF NOT EXISTS v AS SELECT 1", "default.v", "DROP VIEW IF EXISTS `default`.`v`"),
        ("CREATE EXTERNAL TABLE shop.t (a INT)", "shop.t", "DROP TABLE IF EXISTS `shop`.`t`"),
        ("CREATE TABLE spark_catalog.shop.`t``` (a INT)", "shop.t`", "DROP TABLE IF EXISTS `shop`.`t```"),
        ("CREATE GLOBAL TEMP VIEW g AS SELECT 1", "global_temp.g", "DROP VIEW IF EXISTS `global_temp`.`g`"),
        ("CREATE DATABASE IF NOT EXISTS shop", "shop", "DROP DATABASE IF EXISTS `shop` CASCADE"),
    ],
)
def test_a_statement_that_makes_something_is_known(statement: str, made: str, drop: str) -> None:
    """With its name, and how to remove it."""
    (found,) = made_by([statement])
    assert (str(found), found.drop) == (made, drop)


def test_other_statements_make_nothing() -> None:
    """Nor do names in texts and comments."""
    assert made_by(["SELECT 'CREATE TABLE t'", "-- CREATE TABLE t (a INT)\nSET a=b", "", "DROP TABLE t"]) == []


def test_the_database_in_use_is_that_of_names_without_one() -> None:
    """USE is followed."""
    found = made_by(
        ["CREATE VIEW a AS SELECT 1", "USE DATABASE shop", "CREATE VIEW a AS SELECT 1", "CREATE VIEW o.b AS SELECT 1"]
    )
    assert [str(made) for made in found] == ["default.a", "shop.a", "o.b"]


def test_what_is_made_twice_is_one() -> None:
    """A view that is replaced."""
    assert len(made_by(2 * ["CREATE OR REPLACE VIEW a AS SELECT 1"])) == 1


def test_temporary_views_are_refused() -> None:
    """Nobody would see them."""
    with pytest.raises(ConfigurationError, match="'CREATE TEMP VIEW a AS SELECT 1' makes what only its session sees"):
        made_by(["CREATE TEMP VIEW a AS SELECT 1"])
