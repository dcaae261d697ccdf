"""Keys from rules and files of commands, in a Redis that runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from envctl.errors import ConfigurationError, Interrupted, SeedFailed
from envctl.model import Identity
from envctl.seeding.spec import Keys
from envctl.services.redis import Redis
from envctl.services.redis.seeding import loader as loading
from tests.integration.seed_redis import COMMANDS, KEYS, ROWS, job, loaded, loader, shop
from tests.integration.services.conftest import _running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import redis as client_library

    from envctl.model import Endpoint

SERVICE = Redis()


@pytest.fixture(scope="module")
def at() -> Iterator[Endpoint]:
    """One server for the module, ready."""
    with _running(SERVICE) as server:
        yield server.ready().at


@pytest.fixture
def redis(at: Endpoint) -> Iterator[client_library.Redis]:
    """What a user's client sees; nothing is left of the test before."""
    with SERVICE.handle(at).client(decode_responses=True) as client:
        client.flushall()
        yield client


def test_every_type_of_key_holds_what_its_rule_says(at: Endpoint, redis: client_library.Redis, tmp_path: Path) -> None:
    """Read by a client of its own, row by row."""
    dataset = shop(tmp_path)
    loaded(at, dataset)
    world = job(dataset, "other", lambda _, __: None).world
    chunk = world.chunk("customers", 0)
    ids, names, tiers, notes, scores = (chunk.column(n).pylist() for n in ("id", "name", "tier", "note", "score"))
    for at_row, number in enumerate(ids[:50]):
        fields = {"name": names[at_row], "tier": tiers[at_row], "note": notes[at_row]}
        assert redis.hgetall(f"customer:{number}") == {k: v for k, v in fields.items() if v is not None}
        assert redis.get(f"product:{number:06}") == f'{{"name":"{names[at_row]}","score":{scores[at_row]}}}'
        assert redis.get(f"session:{number}") == (names[at_row] if number % 3 == 0 else None)
        assert redis.zscore("best", str(number)) == scores[at_row] / 100
    assert redis.lrange("queue", 0, -1) == [str(number) for number in ids]
    entry = redis.xrange("events", count=1)[0]
    assert entry == (
        f"{1700000000000 + ids[0]}-0",
        {k: v for k, v in zip(("name", "note"), (names[0], notes[0]), strict=True) if v},
    )
    tags = world.chunk("tags", 0)
    expected: dict[int, set[str]] = {}
    for parent, tag in zip(tags.of_parent("id").pylist(), tags.column("tag").pylist(), strict=True):
        expected.setdefault(parent, set()).add(tag)
    for parent, members in list(expected.items())[:50]:
        assert redis.smembers(f"tags:{parent}") == members


def test_keys_end_when_their_rule_says(at: Endpoint, redis: client_library.Redis, tmp_path: Path) -> None:
    """All at the same moment, and the others never."""
    loaded(at, shop(tmp_path))
    ends = {redis.pexpiretime(f"customer:{number}") for number in range(1, ROWS + 1)}
    assert len(ends) == 1
    assert redis.ttl("customer:1") > 29 * 86_400
    assert redis.ttl("best") == redis.ttl("product:000001") == -1


def test_nothing_but_the_datasets_keys_is_there_afterwards(
    at: Endpoint, redis: client_library.Redis, tmp_path: Path
) -> None:
    """No mark of envctl's."""
    section = loaded(at, shop(tmp_path))
    assert redis.dbsize() == sum(target["rows"] for target in section.values())
    assert redis.keys("_envctl*") == []


def test_files_of_commands_are_run(at: Endpoint, redis: client_library.Redis, tmp_path: Path) -> None:
    """Quotes and escapes as redis-cli reads them."""
    loaded(at, shop(tmp_path))
    assert redis.get("config:greeting") == "hello\tworld"
    assert redis.smembers("config:flags") == {"a", "b", "c"}
    assert redis.hget("config:limits", "per day") == "10"


def test_a_second_load_changes_nothing(at: Endpoint, redis: client_library.Redis, tmp_path: Path) -> None:
    """Nor would it count or append anything twice."""
    first = loaded(at, shop(tmp_path))
    assert loaded(at, shop(tmp_path)) == first
    assert redis.get("config:version") == "1"


def test_two_loads_of_the_same_dataset_are_equal(at: Endpoint, redis: client_library.Redis, tmp_path: Path) -> None:
    """Whatever order the server keeps its keys in."""
    first = loaded(at, shop(tmp_path), "one")
    redis.flushall()
    assert loaded(at, shop(tmp_path), "two") == first


def test_another_seed_gives_other_digests(at: Endpoint, redis: client_library.Redis, tmp_path: Path) -> None:
    """In every target that depends on it."""
    first = loaded(at, shop(tmp_path), "one")
    redis.flushall()
    second = loaded(at, shop(tmp_path, seed=2), "two")
    assert {name for name in first if first[name]["digest"] == second[name]["digest"]} == {"queue", "extra.redis"}


def test_clearing_removes_what_was_loaded_and_nothing_else(
    at: Endpoint, redis: client_library.Redis, tmp_path: Path
) -> None:
    """Without the dataset."""
    redis.set("mine", "1")
    one = loader(at, shop(tmp_path))
    footprint = one.footprint()
    one.load()
    there = redis.dbsize() - 1
    assert SERVICE.clear(at, footprint) == f"{there:,} keys"
    assert redis.keys() == ["mine"]
    assert SERVICE.clear(at, footprint) == "0 keys"


def test_keys_of_the_same_names_are_in_the_way(at: Endpoint, redis: client_library.Redis, tmp_path: Path) -> None:
    """Each kind is named once, with an example; a dataset's own keys are not."""
    redis.mset({"customer:mine": "1", "best": "2", "config:flags": "3", "other": "4"})
    one = loader(at, shop(tmp_path))
    assert sorted(one.conflicts()) == [
        "1 key like 'customer:*' are there, such as 'customer:mine'",
        "key 'best' is there",
        "key 'config:flags' is there",
    ]
    redis.delete("customer:mine", "best", "config:flags")
    assert one.conflicts() == []
    one.load()
    assert loader(at, shop(tmp_path)).conflicts() == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (["HSET", "customer:7", "tier", "none"], "key 'customer:7', field 'tier': wanted 'silver', found 'none'"),
        (["DEL", "product:000009"], "key 'product:000009': wanted"),
        (["SET", "product:9", "x"], "key 'product:9' was not loaded"),
        (["ZADD", "best", "7000", "3"], "key 'best', score of '3': wanted"),
        (["LSET", "queue", "2", "x"], "key 'queue', element 2: wanted '3', found 'x'"),
        (["XDEL", "events", "1700000000005-0"], "key 'events', entry 1700000000005: wanted"),
        (["PERSIST", "session:3"], "key 'session:3', whether it has a time to live: wanted True, found False"),
        (["SADD", "config:flags", "d"], "redis extra.redis: members 6 loaded, 7 there"),
        (["HSET", "customer:7", "more", "x"], "one of the keys holds more than was loaded"),
    ],
)
def test_the_first_difference_is_named(
    at: Endpoint, redis: client_library.Redis, tmp_path: Path, change: list[str], expected: str
) -> None:
    """With key, place, what was wanted and what is there."""
    dataset = shop(tmp_path)
    before = loaded(at, dataset)
    redis.execute_command(*change)
    after = loader(at, dataset).measure()
    assert after != before
    assert expected in loader(at, dataset).difference(before, after)


def test_without_a_difference_there_is_nothing_to_say(
    at: Endpoint, redis: client_library.Redis, tmp_path: Path
) -> None:
    """Empty."""
    section = loaded(at, shop(tmp_path))
    assert redis.dbsize()
    assert loader(at, shop(tmp_path)).difference(section, section) == ""


def test_of_very_many_strings_every_one_is_compared_although_none_was_read_back(
    at: Endpoint, redis: client_library.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of keys is what the load keeps; a key too many, one lost and one changed are each named."""
    monkeypatch.setattr("envctl.services.redis.seeding.loader.READ_BACK", 10)
    redis.set("somebody", "else's")
    dataset = shop(tmp_path, keys=tuple(rule for rule in KEYS if rule.type == "string"), commands="")
    job(dataset, "state", lambda _, __: None).notes.set(state="loading")
    recorded = loaded(at, dataset)
    assert recorded == {"all keys": {"rows": redis.dbsize() - 1, "digest": None}}
    job(dataset, "state", lambda _, __: None).notes.set(state="loaded")
    one = loader(at, dataset)
    measured = one.measure()
    assert set(measured) != set(recorded)
    assert one.difference(recorded, measured) == ""
    name = next(iter(redis.scan_iter("product:*")))
    right = redis.get(name)
    redis.set(name, "x", keepttl=True)
    assert f"key {name!r}: wanted" in one.difference(recorded, one.measure())
    redis.set(name, right, keepttl=True)
    redis.set("product:0", "x")
    assert "keys, found" in one.difference(recorded, one.measure())


def test_large_keys_are_measured_as_exactly_as_small_ones(
    at: Endpoint, redis: client_library.Redis, tmp_path: Path
) -> None:
    """A list, set, hash, sorted set and stream of more than a thousand members; one changes."""
    rules = tuple(
        Keys("customers", f"'{kind}'", kind, fields)
        for kind, fields in {
            "list": {"member": "name"},
            "set": {"member": "name"},
            "zset": {"member": "name", "score": "id"},
            "stream": {"id": "id", "a": "name"},
        }.items()
    )
    dataset = shop(tmp_path, keys=rules, commands="HSET hash " + " ".join(f"f{i} v{i}" for i in range(2500)))
    before = loaded(at, dataset)
    redis.lset("list", 2900, "x")
    redis.sadd("set", "x")
    redis.srem("set", redis.srandmember("set"))
    redis.zincrby("zset", 1, redis.zrange("zset", 2900, 2900)[0])
    redis.xdel("stream", "2900-0")
    redis.hset("hash", "f2400", "x")
    after = loader(at, dataset).measure()
    assert [name for name in before if before[name]["digest"] == after[name]["digest"]] == []


def test_it_is_present_until_its_keys_are_gone(at: Endpoint, redis: client_library.Redis, tmp_path: Path) -> None:
    """A test that changes one key does not make it absent; a server that lost all does."""
    one = loader(at, shop(tmp_path))
    assert not one.present()
    one.load()
    redis.delete("customer:1")
    assert loader(at, shop(tmp_path)).present()
    redis.flushall()
    assert not loader(at, shop(tmp_path)).present()


def test_what_was_lost_is_loaded_again(at: Endpoint, redis: client_library.Redis, tmp_path: Path) -> None:
    """As after a restart without a disk."""
    first = loaded(at, shop(tmp_path))
    redis.flushall()
    assert loaded(at, shop(tmp_path)) == first


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (Keys("customers", "'events'", "set", {"member": "id"}), r"key 'events': WRONGTYPE"),
        (
            Keys("customers", "'z'", "zset", {"member": "id", "score": "name"}),
            r"key 'z': ERR value is not a valid float",
        ),
        (Keys("customers", "'s'", "stream", {"id": "5 - id", "a": "id"}), r"key 's': ERR"),
    ],
)
def test_a_refused_command_is_named_with_rule_and_key(
    at: Endpoint, redis: client_library.Redis, tmp_path: Path, rule: Keys, reason: str
) -> None:
    """And the mended dataset is loaded from the beginning."""
    with pytest.raises(SeedFailed, match=reason) as caught:
        loader(at, shop(tmp_path, keys=(*KEYS, rule))).load()
    assert f"redis.keys[{len(KEYS)}] ({rule.type} {rule.key})" in caught.value.wanted
    redis.delete("z", "s")
    mended = loaded(at, shop(tmp_path))
    redis.flushall()
    assert loaded(at, shop(tmp_path), "undisturbed") == mended


@pytest.mark.parametrize(
    ("line", "reason"),
    [("NOSUCH a b", "Invalid command"), ("SET onlykey", "Invalid number"), ("LPUSH config:flags x", "WRONGTYPE")],
)
def test_a_bad_command_is_named_with_file_and_line(
    at: Endpoint, redis: client_library.Redis, tmp_path: Path, line: str, reason: str
) -> None:
    """Redis' own reason; nothing of a file with an unknown command is run."""
    one = loader(at, shop(tmp_path, commands=COMMANDS + line))
    with pytest.raises(SeedFailed, match=reason) as caught:
        one.footprint() and one.load()
    assert f"extra.redis:6: {line.split(maxsplit=1)[0]}" in caught.value.wanted
    if reason != "WRONGTYPE":
        assert redis.keys("config:*") == []


def test_an_unknown_command_aborts_its_whole_file(at: Endpoint, redis: client_library.Redis, tmp_path: Path) -> None:
    """Also where nobody asked for the footprint before."""
    with pytest.raises(SeedFailed, match=r"extra\.redis:2: NOSUCH"):
        loader(at, shop(tmp_path, keys=(), commands="SET a 1\nNOSUCH a\nSET b 2")).load()
    assert redis.keys("[ab]") == []


def test_a_dataset_whose_keys_may_be_anything_is_refused(at: Endpoint, tmp_path: Path) -> None:
    """Before anything is loaded."""
    rule = Keys("customers", "name", "string", {"value": "id"})
    named = Keys("customers", "text(id)", "string", {"value": "id"})
    assert loader(at, shop(tmp_path, keys=(rule,), commands="")).footprint()["patterns"] == [["Zoë ", None]]
    with pytest.raises(ConfigurationError, match="begin it with a text of its own"):
        loader(at, shop(tmp_path, keys=(named,), commands="")).footprint()


def test_data_removed_in_the_middle_is_noticed(
    at: Endpoint, redis: client_library.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The load fails rather than leaving a hole, and the next one begins anew."""
    monkeypatch.setattr(loading, "BATCH", 20_000)
    calls = iter(range(1000))

    def flush(_: int, __: int) -> None:
        if next(calls) == 10:
            redis.flushall()

    with pytest.raises(SeedFailed, match="removed meanwhile"):
        loader(at, shop(tmp_path), progress=flush).load()
    assert not loader(at, shop(tmp_path)).present()
    resumed = loaded(at, shop(tmp_path))
    redis.flushall()
    assert loaded(at, shop(tmp_path), "undisturbed") == resumed


def test_a_stopped_load_goes_on(
    at: Endpoint, redis: client_library.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was loaded before is not sent again."""
    monkeypatch.setattr(loading, "BATCH", 20_000)
    sent: list[int] = []
    first = job(shop(tmp_path), "state", lambda rows, _: (sent.append(rows), first.stop.set())[0] if rows else None)
    with pytest.raises(Interrupted):
        loading.RedisLoader(at, first).load()
    assert not loader(at, shop(tmp_path)).present()
    later: list[int] = []
    loader(at, shop(tmp_path), progress=lambda rows, _: later.append(rows)).load()
    of = loader(at, shop(tmp_path)).size().rows
    assert sum(sent) + sum(later) == of
    assert redis.llen("queue") == ROWS


def test_progress_adds_up_to_the_size(at: Endpoint, redis: client_library.Redis, tmp_path: Path) -> None:
    """Rows exactly; bytes nearly, as they are reckoned from the first rows."""
    sent: list[tuple[int, int]] = []
    one = loader(at, shop(tmp_path), progress=lambda rows, size: sent.append((rows, size)))
    one.load()
    size = one.size()
    assert sum(rows for rows, _ in sent) == size.rows
    assert 0.8 < sum(bytes_ for _, bytes_ in sent) / size.bytes < 1.25
    assert redis.dbsize()


def test_a_wrong_password_is_said_without_it(at: Endpoint, tmp_path: Path) -> None:
    """As what redis answers."""
    with pytest.raises(SeedFailed, match="WRONGPASS") as caught:
        loader(replace(at, admin=Identity("envctl", "not-this-one")), shop(tmp_path)).load()
    assert "not-this-one" not in str(caught.value)
