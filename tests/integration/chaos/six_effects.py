"""What real clients see of each fault of the network, by whichever family of addresses; and what they see of none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.chaos import wires
from tests.integration.chaos.six_clients import FETCH, SIZE

if TYPE_CHECKING:
    from tests.integration.chaos.six_clients import Way

RATE, DELAY, CLOSE = 2_000_000, 0.1, 0.5
QUICK = 0.3
"""Seconds in which a visit is over that nothing holds up; less than any does that is held up."""
SILENCE = 0.2
"""Seconds for which nothing may come."""


def late(way: Way) -> None:
    """Each answer, on a live connection and on a new one."""
    assert way.ask()[1] >= DELAY
    assert way.visit() >= 3 * DELAY


def slow(way: Way) -> None:
    """A body takes its time; half of it passes at once at most."""
    assert way.ask(FETCH)[1] >= 0.85 * 8 * SIZE / RATE


def lossy(way: Way) -> None:
    """Some do not come, though what is sent again does."""
    assert all(told["received"] < told["sent"] for told in way.both(300, wait=0.2))
    way.visit()


def doubled(way: Way) -> None:
    """Each comes twice, and is carried out once."""
    assert all(told["twice"] == told["sent"] for told in way.both(40, linger=True, wait=0.3))
    begin = int(way.ask("INCR doubled")[0].removeprefix(":"))
    assert int(way.ask("INCR doubled")[0].removeprefix(":")) == begin + 1


def overtaken(way: Way) -> None:
    """Some come after one that was sent later."""
    assert all(told["late"] for told in way.both())
    way.visit()


def parted(way: Way) -> None:
    """Live connections and new ones hear nothing, and are told nothing."""
    assert way.ask(wait=SILENCE)[0] == way.connect(SILENCE, "new")[0] == "nothing"


def deaf(way: Way) -> None:
    """It does not hear, and is heard."""
    assert [told["received"] for told in way.both(3)] == [0, 3]


def mute(way: Way) -> None:
    """It hears, and is not heard."""
    assert [told["received"] for told in way.both(3)] == [3, 0]


def refused(way: Way) -> None:
    """New connections alone."""
    assert (way.connect(name="new")[0], way.ask()[0]) == ("refused", "+PONG")


def unconnected(way: Way) -> None:
    """New connections alone, which hear nothing."""
    assert (way.connect(SILENCE, "new")[0], way.ask()[0]) == ("nothing", "+PONG")


def cut(way: Way) -> None:
    """Live connections alone."""
    assert way.ask()[0] in {"reset", "closed"}
    way.visit()


def forgotten(way: Way) -> None:
    """Live connections alone, which nobody answers any more."""
    assert way.ask(wait=SILENCE)[0] == "nothing"
    way.visit()


def kept(way: Way) -> None:
    """A connection that its client has closed."""
    assert way.ask()[0] == "+PONG"
    port = way.close()
    way.visit()
    known = wires.inside(way.env, "redis", "ss", "-tnH", "state", "established").split()
    assert any(word.endswith(f":{port}") for word in known)


def late_end(way: Way) -> None:
    """The end comes later than the answers."""
    assert way.ask()[0] == "+PONG"
    assert way.visit() >= CLOSE


SAMPLED = {lossy, doubled, overtaken, deaf, mute}
"""By datagrams, of which a busy machine may miss some, and which can be sent again."""


def untouched(way: Way) -> None:
    """And datagrams come, once, sound and in their order."""
    free(way)
    for told in way.both(30):
        assert (told["received"], told["twice"], told["late"], told["broken"]) == (30, 0, 0, 0)


def free(way: Way) -> None:
    """A live connection and a new one are answered at once."""
    assert way.ask()[0] == "+PONG"
    assert way.visit() < QUICK
