"""Spark Connect's messages by hand, against the classes generated from its protocol."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql.connect.proto import base_pb2

from envctl.services.spark_connect.seeding.session import field, first_words, within


@settings(deadline=None)
@given(st.text(max_size=40_000))
def test_a_statement_of_any_length_is_written_as_the_protocol_says(sql: str) -> None:
    """Also where its length needs more than one byte."""
    message = field(3, field(2, field(5, field(1, sql.encode()))))
    assert base_pb2.ExecutePlanRequest.FromString(message).plan.command.sql_command.sql == sql


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 2**63 - 1))
def test_the_rows_of_an_answer_are_found_among_other_fields(data: bytes, count: int) -> None:
    """Numbers and other messages are passed over."""
    answer = base_pb2.ExecutePlanResponse(session_id="s", response_id="r")
    answer.sql_command_result.relation.common.plan_id = count
    answer.sql_command_result.relation.local_relation.data = data
    assert list(within(answer.SerializeToString(), 5, 1, 11, 1)) == [data]


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("-- why\n  CREATE TABLE\n t (a INT)", "CREATE TABLE t (a INT)"),
        ("SELECT " + "x" * 90, "SELECT " + "x" * 53 + "…"),
    ],
)
def test_a_statement_is_named_by_its_first_words(statement: str, words: str) -> None:
    """Without comments and line ends."""
    assert first_words(statement) == words
