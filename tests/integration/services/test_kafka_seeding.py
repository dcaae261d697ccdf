"""Kafka's topics filled from a dataset: what a consumer reads, what survives kills, and what is said on bad days."""

from __future__ import annotations

import dataclasses
import json
import random
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from envctl.errors import Interrupted, SeedConflict, SeedFailed
from envctl.model import Identity
from envctl.protocols import NotReady
from envctl.seeding.loading import Seedable
from envctl.seeding.spec import Topic
from envctl.services.kafka import Kafka
from envctl.services.kafka.seeding.client import Appender, session
from envctl.services.zookeeper import ZooKeeper
from envctl.waiting import until
from tests.integration.services.conftest import PATIENCE
from tests.integration.services.kafka_world import EMPTY, EVENTS, PLAIN, STATE, dataset, job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from kafka.consumer.fetcher import ConsumerRecord

    from envctl.seeding.loading import Job, Loader
    from tests.integration.services.conftest import Running

pytestmark = [
    pytest.mark.filterwarnings("ignore:(open|read)_text is deprecated:DeprecationWarning"),
    pytest.mark.usefixtures("state_home"),
]

ALL = (EVENTS, STATE, PLAIN, EMPTY)
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def broker(running_service: Callable[..., AbstractContextManager[Running]]) -> Iterator[Running]:
    """One broker with its ZooKeeper for the module, ready."""
    with running_service(Kafka(), ZooKeeper()) as server:
        yield server.ready()


@pytest.fixture
def kafka(broker: Running) -> Iterator[Running]:
    """The broker without a topic of a test's."""
    yield broker
    with _admin(broker) as admin:
        left = [name for name in admin.list_topics() if not name.startswith("__")]
    Kafka().clear(broker.at, {"topics": left})


def _admin(broker: Running) -> AbstractContextManager[Any]:
    return closing(Kafka().handle(broker.at).admin())


def _consumed(broker: Running, topic: str) -> list[ConsumerRecord]:
    """All records of a topic, as kafka-python reads them."""
    from kafka import TopicPartition

    with closing(Kafka().handle(broker.at).consumer(consumer_timeout_ms=PATIENCE * 1000)) as consumer:
        places = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
        consumer.assign(places)
        consumer.seek_to_beginning()
        missing = sum(consumer.end_offsets(places).values())
        return [next(consumer) for _ in range(missing)]


def _produce(broker: Running, topic: str, *values: bytes) -> None:
    with closing(Kafka().handle(broker.at).producer()) as producer:
        for value in values:
            producer.send(topic, value).get(timeout=PATIENCE)


def _loaded(broker: Running, given: Job) -> Loader:
    loader = Kafka().loader(broker.at, given)
    loader.load()
    return loader


def _as_python(given: Job, topic: Topic) -> list[tuple[Any, ...]]:
    """What the records must be, row by row in plain Python: key, value, headers, time."""
    found = []
    for chunk in given.world.iterate("events"):
        names = ("id", "customer", "at", "kind", "gone", "noise")
        rows = zip(*[chunk.column(name).pylist() for name in names], strict=True)
        for number, customer, at, kind, gone, noise in rows:
            if topic is EVENTS:
                found.append((f"customer-{customer}", None if gone else number, kind, gone, at // 1000))
            elif topic is PLAIN:
                found.append((None, noise, None, False, -1))
    return found


def test_kafka_is_seedable() -> None:
    """By the capability that the orchestration looks for."""
    assert isinstance(Kafka(), Seedable)


def test_a_consumer_reads_what_the_dataset_says(kafka: Running) -> None:
    """Key, value, headers, time, and the partition that Java's partitioner would take; tombstones are null."""
    from kafka.partitioner.default import murmur2

    given = job(dataset(EVENTS))
    _loaded(kafka, given)
    places: dict[int, list[tuple[Any, ...]]] = {number: [] for number in range(6)}
    for record in _as_python(given, EVENTS):
        places[(murmur2(record[0].encode()) & 0x7FFFFFFF) % 6].append(record)
    read: dict[int, list[tuple[Any, ...]]] = {number: [] for number in range(6)}
    for record in _consumed(kafka, EVENTS.name):
        value, headers = record.value and json.loads(record.value), dict(record.headers)
        assert ("id" in headers) == (value is not None)
        read[record.partition].append(
            (record.key.decode(), value and value["id"], headers["kind"].decode(), value is None, record.timestamp)
        )
    assert read == places
    assert any(record[3] for record in _as_python(given, EVENTS))


def test_a_said_partition_and_no_key_and_no_time(kafka: Running) -> None:
    """Null stays null."""
    given = job(dataset(PLAIN))
    _loaded(kafka, given)
    found = _consumed(kafka, PLAIN.name)
    values = [record[1] for record in _as_python(given, PLAIN)]
    for place in (0, 1):
        here = [record for record in found if record.partition == place]
        assert [record.value.decode() for record in here] == values[1 - place :: 2]
        assert {(record.key, record.timestamp) for record in here} == {(None, -1)}


def test_a_file_of_json_lines_fills_a_topic(kafka: Running, tmp_path: Path) -> None:
    """With tombstones, headers and a time."""
    file = tmp_path / "audit.jsonl"
    lines = [{"key": f"k{n}", "value": {"n": n} if n % 5 else None, "timestamp": 1000 + n} for n in range(10_000)]
    lines[7] |= {"headers": {"who": "me", "gone": None}, "partition": 2}
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    loader = _loaded(kafka, job(dataset(Topic("audit", 3, file=file))))
    found = sorted(_consumed(kafka, "audit"), key=lambda record: record.timestamp)
    assert [record.key.decode() for record in found] == [line["key"] for line in lines]
    assert [record.value and json.loads(record.value) for record in found] == [line["value"] for line in lines]
    assert (found[7].headers, found[7].partition) == ([("who", b"me")], 2)
    assert loader.measure()["audit"]["rows"] == loader.size().rows == 10_000


def test_topics_have_their_partitions_and_settings(kafka: Running) -> None:
    """Also the empty one; filled ones keep what is old."""
    loader = _loaded(kafka, job(dataset(*ALL, rows=100)))
    found = loader.measure()
    assert {name: len(section["partitions"]) for name, section in found.items()} == {
        "shop.events": 6,
        "shop.state": 3,
        "shop.plain": 2,
        "shop.empty": 4,
    }
    assert found["shop.state"]["config"]["cleanup.policy"] == "compact"
    assert found["shop.events"]["config"]["retention.ms"] == "-1"
    assert found["shop.empty"]["config"] == {}


def test_a_second_load_appends_nothing(kafka: Running) -> None:
    """And it is known that all is there."""
    first = _loaded(kafka, job(dataset(*ALL)))
    before = first.measure()
    again = Kafka().loader(kafka.at, job(dataset(*ALL)))
    assert again.present()
    again.load()
    assert again.measure() == before


def test_progress_adds_up_to_the_size_also_of_a_load_that_goes_on(kafka: Running) -> None:
    """What is there already counts too, so that a bar ends at its end."""
    data = dataset(*ALL)
    for _ in range(2):
        given = job(data)
        loader = _loaded(kafka, given)
        assert given.progress.rows == loader.size().rows
        assert given.progress.bytes == pytest.approx(loader.size().bytes, rel=0.1)


def test_removed_records_of_a_half_loaded_topic_are_loaded_again(kafka: Running) -> None:
    """Offsets never go back, so the topic is made anew."""
    from kafka import TopicPartition

    before = _loaded(kafka, job(dataset(PLAIN))).measure()
    with _admin(kafka) as admin:
        admin.delete_records({TopicPartition(PLAIN.name, 0): 100})
    assert not Kafka().loader(kafka.at, job(dataset(PLAIN))).present()
    assert _loaded(kafka, job(dataset(PLAIN))).measure() == before


def test_two_environments_have_the_same_digests(kafka: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever produced it: the manifest is a function of the dataset."""
    first = _loaded(kafka, job(dataset(*ALL), "one"))
    before = first.measure()
    Kafka().clear(kafka.at, first.footprint())
    monkeypatch.setattr("envctl.services.kafka.seeding.loader._REQUEST", 1000)
    assert _loaded(kafka, job(dataset(*ALL), "two")).measure() == before


def test_clearing_removes_the_topics_and_says_so(kafka: Running) -> None:
    """Once; then there is nothing to be said."""
    loader = _loaded(kafka, job(dataset(*ALL, rows=100)))
    assert Kafka().clear(kafka.at, loader.footprint()) == "4 topics"
    with _admin(kafka) as admin:
        assert not {name for name in admin.list_topics() if name.startswith("shop.")}
    assert Kafka().clear(kafka.at, loader.footprint()) == ""
    assert not loader.present()


def test_what_is_cleared_can_be_loaded_again_at_once(kafka: Running) -> None:
    """Deletion goes on behind the broker's answer; nobody must wait for it by hand."""
    data = dataset(EVENTS, STATE, rows=100)
    for environment in ("one", "two", "three"):
        loader = _loaded(kafka, job(data, environment))
        assert loader.present()
        Kafka().clear(kafka.at, loader.footprint())


def test_a_load_that_is_stopped_goes_on_later(kafka: Running) -> None:
    """Between two chunks."""
    given = job(dataset(EVENTS, rows=60_000))
    heard = given.progress
    given.progress = lambda rows, size: (heard(rows, size), given.stop.set())
    with pytest.raises(Interrupted):
        Kafka().loader(kafka.at, given).load()
    resumed = _loaded(kafka, job(dataset(EVENTS, rows=60_000)))
    assert resumed.measure() == _undisturbed(kafka, resumed, dataset(EVENTS, rows=60_000))


def test_a_load_that_is_killed_anywhere_goes_on_exactly_once(kafka: Running) -> None:
    """Five times at a random moment, then to the end."""
    rows, chance = 60_000, random.Random()  # noqa: S311 - a moment, no secret
    for _ in range(5):
        with _loading(kafka, rows) as process:
            threading.Event().wait(chance.uniform(0, 0.7))
            process.kill()
    loader = _loaded(kafka, job(dataset(*ALL, rows=rows)))
    assert loader.present()
    assert loader.measure() == _undisturbed(kafka, loader, dataset(*ALL, rows=rows))


def test_a_load_whose_broker_is_killed_fails_and_goes_on(kafka: Running) -> None:
    """The error says what to do; nothing is there twice and nothing is missing."""
    data = dataset(EVENTS, rows=60_000)
    given = job(data)
    heard, killed = given.progress, threading.Event()

    def kill(rows: int, size: int) -> None:
        heard(rows, size)
        if not killed.is_set():
            killed.set()
            kafka.docker("kill", "--signal", "KILL", kafka.container("kafka"))

    given.progress = kill
    try:
        with pytest.raises(SeedFailed, match="run `envctl seed` again: it goes on"):
            Kafka().loader(kafka.at, given).load()
    finally:
        kafka.docker("start", kafka.container("kafka"))
        kafka.ready()
    resumed = _loaded(kafka, job(data))
    assert resumed.measure() == _undisturbed(kafka, resumed, data)


def test_a_batch_that_a_killed_load_still_had_under_way_is_taken_once(kafka: Running) -> None:
    """It lands after the next load has looked at the ends."""
    data = dataset(EVENTS, rows=60_000)
    given, late = job(data), []
    heard = given.progress
    given.progress = lambda rows, size: (heard(rows, size), given.stop.set())
    with pytest.raises(Interrupted):
        Kafka().loader(kafka.at, given).load()

    # The same batches under the same producer, sent by another connection while the next load is at work.
    resumed = job(data)
    loader = Kafka().loader(kafka.at, resumed)
    original = loader._missing

    def missing(topic: Topic, batches: Any, there: list[int]) -> Any:  # noqa: ANN401 - as the loader's
        found = list(original(topic, batches, there))
        if found and not late:
            late.extend({batch.partition: batch for batch in reversed(found)}.values())
            with session(kafka.at) as at:
                zombie = Appender(at, topic.name, loader._producer(), lambda _: None)
                zombie.append(late)
                zombie.finish()
        return found

    loader._missing = missing
    loader.load()
    assert late
    assert loader.measure() == _undisturbed(kafka, loader, data)


def test_records_of_somebody_else_in_our_half_loaded_topic_are_not_built_upon(kafka: Running) -> None:
    """The topic is ours: it is made anew."""
    data = dataset(EVENTS, rows=60_000)
    given = job(data)
    heard = given.progress
    given.progress = lambda rows, size: (heard(rows, size), given.stop.set())
    with pytest.raises(Interrupted):
        Kafka().loader(kafka.at, given).load()
    _produce(kafka, EVENTS.name, b"foreign")
    resumed = _loaded(kafka, job(data))
    assert resumed.measure() == _undisturbed(kafka, resumed, data)


def test_a_topic_that_was_made_by_a_clients_question_is_replaced(kafka: Running) -> None:
    """The broker creates what is asked for: empty, with one partition."""
    from kafka import KafkaConsumer

    with closing(KafkaConsumer(EVENTS.name, bootstrap_servers=[kafka.at.address])) as consumer:
        with _admin(kafka) as admin:

            def made() -> None:
                consumer.poll(timeout_ms=500)
                if EVENTS.name not in admin.list_topics():
                    raise NotReady("the client has not asked yet")

            until(made, PATIENCE, "a topic")
        loader = Kafka().loader(kafka.at, job(dataset(EVENTS)))
        assert loader.conflicts() == []
        loader.load()
        assert len(loader.measure()[EVENTS.name]["partitions"]) == 6


def test_a_topic_with_records_of_somebody_else_is_a_conflict_and_stays(kafka: Running) -> None:
    """Nothing is removed, and nothing loaded."""
    _produce(kafka, EVENTS.name, b"mine", b"too")
    loader = Kafka().loader(kafka.at, job(dataset(*ALL)))
    assert loader.conflicts() == ["topic shop.events holds 2 records of somebody else's"]
    with pytest.raises(SeedConflict, match="holds 2 records"):
        loader.load()
    assert [record.value for record in _consumed(kafka, EVENTS.name)] == [b"mine", b"too"]
    with _admin(kafka) as admin:
        assert STATE.name not in admin.list_topics()


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        (Topic("bad", config={"retention.mss": "1"}), "Unknown topic config name: retention.mss"),
        (Topic("bad", config={"retention.ms": "soon"}), "Invalid value soon for configuration retention.ms"),
        (Topic("bad", partitions=0), "larger than 0"),
        (Topic("b/ad"), "Topic name is invalid"),
    ],
)
def test_what_the_broker_refuses_is_said_in_its_words_and_nothing_is_made(
    kafka: Running, topic: Topic, said: str
) -> None:
    """Also not the topics that it would have taken."""
    with pytest.raises(SeedFailed, match=said):
        _loaded(kafka, job(dataset(PLAIN, topic, EMPTY)))
    with _admin(kafka) as admin:
        assert not {"shop.plain", "shop.empty"} & set(admin.list_topics())


def test_a_record_that_is_too_large_is_named(kafka: Running) -> None:
    """With its topic, offset and size, and the setting that would let it in."""
    topic = dataclasses.replace(PLAIN, value=f'f"{"x" * 2_000_000}{{id}}"')
    with pytest.raises(SeedFailed, match=r"shop.plain, partition \d, offset 0: MESSAGE_TOO_LARGE") as caught:
        _loaded(kafka, job(dataset(topic, rows=4)))
    assert "max.message.bytes" in caught.value.advice


def test_a_large_record_goes_into_a_topic_that_takes_it(kafka: Running) -> None:
    """And comes back whole."""
    topic = dataclasses.replace(PLAIN, value=f'f"{"x" * 2_000_000}{{id}}"', config={"max.message.bytes": "3000000"})
    loader = _loaded(kafka, job(dataset(topic, rows=4)))
    assert loader.present()
    assert loader.measure()["shop.plain"]["rows"] == 4


def test_a_login_that_is_refused_is_said_without_the_password(kafka: Running) -> None:
    """By any method."""
    stranger = dataclasses.replace(kafka.at, admin=Identity("envctl", "a-wrong-word"))
    loader = Kafka().loader(stranger, job(dataset(EVENTS)))
    for act in (loader.load, loader.conflicts, loader.measure, lambda: Kafka().clear(stranger, loader.footprint())):
        with pytest.raises(SeedFailed, match="log in as envctl: SASL_AUTHENTICATION_FAILED") as caught:
            act()
        assert "a-wrong-word" not in str(caught.value)


def test_a_broker_that_is_not_there_is_said(kafka: Running) -> None:
    """With what to do."""
    nobody = dataclasses.replace(kafka.at, ports={"kafka": 1, "sasl": 1})
    with pytest.raises(SeedFailed, match="kafka: connection refused"):
        Kafka().loader(nobody, job(dataset(EVENTS))).load()


def test_without_an_admin_the_plaintext_listener_does(kafka: Running) -> None:
    """For a broker of the user's own."""
    loader = Kafka().loader(dataclasses.replace(kafka.at, admin=None), job(dataset(EVENTS)))
    loader.load()
    assert loader.present()


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_a_topic_that_compresses_holds_the_same_records(kafka: Running, codec: str) -> None:
    """The broker packs each batch anew; the digest is that of the records."""
    before = _loaded(kafka, job(dataset(EVENTS), "one")).measure()[EVENTS.name]["partitions"]
    Kafka().clear(kafka.at, {"topics": [EVENTS.name]})
    packed = dataclasses.replace(EVENTS, config={"compression.type": codec})
    assert _loaded(kafka, job(dataset(packed), "two")).measure()[EVENTS.name]["partitions"] == before


def test_a_difference_is_named_by_topic_partition_and_offset(kafka: Running) -> None:
    """A value that another dataset gives, an appended record, removed ones, a topic that is gone."""
    changed = dataclasses.replace(PLAIN, value='noise if id != 2001 else "other"')
    before = _loaded(kafka, job(dataset(changed, EMPTY), "one")).measure()
    told = Kafka().loader(kafka.at, job(dataset(PLAIN, EMPTY), "one"))
    assert told.difference({**before, PLAIN.name: {**before[PLAIN.name], "partitions": []}}, before)
    recorded = json.loads(json.dumps(before))
    recorded[PLAIN.name]["partitions"][1]["crc"] = "00000000"
    found = told.difference(recorded, before)
    assert found.startswith("topic shop.plain, partition 1, offset 1000: value is 'other'; loaded as ")
    _produce(kafka, EMPTY.name, b"new")
    assert "loaded up to 0" in told.difference(before, told.measure())
    Kafka().clear(kafka.at, {"topics": [EMPTY.name]})
    assert told.difference(before, told.measure()) == "topic shop.empty is gone"


def test_a_compacted_topic_that_the_broker_has_cleaned_is_still_what_was_loaded(kafka: Running) -> None:
    """Only the last record of each key is left, at its offset; one that is gone without need is named."""
    settings = {"cleanup.policy": "compact", "segment.bytes": "8192", "min.cleanable.dirty.ratio": "0.01"}
    topic = dataclasses.replace(STATE, partitions=1, config=settings)
    loader = _loaded(kafka, job(dataset(topic)))
    before = loader.measure()

    def cleaned() -> int:
        left = len(_consumed_until(kafka, STATE.name, 3000))
        if left > 1500:
            raise NotReady(f"{left} of 3000 records are left")
        return left

    until(cleaned, PATIENCE, "the log cleaned")
    assert loader.measure() == before
    other = Kafka().loader(kafka.at, job(dataset(dataclasses.replace(topic, value="json(other=kind)"))))
    recorded = {STATE.name: {**before[STATE.name], "partitions": [{"start": 0, "end": 3000, "crc": "00000000"}]}}
    assert 'value is \'{"kind":' in other.difference(recorded, before)


def _consumed_until(broker: Running, topic: str, end: int) -> list[int]:
    """The offsets that are left of a topic of one partition."""
    from kafka import TopicPartition

    place, found = TopicPartition(topic, 0), []
    with closing(Kafka().handle(broker.at).consumer(consumer_timeout_ms=PATIENCE * 1000)) as consumer:
        consumer.assign([place])
        consumer.seek_to_beginning()
        while consumer.position(place) < end:
            found += [record.offset for records in consumer.poll(timeout_ms=200).values() for record in records]
    return found


def _undisturbed(broker: Running, loader: Loader, data: Any) -> dict[str, Any]:  # noqa: ANN401 - a dataset
    """What one load without any disturbance leaves."""
    Kafka().clear(broker.at, loader.footprint())
    return _loaded(broker, job(data, "undisturbed")).measure()


def _loading(broker: Running, rows: int) -> subprocess.Popen[str]:
    """A load in a process of its own that has begun."""
    assert broker.at.admin
    given = {"host": broker.at.host, "ports": dict(broker.at.ports), "password": broker.at.admin.password}
    program = [sys.executable, "-m", "tests.integration.services.kafka_world", json.dumps(given), str(rows)]
    process = subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "loading\n"
    return process
