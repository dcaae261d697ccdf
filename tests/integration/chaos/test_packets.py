"""`envctl-packets`, the tool behind the faults of packets: what it does to those of a queue, and how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from envctl.protocols import NotReady
from envctl.waiting import until
from tests.integration.chaos import packets_lab
from tests.integration.chaos.packets_lab import PATIENCE, SIX, Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

LONG = 60_000.0
"""Milliseconds; for what comes."""


@pytest.fixture(scope="module")
def lab(engine: docker.DockerClient) -> Iterator[Lab]:
    """A target and a peer, whose packets go where they want unless the tool runs."""
    with packets_lab.lab(engine) as one:
        yield one


def numbers(came: list[tuple[int, float, bool]]) -> list[int]:
    """Which came, in their order."""
    return [number for number, _, _ in came]


def test_packets_come_later_by_what_was_asked_for(lab: Lab) -> None:
    """Never earlier; and the best of some within 2 ms: a busy machine is late for all that come at one moment."""
    bare = min(ms for _, ms, _ in lab.datagrams(20, wait=LONG))
    with lab.run("both", "delay=20000") as run:
        times = [ms for _, ms, _ in lab.datagrams(20, every=30, wait=LONG)]
        assert len(times) == 20
        assert min(times) >= 40
        assert min(times) - bare < 42
    assert run.said()["in"]["delayed"] == run.said()["out"]["delayed"] == 20
    with lab.run("both", "delay=20000"):
        assert 40 <= min(ms for ms, _ in lab.stream("e", 1, times=20)) < 42 + bare


def test_jitter_spreads_and_keeps_the_order(lab: Lab) -> None:
    """Those that are far apart come between the bounds; those that are close do not overtake each other."""
    with lab.run("in", "delay=30000", "jitter=10000", "seed=1"):
        times = sorted(ms for _, ms, _ in lab.datagrams(40, every=22, wait=LONG))
        assert 20 <= times[0] < 30
        assert times[-1] > 34
        assert numbers(lab.datagrams(200, every=0.3, wait=LONG)) == list(range(200))


@pytest.mark.parametrize(("distribution", "least"), [("normal", 2.0), ("pareto", 8.66), ("paretonormal", 7.0)])
def test_jitter_has_the_distribution_that_was_asked_for(lab: Lab, distribution: str, least: float) -> None:
    """Some come later than any evenly spread one would, and each has its own earliest; correlated or not."""
    with lab.run("in", "delay=10000", "jitter=2000", "seed=5", f"distribution={distribution}", "delay-correlation=50"):
        times = [ms for _, ms, _ in lab.datagrams(60, every=12, wait=LONG)]
    assert max(times) > 13
    assert min(times) >= least


@pytest.mark.parametrize("direction", ["in", "out"])
def test_the_share_that_was_asked_for_is_lost_and_the_same_by_the_same_seed(lab: Lab, direction: str) -> None:
    """100 of 400 are expected; 4 standard deviations are 35."""
    lost = []
    for seed in (7, 7, 8):
        with lab.run(direction, "loss=250000", f"seed={seed}") as run:
            lost.append(sorted({*range(400)} - {*numbers(lab.datagrams(400, every=0.5))}))
        assert run.said()[direction]["dropped"] == len(lost[-1])
    assert lost[0] == lost[1] != lost[2]
    assert all(65 <= len(one) <= 135 for one in lost)


def test_losses_come_together_where_they_are_correlated(lab: Lab) -> None:
    """The share stays; the next after a lost one is lost in 92 of 100 cases, not in 20."""
    with lab.run("in", "loss=200000", "loss-correlation=90", "seed=3"):
        came = {*numbers(lab.datagrams(600, every=0.3))}
    lost = [number for number in range(600) if number not in came]
    together = sum(number + 1 in {*lost} for number in lost)
    assert 20 <= len(lost) <= 300
    assert together > len(lost) / 2


@pytest.mark.parametrize("family", ["v4", "v6"])
@pytest.mark.parametrize("direction", ["in", "out"])
def test_packets_arrive_twice_and_no_more(lab: Lab, direction: str, family: str) -> None:
    """The second copy is not judged again, though every packet is doubled."""
    host = SIX["target"] if family == "v6" else ""
    with lab.run(direction, "duplicate=1000000") as run:
        came = numbers(lab.datagrams(30, host=host, enough=61))
        assert sorted(came) == sorted([*range(30)] * 2)
        assert all(sound for _, _, sound in lab.datagrams(3, host=host, enough=6))
    assert run.said()[direction]["duplicated"] == 33
    assert run.said()["problem"] == ""


@pytest.mark.parametrize(("direction", "finder"), [("in", "target"), ("out", "peer")])
def test_what_is_corrupted_is_found_by_the_receivers_checksum(lab: Lab, direction: str, finder: str) -> None:
    """It counts them, and no program sees them."""
    before = lab.checksum_errors(finder)
    with lab.run(direction, "corrupt=300000", "seed=2") as run:
        came = lab.datagrams(100, every=0.5)
    spoilt = run.said()[direction]["corrupted"]
    assert len(came) == 100 - spoilt
    assert 10 < spoilt < 50
    assert all(sound for _, _, sound in came)
    assert lab.checksum_errors(finder) - before == spoilt


def test_a_connection_survives_what_is_corrupted(lab: Lab) -> None:
    """What is found broken is sent again."""
    with lab.run("both", "corrupt=100000", "seed=2") as run:
        assert all(sound for _, sound in lab.stream("e", 2000, times=10))
    assert run.said()["in"]["corrupted"] + run.said()["out"]["corrupted"] > 0


@pytest.mark.parametrize("direction", ["in", "out"])
def test_what_is_corrupted_undetected_reaches_the_program(lab: Lab, direction: str) -> None:
    """Datagrams and a stream alike, and no checksum tells."""
    before = lab.checksum_errors("target"), lab.checksum_errors("peer")
    with lab.run(direction, "corrupt=300000", "undetected=1", "seed=2") as run:
        came = lab.datagrams(100, every=0.5, wait=LONG)
    assert len(came) == 100
    assert sum(not sound for _, _, sound in came) == run.said()[direction]["corrupted"] > 10
    with lab.run(direction, "corrupt=1000000", "undetected=1"):
        assert [sound for _, sound in lab.stream("e", 333, times=3)] != [True] * 3
    assert (lab.checksum_errors("target"), lab.checksum_errors("peer")) == before


@pytest.mark.parametrize("direction", ["in", "out"])
def test_a_chosen_packet_is_overtaken_by_those_behind_it(lab: Lab, direction: str) -> None:
    """By 30 ms; none is lost."""
    with lab.run(direction, "reorder=100000", "hold=30000", "seed=4") as run:
        came = lab.datagrams(100, wait=LONG)
    late = [number for number, ms, _ in came if ms >= 30]
    assert sorted(numbers(came)) == list(range(100))
    assert numbers(came) != list(range(100))
    assert 0 < run.said()[direction]["reordered"] <= len(late)


@pytest.mark.parametrize(("direction", "act"), [("in", "p"), ("out", "g")])
def test_a_stream_has_the_rate_that_was_asked_for(lab: Lab, direction: str, act: str) -> None:
    """300 KB at 200 KB a second, headers included, after a burst of 16 KB."""
    rates = [0.0]
    with lab.run(direction, "rate=200000", "burst=16384"):
        while rates[-1] <= 0.9 * 200 and len(rates) < 20:  # a busy machine may be too late for it, but not each time
            rates.append(300_000 / lab.stream(act, 300_000)[0][0])
    assert 0.9 * 200 < max(rates) < 1.1 * 200, rates


def test_hundreds_of_packets_of_one_connection_are_on_their_way_at_once(lab: Lab) -> None:
    """Also of what the target sends: TCP does not take them for its own machine's. It ends when it holds 200."""
    with lab.run("out", "delay=100000") as run:
        run.when('"out": .*"held": [2-9][0-9][0-9]', "TERM")
        lab.stream("g", 8_000_000)
        run.await_end()


def test_two_runs_on_one_way_add_up(lab: Lab) -> None:
    """What one sends anew is judged by the other, and not by itself again."""
    with lab.run("before", "delay=20000") as first, lab.run("out", "delay=30000") as second:
        times = [ms for ms, _ in lab.stream("e", 1, times=10)]
        assert 50 <= min(times) < 60
    assert first.said()["out"]["packets"] == second.said()["out"]["packets"] < 60
    with lab.run("before", "duplicate=1000000"), lab.run("out", "duplicate=1000000"):
        assert len(lab.datagrams(5, enough=21)) == 20


def test_more_than_the_limit_is_dropped_and_counted(lab: Lab) -> None:
    """The first five are held."""
    with lab.run("in", "delay=1000000", "limit=5") as run:
        assert numbers(lab.datagrams(20, wait=LONG, enough=5)) == [0, 1, 2, 3, 4]
    assert run.said()["in"]["overflown"] == 15


def test_traffic_goes_on_when_it_is_killed(lab: Lab) -> None:
    """The rules let pass what no program looks at."""
    with lab.run("both", "delay=60000000") as run:
        assert lab.datagrams(3, wait=300) == []
        run.signal("KILL")
        run.await_end()
        assert len(lab.datagrams(3, wait=LONG)) == 3
        assert lab.stream("e", 100) != []


def test_what_is_held_goes_on_at_once_and_in_its_order_when_it_ends(lab: Lab) -> None:
    """By SIGTERM, and by its own time."""
    for seconds, signal in ((100, "TERM"), (5, "")):
        with lab.run("both", "delay=60000000", seconds=seconds) as run:
            if signal:
                run.when('"in": .*"held": 20', signal)
            assert numbers(lab.datagrams(20, wait=LONG)) == list(range(20))
            run.await_end()
        assert run.said()["attached"] == 0
        assert run.said()["in"]["held"] == 0


def test_it_ends_with_the_process(lab: Lab) -> None:
    """The namespace of a container that is gone is not kept."""
    pid = int(lab.operate("bash", "-c", "sleep 1000 >&- 2>&- & echo $!"))
    with lab.run("in", "delay=1000", pid=pid) as run:
        assert run.runs()
        lab.operate("bash", "-c", f"kill {pid}")
        run.await_end()
    said = lab.start("in", pid=pid).said()
    assert (said["attached"], said["problem"]) == (0, "the process: No such process")


def test_a_ledger_that_is_there_forbids_it(lab: Lab) -> None:
    """It may be one that has been told to end before it began."""
    lab.operate("touch", "/run/forbidden")
    command = f"envctl-packets /run/forbidden 10 {lab.pid} 7301"
    assert lab.operate("bash", "-c", f"{command}; echo $?") == "3\n"
    assert lab.operate("cat", "/run/forbidden") == ""


def test_a_queue_that_somebody_has_is_refused(lab: Lab) -> None:
    """With the reason."""
    with lab.run("in"):
        assert lab.start("in").said()["problem"] == "the queue: Operation not permitted"


@pytest.mark.parametrize(
    "setting",
    [
        "rate=0",
        "loss=1000001",
        "loss=-1",
        "delay=",
        "delay",
        "delay=1s",
        "seed=x",
        "distribution=even",
        "limit=0",
        "x=1",
    ],
)
def test_what_is_no_setting_is_named(lab: Lab, setting: str) -> None:
    """And nothing is touched."""
    said = lab.start("in", setting).said()
    assert said["problem"] == f"{setting}: it is no setting, or out of bounds"
    assert said["attached"] == 0


def test_what_it_held_is_counted_while_it_is_held(lab: Lab) -> None:
    """The ledger follows within moments."""
    with lab.run("in", "delay=60000000") as run:
        lab.datagrams(7, wait=0)

        def held() -> None:
            if run.said()["in"]["held"] != 7:
                raise NotReady(str(run.said()))

        until(held, PATIENCE, "seven that are held")
