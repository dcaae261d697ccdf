"""Taking a MinIO user's rights away: requests and presigned URLs are refused, and everything is as it was after."""

from __future__ import annotations

import io
import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from minio.credentials.providers import StaticProvider
from minio.error import S3Error
from minio.minioadmin import MinioAdmin

from envctl.chaos.ward import Ward
from envctl.errors import ConfigurationError, FaultConflict, FaultUnfit
from envctl.faults.revoke_credentials import RevokeCredentials
from envctl.protocols import NotReady
from envctl.waiting import until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import minio

    from envctl.environment import Environment

SERVICES = ["minio"]
CODES = {"disable": "InvalidAccessKeyId", "policy": "AccessDenied", "key": "SignatureDoesNotMatch"}
PATIENCE = 120.0


@pytest.fixture
def boss(env: Environment) -> MinioAdmin:
    """The administration, by MinIO's own client."""
    at = Ward(env.name).site("minio").at
    assert at.admin is not None
    credentials = StaticProvider(at.admin.username, at.admin.password)
    return MinioAdmin(endpoint=at.address, credentials=credentials, secure=False)


@pytest.fixture
def reader(boss: MinioAdmin) -> Iterator[tuple[str, str]]:
    """Another user with two policies, and its secret key."""
    name, secret = f"reader-{secrets.token_hex(4)}", secrets.token_hex(16)
    boss.user_add(access_key=name, secret_key=secret)
    boss.attach_policy(policies=["readonly", "diagnostics"], user=name)
    yield name, secret
    boss.user_remove(access_key=name)


def record(boss: MinioAdmin, user: str = "app") -> dict[str, Any]:
    """What the server tells of a user, but when."""
    return {key: value for key, value in json.loads(boss.user_info(access_key=user)).items() if key != "updatedAt"}


def put(client: minio.Minio, bucket: str = "app") -> None:
    """Store something small."""
    client.put_object(bucket, "thing", io.BytesIO(b"x"), 1)


def status_of(url: str) -> int:
    """What a plain HTTP client is answered."""
    return int(urllib3.request("GET", url).status)


@pytest.mark.parametrize("mode", CODES)
def test_live_and_new_clients_and_presigned_urls_are_refused_and_all_work_again(
    env: Environment, boss: MinioAdmin, mode: str
) -> None:
    """With the original secret key; and the record is equal."""
    before, live = record(boss), env.minio.client()
    put(live)
    url = live.presigned_get_object("app", "thing")
    assert status_of(url) == 200
    with env.chaos.revoke_credentials("minio", mode=mode) as fault:
        for client in (live, env.minio.client()):
            with pytest.raises(S3Error) as refusal:
                put(client)
            assert refusal.value.code == CODES[mode]
        assert status_of(url) == 403
        assert fault.evidence["app"] == [f"403 {CODES[mode]}"]
    assert fault.healed is not None
    assert fault.healed.evidence == {"record": "equal", "login": "with the original key"}
    assert record(boss) == before
    put(live)
    assert status_of(url) == 200


def test_an_action_on_some_buckets_is_denied_and_everything_else_is_not(env: Environment, boss: MinioAdmin) -> None:
    """A bucket that is read-only, say; no policy of ours is left."""
    client, other, third = env.minio.client(), f"b-{secrets.token_hex(4)}", f"c-{secrets.token_hex(4)}"
    for bucket in (other, third):
        client.make_bucket(bucket)
        put(client, bucket)
    before, policies = record(boss), set(json.loads(boss.policy_list()))
    try:
        with env.chaos.revoke_credentials("minio", privilege="PutObject", on=f"{other},{third}"):
            for bucket in (other, third):
                with pytest.raises(S3Error, match="AccessDenied"):
                    put(client, bucket)
                client.get_object(bucket, "thing").close()
            put(client)
        assert record(boss) == before
        assert set(json.loads(boss.policy_list())) == policies
    finally:
        for bucket in (other, third):
            put(client, bucket)
            client.remove_object(bucket, "thing")
            client.remove_bucket(bucket)


@pytest.mark.parametrize("mode", ["disable", "policy"])
def test_any_user_by_name_and_nobody_else_is_hurt(
    env: Environment, boss: MinioAdmin, reader: tuple[str, str], mode: str
) -> None:
    """Both of its policies are attached again."""
    name, secret = reader
    put(env.minio.client())
    before, theirs = record(boss, name), env.minio.client(access_key=name, secret_key=secret)
    theirs.get_object("app", "thing").close()
    with env.chaos.revoke_credentials("minio", mode=mode, user=name):
        with pytest.raises(S3Error, match=CODES[mode]):
            theirs.get_object("app", "thing")
        put(env.minio.client())
    assert record(boss, name) == before
    theirs.get_object("app", "thing").close()


@pytest.mark.parametrize("parameters", [*({"mode": mode} for mode in CODES), {"on": "app"}], ids=str)
@pytest.mark.parametrize("steps", range(5))
def test_another_process_heals_it_wherever_the_injector_was_killed(
    env: Environment, boss: MinioAdmin, parameters: dict[str, str], steps: int
) -> None:
    """After planning, acting, proving, undoing, and proving again; all that is left then is the journal."""
    fault, before, policies = RevokeCredentials(**parameters), record(boss), set(json.loads(boss.policy_list()))
    site = Ward(env.name).site("minio")
    plan = json.loads(json.dumps(fault.plan(site)))
    for step in (fault.apply, fault.bites, fault.undo, fault.recovered)[:steps]:
        step(site, plan)
    elsewhere = Ward(env.name).site("minio")
    fault.undo(elsewhere, plan)
    fault.undo(elsewhere, plan)
    assert fault.recovered(elsewhere, plan)["record"] == "equal"
    assert record(boss) == before
    assert set(json.loads(boss.policy_list())) == policies
    put(env.minio.client())


def test_it_ends_with_the_process_that_holds_it_though_that_was_killed(
    env: Environment,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    eventually: Callable[..., None],
) -> None:
    """The next request is answered again."""
    with injected("env.chaos.revoke_credentials('minio', duration='1h').__enter__()") as other:
        with pytest.raises(S3Error, match="disabled"):
            put(env.minio.client())
        other.kill()
        eventually(lambda: _assert(env.chaos.status() == []))
    put(env.minio.client())


def test_a_restart_of_the_server_meanwhile_changes_nothing(env: Environment) -> None:
    """What the fault lives in is the data."""
    with env.chaos.revoke_credentials("minio", duration="10m") as fault:
        site = Ward(env.name).site("minio")
        site.hands.restart(site.container.id, 30)
        requests = site.service

        def refused() -> None:
            try:
                requests.ping(site.at, 5)
            except NotReady as reason:
                if "InvalidAccessKeyId" not in str(reason):
                    raise
                return
            raise AssertionError("app was let in")

        until(refused, PATIENCE, "the server answers again")
    assert fault.healed is not None
    assert fault.healed.stage == "healed"
    env.wait_recovered("minio")


def test_an_identity_that_the_test_removes_meanwhile_is_lost_with_the_reason(
    env: Environment, boss: MinioAdmin
) -> None:
    """Nothing is made in its place; `up` provisions it anew."""
    site = Ward(env.name).site("minio")
    try:
        with env.chaos.revoke_credentials("minio") as fault:
            boss.user_remove(access_key="app")
        assert fault.healed is not None
        assert fault.healed.stage == "lost"
        assert "user app is gone" in fault.healed.problem
    finally:
        site.service.provision(site.at, 60)  # type: ignore[attr-defined]
    env.wait_recovered("minio")


def test_a_second_one_on_the_same_identity_is_refused(env: Environment) -> None:
    """Two would restore one another's work."""
    with env.chaos.revoke_credentials("minio") as fault, pytest.raises(FaultConflict, match=fault.id):
        env.chaos.revoke_credentials("minio", mode="policy")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"mode": "disabled"}, ["--mode", "disable, policy, key", "'disabled'"]),
        ({"mode": "key", "privilege": "PutObject", "on": "app"}, ["--privilege: only with", "--on: only with"]),
        ({"privilege": "put object", "on": "app,,"}, ["--privilege: wanted", "--on: wanted"]),
    ],
)
def test_impossible_parameters_are_told_all_at_once(
    env: Environment, parameters: dict[str, str], words: list[str]
) -> None:
    """Nothing is changed: exit code 2."""
    with pytest.raises(ConfigurationError) as error:
        env.chaos.revoke_credentials("minio", **parameters)
    assert all(word in str(error.value) for word in words)
    assert error.value.exit_code == 2
    assert env.chaos.status() == []


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"user": "ap"}, "did you mean 'app'"),
        ({"user": "admin"}, "envctl's own"),
        ({"on": "aap"}, "did you mean 'app'"),
    ],
)
def test_what_is_not_there_is_told_with_the_nearest_name(
    env: Environment, boss: MinioAdmin, parameters: dict[str, str], words: str
) -> None:
    """Nothing is changed: exit code 2."""
    before = record(boss)
    with pytest.raises(FaultUnfit, match=words) as error:
        env.chaos.revoke_credentials("minio", **parameters)
    assert record(boss) == before
    assert error.value.exit_code == 2


def test_the_key_of_a_user_whose_key_nobody_knows_is_left_alone(env: Environment, reader: tuple[str, str]) -> None:
    """It could not be given back."""
    with pytest.raises(FaultUnfit, match="nobody knows its own"):
        env.chaos.revoke_credentials("minio", mode="key", user=reader[0])


def _assert(condition: bool) -> None:
    assert condition
