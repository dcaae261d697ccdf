"""The settings that topics have of their own, read and written one by one (Kafka 2.3 and later)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from envctl.services.kafka.wire import NULL, UNKNOWN_TOPIC, array, check, string

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from envctl.services.kafka.wire import Connection

_TOPIC = struct.pack(">b", 2)
_SET, _DELETE = 0, 1
_OF_THE_TOPIC = 1


def read(connection: Connection, names: Iterable[str], setting: str) -> dict[str, tuple[str, bool]]:
    """What holds for each topic, and whether that is the topic's own; topics that are not there are left out."""
    asked = array(_TOPIC + string(name) + array([string(setting)]) for name in names)
    response = connection.call(32, 1, asked + b"\0")
    number, text = response.number, response.string
    number("i")

    def entry() -> tuple[str, bool]:
        text()
        value, _, source, _ = text(), number("b"), number("b"), number("b")
        response.array(lambda: (text(), text(), number("b")))
        return value, source == _OF_THE_TOPIC

    found = {}
    for _ in range(number("i")):
        code, message, _, name = number("h"), text(), number("b"), text()
        entries = response.array(entry)
        if code == UNKNOWN_TOPIC:
            continue
        check(f"settings of {name}", code, message)
        found[name] = entries[0]
    return found


def write(connection: Connection, setting: str, wanted: Mapping[str, str | None]) -> None:
    """Give each topic this value of its own, or None; topics that are not there are passed over."""

    def alteration(name: str, value: str | None) -> bytes:
        operation = struct.pack(">b", _DELETE if value is None else _SET)
        return _TOPIC + string(name) + array([string(setting) + operation + (NULL if value is None else string(value))])

    response = connection.call(44, 0, array(alteration(*one) for one in wanted.items()) + b"\0")
    number, text = response.number, response.string
    number("i")
    for code, message, name in response.array(lambda: (number("h"), text(), (number("b"), text())[1])):
        if code != UNKNOWN_TOPIC:
            check(f"settings of {name}", code, message)
