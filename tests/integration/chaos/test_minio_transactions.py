"""Killing MinIO in the middle of a multipart upload of an ordinary client, and what is said of it afterwards."""

from __future__ import annotations

import io
import json
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import urllib3
from minio.error import S3Error

from envctl.errors import ConfigurationError, VictimNeverCame
from envctl.reports import Fate
from envctl.services.minio.chaos.uploads import Store
from tests.integration.chaos.s3_clients import network

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from minio import Minio

    from envctl.environment import Environment
    from envctl.site import Site

SERVICES = ["minio"]
BUCKET, PART = "app", 5 << 20
PARTS = 4
BODY = bytes(range(256)) * (PARTS * PART // 256)
DROPPED = (urllib3.exceptions.HTTPError, S3Error)


@pytest.fixture
def client(env: Environment) -> Iterator[Minio]:
    """An ordinary client, which does not try again, with a connection that was open before anything is hurt."""
    with urllib3.PoolManager(retries=False, timeout=60) as pool:
        live = env.minio.client(http_client=pool)
        assert live.bucket_exists(BUCKET)
        yield live


@pytest.fixture(autouse=True)
def tidy(env: Environment) -> Iterator[None]:
    """No object and no open upload is left over from one test to the next."""
    yield
    env.chaos.heal()
    env.wait_recovered("minio", timeout=120)
    client = env.minio.client()
    for found in client.list_objects(BUCKET, recursive=True):
        client.remove_object(BUCKET, str(found.object_name))


def _put(client: Minio, key: str) -> str:
    """Upload in parts, as every user does; the ETag."""
    return str(client.put_object(BUCKET, key, io.BytesIO(BODY), len(BODY), part_size=PART).etag)


def _site(env: Environment) -> Site:
    return env.chaos._ward.site("minio")


@contextmanager
def _uploading(client: Minio, key: str) -> Iterator[None]:
    """An upload in another thread, which is to fail."""
    with ThreadPoolExecutor(1) as pool:
        upload = pool.submit(_put, client, key)
        yield
        with pytest.raises(DROPPED):
            upload.result()


def test_it_is_killed_when_so_many_parts_are_stored(env: Environment, client: Minio) -> None:
    """Nothing of the object is there, and the upload can be gone on with."""
    with env.chaos.kill_mid_transaction("minio", table=BUCKET, after_rows=2) as kill, _uploading(client, "open"):
        [victim] = kill.verdict.transactions
    assert (victim.fate, victim.victim) == (Fate.ROLLED_BACK, True)
    assert victim.who.startswith("app (MinIO")
    assert 2 <= victim.facts["parts"] <= PARTS
    assert victim.facts["upload"] == "open"
    assert kill.verdict.clean
    assert kill.verdict.facts["leftover parts"] >= victim.facts["parts"]
    upload = Store(_site(env).at).upload(BUCKET, "open", victim.id)
    assert upload is not None
    assert len(upload.etags) >= 2
    with pytest.raises(S3Error, match="NoSuchKey"):
        client.stat_object(BUCKET, "open")
    client._abort_multipart_upload(BUCKET, "open", victim.id)


def test_it_is_killed_when_the_first_part_is_sent_and_before_it_arrives(env: Environment, client: Minio) -> None:
    """The upload is open and empty."""
    with env.chaos.kill_mid_transaction("minio") as kill, _uploading(client, "empty"):
        [victim] = kill.verdict.transactions
    assert (victim.fate, victim.facts["parts"]) == (Fate.ROLLED_BACK, 0)
    client._abort_multipart_upload(BUCKET, "empty", victim.id)


def test_it_is_killed_before_complete_reaches_the_server(env: Environment, client: Minio) -> None:
    """Every part is there, and no object; Complete can be sent again."""
    with env.chaos.kill_mid_transaction("minio", at="commit", table=BUCKET) as kill, _uploading(client, "commit"):
        [victim] = kill.verdict.transactions
    assert (victim.fate, victim.facts["parts"], kill.verdict.clean) == (Fate.ROLLED_BACK, PARTS, True)
    with pytest.raises(S3Error, match="NoSuchKey"):
        client.stat_object(BUCKET, "commit")
    assert Store(_site(env).at).upload(BUCKET, "commit", victim.id) is not None
    client._abort_multipart_upload(BUCKET, "commit", victim.id)


def test_it_is_killed_when_complete_is_done_and_not_answered(env: Environment, client: Minio) -> None:
    """The object is there, whole, and its client was told of a failure."""
    with env.chaos.kill_mid_transaction("minio", at="in-doubt", where="doubt/") as kill:
        assert _put(client, "other").endswith(f"-{PARTS}"), "a key without the prefix is no victim"
        with _uploading(client, "doubt/one"):
            assert not kill.verdict.clean
    [victim] = kill.verdict.in_doubt
    assert (victim.victim, victim.facts["key"], victim.facts["upload"]) == (True, "doubt/one", "gone")
    assert kill.verdict.problems == ()
    assert client.get_object(BUCKET, "doubt/one").read() == BODY
    assert client.get_object(BUCKET, "other").read() == BODY


def test_what_was_acknowledged_before_is_there_and_uploads_beside_the_victim_are_named(
    env: Environment, client: Minio
) -> None:
    """One client's kill is another's too."""
    etag = _put(client, "before")
    beside = client._create_multipart_upload(BUCKET, "beside", {})
    client._upload_part(BUCKET, "beside", BODY[:PART], {}, beside, 1)
    with env.chaos.kill_mid_transaction("minio", at="commit", where="victim") as kill, _uploading(client, "victim"):
        by_key = {one.facts["key"]: one for one in kill.verdict.transactions}
    assert (by_key["beside"].id, by_key["beside"].victim) == (beside, False)
    assert (by_key["beside"].fate, by_key["beside"].facts["parts"]) == (Fate.ROLLED_BACK, 1)
    assert client.stat_object(BUCKET, "before").etag == etag
    client._abort_multipart_upload(BUCKET, "beside", beside)
    client._abort_multipart_upload(BUCKET, "victim", by_key["victim"].id)


def test_an_object_that_the_upload_was_to_replace_is_what_it_was(env: Environment, client: Minio) -> None:
    """Never a half of each."""
    client.put_object(BUCKET, "old", io.BytesIO(b"old"), 3)
    with env.chaos.kill_mid_transaction("minio", at="commit") as kill, _uploading(client, "old"):
        [victim] = kill.verdict.transactions
    assert (victim.fate, kill.verdict.problems) == (Fate.ROLLED_BACK, ())
    assert client.get_object(BUCKET, "old").read() == b"old"
    client._abort_multipart_upload(BUCKET, "old", victim.id)


def test_a_graceful_stop_lets_the_answer_go_and_loses_nothing(env: Environment, client: Minio) -> None:
    """The control: at the same moment, with another end."""
    with env.chaos.kill_mid_transaction("minio", at="in-doubt", means="stop") as kill:
        etag = _put(client, "control")
        [victim] = kill.verdict.committed
    assert (victim.victim, kill.verdict.clean) == (True, True)
    assert client.stat_object(BUCKET, "control").etag == etag


def test_a_server_that_is_to_stay_down_is_started_by_healing(env: Environment, client: Minio) -> None:
    """Until then it is down, and the verdict comes with it."""
    kill = env.chaos.kill_mid_transaction("minio", at="commit", restart=False, duration="10m")
    with _uploading(client, "down"):
        pass
    with pytest.raises(urllib3.exceptions.HTTPError):
        client.bucket_exists(BUCKET)
    assert kill.heal().stage == "healed"
    [victim] = kill.verdict.transactions
    assert victim.fate is Fate.ROLLED_BACK
    client._abort_multipart_upload(BUCKET, "down", victim.id)


def test_only_the_identity_and_the_application_aimed_at_are_victims(env: Environment, client: Minio) -> None:
    """Everybody else goes through the gate and notices nothing."""
    kill = env.chaos.kill_mid_transaction("minio", at="commit", role="app", application="nightly-job")
    assert _put(client, "passes").endswith(f"-{PARTS}")
    client.set_app_info("nightly-job", "1")
    with _uploading(client, "nightly"):
        [victim] = kill.verdict.transactions
    assert "nightly-job" in victim.who
    kill.heal()
    client._abort_multipart_upload(BUCKET, "nightly", victim.id)


def test_a_complete_that_is_refused_is_no_victim(env: Environment, client: Minio) -> None:
    """Nothing was done that could be in doubt; the next one is caught."""
    with env.chaos.kill_mid_transaction("minio", at="in-doubt") as kill:
        upload = client._create_multipart_upload(BUCKET, "refused", {})
        with pytest.raises(S3Error, match="InvalidPart"):
            client._complete_multipart_upload(BUCKET, "refused", upload, [_no_part()])
        with _uploading(client, "next"):
            [victim] = kill.verdict.in_doubt
    assert victim.facts["key"] == "next"
    client._abort_multipart_upload(BUCKET, "refused", upload)


def test_a_victim_that_never_comes_leaves_nothing_behind(env: Environment, client: Minio) -> None:
    """The rules, the table that they needed and the process are gone, and the server never noticed."""
    before, started_at = network(env), _site(env).container.started_at
    kill = env.chaos.kill_mid_transaction("minio", table=BUCKET, duration="8s")
    assert "ENVCTL-" in network(env)[0]
    client.put_object(BUCKET, "small", io.BytesIO(b"one part"), 8)
    with pytest.raises(VictimNeverCame, match="a multipart upload to app/"):
        kill.wait()
    assert kill.heal().stage == "healed"
    assert (network(env), _site(env).container.started_at) == (before, started_at)


def test_an_injector_that_is_killed_while_it_waits_leaves_no_gate(
    env: Environment,
    client: Minio,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    eventually: Callable[..., None],
) -> None:
    """The gate opens with its end, before anybody heals."""
    before = network(env)
    with injected("env.chaos.kill_mid_transaction('minio', where='x', duration='1h').__enter__()") as other:
        assert "ENVCTL-" in network(env)[0]
        other.kill()
        eventually(lambda: _assert(env.chaos.status() == []))
    assert network(env) == before
    assert _put(client, "x").endswith(f"-{PARTS}")


def test_an_injector_that_is_killed_after_its_kill_leaves_the_server_up(
    env: Environment,
    client: Minio,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    eventually: Callable[..., None],
) -> None:
    """The warden starts what the injector has killed."""
    lines = "env.chaos.kill_mid_transaction('minio', at='commit', restart=False, duration='1h').__enter__()"
    with injected(lines) as other:
        with _uploading(client, "orphan"):
            pass
        eventually(lambda: _assert(_site(env).now().state == "exited"))
        other.send_signal(signal.SIGKILL)
        eventually(lambda: _assert(env.chaos.status() == []))
    env.wait_recovered("minio", timeout=120)
    assert client.bucket_exists(BUCKET)
    with pytest.raises(S3Error, match="NoSuchKey"):
        client.stat_object(BUCKET, "orphan")


def test_a_gate_that_is_killed_lets_everything_pass_and_healing_removes_its_rules(
    env: Environment, client: Minio
) -> None:
    """The kernel's queue is bypassed when nobody serves it."""
    before = network(env)
    kill = env.chaos.kill_mid_transaction("minio", at="commit")
    site = kill._site
    found = site.hands.operate(env.name, ["cat", f"/run/{kill.evidence['gate']}.json"])
    assert site.hands.operate(env.name, ["bash", "-c", f"kill -KILL {json.loads(found.output)['pid']}"]).exit_code == 0
    assert _put(client, "through").endswith(f"-{PARTS}")
    with pytest.raises(VictimNeverCame):
        kill.wait()
    assert kill.heal().stage == "healed"
    assert network(env) == before


def test_what_cannot_be_aimed_at_is_told_all_at_once_and_nothing_is_changed(env: Environment) -> None:
    """Each with its reason."""
    before = network(env)
    with pytest.raises(ConfigurationError) as refused:
        env.chaos.kill_mid_transaction(
            "minio", at="nonsense", means="magic", after_statements=3, operation="delete", table="No_Bucket"
        )
    for word in ("--at", "--means", "--after-statements", "--operation", "--table"):
        assert word in str(refused.value)
    assert refused.value.exit_code == 2
    with pytest.raises(ConfigurationError, match="no bucket is named 'nowhere'"):
        env.chaos.kill_mid_transaction("minio", table="nowhere")
    assert env.chaos.status() == []
    assert network(env) == before


def _no_part() -> object:
    from minio.datatypes import Part

    return Part(1, "0" * 32)


def _assert(condition: bool) -> None:
    assert condition
