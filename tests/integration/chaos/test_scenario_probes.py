"""Each kind of probe on real servers: it holds, it fails, and it says what was so instead."""

from __future__ import annotations

import hashlib
import io
import secrets
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from envctl.environment import Environment

SERVICES = ("postgres", "redis", "zookeeper", "kafka", "minio")
BODY = b"a report" * 100


@pytest.fixture(scope="module")
def filled(env: Environment) -> Environment:
    """Three rows, a key, an object, and 150 messages of which a group has read 20."""
    with env.postgres.connect(autocommit=True) as db:
        db.execute("CREATE TABLE probed AS SELECT generate_series(1, 3) AS id")
    env.redis.client().set("probed", "yes")
    env.minio.client().put_object("app", "probed/report", io.BytesIO(BODY), len(BODY))
    send(env, 150)
    read(env, 20)
    return env


def send(env: Environment, count: int) -> None:
    """Messages into the topic."""
    producer = env.kafka.producer()
    sent = [producer.send("probed", b"message") for _ in range(count)]
    for one in sent:
        one.get(timeout=60)
    producer.close()


def read(env: Environment, count: int) -> None:
    """Have the group read so many, and say so."""
    consumer = env.kafka.consumer("probed", group_id="billing", enable_auto_commit=False, max_poll_records=count)
    done = 0
    while done < count:
        batches = consumer.poll(timeout_ms=1000, max_records=count - done)
        done += sum(map(len, batches.values()))
    consumer.commit()
    consumer.close(autocommit=False)


LAG: dict[str, Any] = {"topic-lag": {"group": "billing", "topic": "probed"}}
OBJECT: dict[str, Any] = {"object": {"key": "probed/report"}}
HEALTH = {"http": "http://{minio}/minio/health/live"}

KINDS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"sql": "SELECT count(*) FROM probed"}, {"equals": 3}, ""),
    ({"sql": "SELECT count(*) FROM probed"}, {"equals": 5, "tolerance": 1}, "3 instead of 5 ± 1"),
    ({"sql": "SELECT count(*) FROM nowhere"}, {"equals": 3}, "UndefinedTable"),
    ({"redis": "GET probed"}, {"equals": "yes"}, ""),
    ({"redis": ["GET", "nothing"]}, {"equals": "yes"}, "nothing instead of 'yes'"),
    ({"redis": "CONFIG GET *"}, {"equals": "yes"}, "NoPermissionError"),
    (HEALTH, {"status": 200}, ""),
    ({"http": "http://{minio:console}/"}, {"matches": "(?i)minio"}, ""),
    ({"http": "http://{minio}/app/probed/report"}, {"status": 200}, "status 403 instead of 200"),
    (LAG, {"at_most": 130, "more_than": 100}, ""),
    (LAG, {"at_most": 100}, "130 instead of at most 100"),
    ({"topic-lag": {"group": "nobody", "topic": "probed"}}, {"equals": 150}, ""),
    ({"topic-lag": {"group": "billing", "topic": "nowhere"}}, {"at_most": 1}, "there is no topic 'nowhere'"),
    (OBJECT, {"equals": len(BODY), "sha256": hashlib.sha256(BODY).hexdigest()}, ""),
    (OBJECT, {"sha256": "0" * 64}, "sha256 "),
    (OBJECT, {"exists": False}, "it is there"),
    ({"object": {"bucket": "app", "key": "probed/nothing"}}, {"exists": False}, ""),
    ({"object": {"key": "probed/nothing"}}, {"at_least": 1}, "it is not there"),
    ({"command": [*("sh", "-c"), 'echo "$ENVCTL_ENV"; exit 3']}, {"exit_code": 3, "matches": "^chaos-"}, ""),
    ({"command": "echo $DATABASE_URL; false"}, {"matches": "postgres"}, "does not match"),
    ({"command": [*("sh", "-c"), 'echo "$DATABASE_URL"; false']}, {"exit_code": 0}, "exit code 1 instead of 0"),
    ({"python": "json:dumps"}, {"matches": "x"}, "TypeError"),
]


@pytest.mark.parametrize(("kind", "expect", "told"), KINDS, ids=lambda value: str(value)[:60])
def test_a_probe_says_whether_it_holds(
    filled: Environment, kind: dict[str, Any], expect: dict[str, Any], told: str
) -> None:
    """And never a password."""
    verdict = filled.chaos.run(
        {"probes": {"one": {**kind, "expect": expect, "timeout": 30}}, "steps": [{"wait": "1ms"}]}
    )
    [tally] = [tally for tally in verdict.tallies if tally.role == "before"]
    assert tally.holds == (not told), str(verdict)
    assert told in tally.first_problem
    hidden = {filled.variables()[name] for name in filled.secret_variables()}
    text = verdict.history.read_text()
    assert not [word for word in hidden if word in text]


def test_a_fault_comes_when_the_consumer_lags(filled: Environment) -> None:
    """Not before: the work that makes it lag goes on in the background."""
    token = secrets.token_hex(4)
    more = {**LAG, "expect": {"more_than": 200}, "within": "60s", "timeout": "10s"}
    verdict = filled.chaos.run(
        {
            "name": token,
            "probes": {"alive": {"redis": "PING"}},
            "steps": [
                {"run": {"python": f"{__file__}:send", "with": {"count": 100}}, "background": "finish"},
                {"fault": "pause", "service": "redis", "for": "200ms", "when": more},
            ],
        }
    )
    assert verdict.held, str(verdict)
    assert verdict.wounds[0].service == "redis"


def test_questions_that_hang_end_in_their_time(filled: Environment) -> None:
    """Of every kind, while the servers are frozen; afterwards all answer again."""
    kinds = [{"sql": "SELECT 1"}, {"redis": "PING"}, HEALTH, LAG, OBJECT]
    probes = {
        f"p{number}": {**kind, "timeout": "2s", "roles": ["during", "after"], "every": "100ms", "tolerate": 99}
        for number, kind in enumerate(kinds)
    }
    freeze = [{"fault": "pause", "service": name, "for": "5s"} for name in ("postgres", "redis", "kafka", "minio")]
    verdict = filled.chaos.run({"probes": probes, "steps": [{"parallel": freeze}], "recovery": {"within": "100s"}})
    assert verdict.held, str(verdict)
    during = [tally for tally in verdict.tallies if tally.role == "during"]
    assert all(tally.failed for tally in during), str(verdict)
    assert max(tally.slowest for tally in during) < 30
