"""PostgreSQL's login, options and variables, without a server."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from envctl.model import Endpoint, Identity
from envctl.services.postgres import Postgres
from envctl.services.postgres.scram import Exchange, verifier
from envctl.services.postgres.session import _refusal, _row

if TYPE_CHECKING:
    from collections.abc import Mapping

AT = Endpoint("postgres", "127.0.0.1", {"postgres": 15432}, Identity("envctl", "r00t"), Identity("app", "s:c/r et"))


def test_the_login_is_that_of_the_standard(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exchange of RFC 7677, section 3, with the user's name moved out, as PostgreSQL has it."""
    nonce = base64.b64decode("rOprNGfwEbeRWgbNEkqO")
    monkeypatch.setattr("envctl.services.postgres.scram.os.urandom", lambda _: nonce)
    exchange = Exchange("pencil")
    assert exchange.first == b"n,,n=,r=rOprNGfwEbeRWgbNEkqO"
    challenge = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    assert exchange.final(challenge).startswith(b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=")


def test_a_server_that_does_not_know_the_password_is_not_believed() -> None:
    """A signature that is not the password's."""
    exchange = Exchange("pencil")
    exchange.final(exchange.first.removeprefix(b"n,,n=,") + b"x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
    assert not exchange.confirms(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


@pytest.mark.parametrize("challenge", [b"", b"nonsense", b"r=another,s=AAAA,i=1", b"\xff=\xff"])
def test_a_malformed_challenge_is_refused(challenge: bytes) -> None:
    """Also one with somebody else's nonce."""
    with pytest.raises(ValueError, match=r".+"):
        Exchange("pencil").final(challenge)


def test_the_verifier_has_postgres_form_and_not_the_password() -> None:
    """`SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`, another one each time."""
    first, second = verifier("pencil"), verifier("pencil")
    assert first.startswith("SCRAM-SHA-256$4096:")
    assert first.count("$") == first.count(":") == 2
    assert "pencil" not in first
    assert first != second


def test_a_refusal_is_the_servers_message_and_code() -> None:
    """Other fields, such as the source line, are left out."""
    body = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0Fpostmaster.c\0\0"
    assert _refusal(body) == "the database system is starting up (57P03)"


def test_a_row_may_hold_nulls() -> None:
    """NULL is None, and not the empty text."""
    assert _row(b"\0\3" + b"\0\0\0\1f" + b"\xff\xff\xff\xff" + b"\0\0\0\0") == ["f", None, ""]


@pytest.mark.parametrize(
    ("model", "options", "command"),
    [
        ({}, {"work_mem": "8MB"}, ["postgres", "-c", "work_mem=8MB"]),
        ({"command": None}, {"b": "2", "a": "1"}, ["postgres", "-c", "a=1", "-c", "b=2"]),
        ({"command": ["postgres", "-c", "a=1"]}, {"a": "2"}, ["postgres", "-c", "a=1", "-c", "a=2"]),
        ({}, {"log_line_prefix": "$"}, ["postgres", "-c", "log_line_prefix=$$"]),
    ],
)
def test_options_become_settings_on_the_command_line(
    model: dict[str, object], options: Mapping[str, str], command: list[str]
) -> None:
    """Appended, in a stable order; compose's own sign is escaped."""
    Postgres().apply_options(model, options)
    assert model["command"] == command


def test_the_url_survives_any_password() -> None:
    """Signs with a meaning in URLs are quoted; no repr shows the password."""
    handle = Postgres().handle(AT)
    assert handle.url == "postgresql://app:s%3Ac%2Fr%20et@127.0.0.1:15432/app"
    assert "s:c" not in repr(handle)


def test_secret_variables_are_among_the_variables() -> None:
    """And hold the password; no other one does."""
    service = Postgres()
    found = service.variables(AT)
    assert {
        name for name, value in found.items() if value == "s:c/r et" or "s%3A" in value
    } == service.secret_variables()
