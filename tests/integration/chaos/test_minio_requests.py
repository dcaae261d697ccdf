"""Requests to MinIO that fail: what clients are told, which requests it hits, and that nothing of it is left."""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import os
import secrets
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import urllib3
from minio.error import ServerError

from envctl.chaos.ward import Ward
from envctl.services.minio.requests import Requests, signed
from tests.integration.chaos.s3_clients import PATIENCE, SIZE, network, once, read, refused, stored, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker
    import minio

    from envctl.environment import Environment
    from envctl.site import Site

SERVICES = ["minio"]
WORDS = ["slow-down", "internal-error", "cut-body", "forbidden", "missing-key", "stale-listing", "slow-body"]

PEER = """
import socket, sys
with socket.create_connection((sys.argv[1], 9000), 60) as one:
    one.sendall(b"GET /app/x HTTP/1.1\\r\\nHost: minio\\r\\nConnection: close\\r\\n\\r\\n")
    print(one.makefile().readline().split()[1])
"""
"""A client in another container, which has no credentials: 403 by the server itself."""


@pytest.fixture
def key(env: Environment) -> str:
    """An object of SIZE bytes, of this test alone."""
    return stored(env)


@pytest.fixture
def live(env: Environment, key: str) -> minio.Minio:
    """A client that tries once, on a connection that is there already."""
    one = once(env)
    assert read(one, key) == SIZE
    return one


def names(client: minio.Minio, prefix: str) -> list[str]:
    """What is listed."""
    return [str(one.object_name) for one in client.list_objects("app", prefix=prefix, recursive=True)]


def test_every_request_that_names_a_bucket_is_told_to_slow_down(env: Environment, key: str, live: minio.Minio) -> None:
    """Live clients and new ones, reads, writes, listings and multipart uploads; the rest of the server is as ever."""
    before = network(env)
    with env.chaos.fail_requests("minio") as fault:
        assert fault.evidence["connections cut"] >= 1
        for client in (live, once(env)):
            for act in (lambda c: read(c, key), lambda c: write(c, key), lambda c: names(c, "")):
                with refused("SlowDown"):
                    act(client)
            with refused("SlowDown"):
                client.put_object("app", key, io.BytesIO(b"z" * 11_000_000), -1, part_size=5_242_880)
        with pytest.raises(ServerError, match="503"):
            live.stat_object("app", key)  # no body, no words
        at = Ward(env.name).site("minio").at
        assert at.admin is not None
        assert Requests(at, PATIENCE, at.admin).send("GET", "/app").status == 200
        assert [bucket.name for bucket in live.list_buckets()]
        assert urllib3.request("GET", f"http://{at.address}/minio/health/cluster").status == 200
        assert urllib3.request("GET", f"http://{at.host}:{at.ports['console']}/").status == 200
        Ward(env.name).site("minio").ping(PATIENCE)
    assert fault.healed is not None
    assert (fault.healed.stage, fault.healed.evidence["gate"]) == ("healed", "gone")
    assert fault.healed.evidence["failed"] == fault.healed.evidence["fitting"] == 9
    assert read(live, key) == SIZE
    assert network(env) == before


def test_a_client_that_tries_again_never_sees_each_second_one_fail_and_hears_of_all(env: Environment, key: str) -> None:
    """minio-py's own attempts, six in all."""
    with env.chaos.fail_requests("minio", every=2, key=key) as fault:
        for _ in range(3):
            assert read(env.minio.client(), key) == SIZE
    assert fault.healed is not None
    counts = {name: fault.healed.evidence[name] for name in ("fitting", "failed")}
    assert counts == {"fitting": 5, "failed": 2}
    fault = env.chaos.fail_requests("minio", how="internal-error", key=key)
    with pytest.raises(urllib3.exceptions.MaxRetryError, match="too many 500"):
        read(env.minio.client(), key)
    fault.heal()
    assert fault.healed is not None
    assert fault.healed.evidence["failed"] == 6


def test_only_what_fits_fails_by_bucket_key_and_method(env: Environment, key: str, live: minio.Minio) -> None:
    """And of that each third, on whatever connection it comes."""
    bucket = f"b-{secrets.token_hex(4)}"
    live.make_bucket(bucket)
    try:
        with env.chaos.fail_requests("minio", how="forbidden", method="put,DELETE", bucket="ap*", key="*/no*"):
            write(live, key)
            names(live, "")
            live.put_object(bucket, "x/no", io.BytesIO(b"x"), 1)
            live.remove_object(bucket, "x/no")
            for act in (lambda: write(live, "x/no"), lambda: live.remove_object("app", "x/no")):
                with refused("AccessDenied"):
                    act()
        with env.chaos.fail_requests("minio", how="forbidden", method="read", every=3):
            for turn in range(1, 7):
                write(live, key)
                if turn % 3:
                    assert read(live if turn % 2 else once(env), key) == SIZE
                else:
                    with refused("AccessDenied"):
                        read(live, key)
    finally:
        live.remove_bucket(bucket)


def test_an_internal_error_comes_within_the_body_and_stores_nothing(
    env: Environment, key: str, live: minio.Minio
) -> None:
    """The part of an upload before it goes nowhere; its client hears of it and not of a connection that broke."""
    with env.chaos.fail_requests("minio", how="internal-error", after="10kB", delay="200ms"):
        start = time.monotonic()
        with refused("InternalError"):
            write(live, key + ".new", 20_000_000)
        assert time.monotonic() - start >= 0.2
    assert names(live, key) == [key]
    write(live, key + ".new")


def test_bodies_break_in_the_middle(env: Environment, key: str, live: minio.Minio) -> None:
    """Of an answer after so many bytes; of an upload, of which nothing is stored."""
    with env.chaos.fail_requests("minio", how="cut-body", after=1234, key=key + "*"):
        for client in (live, once(env), env.minio.client()):
            with pytest.raises(urllib3.exceptions.ProtocolError, match="1234 bytes read"):
                read(client, key)
        with pytest.raises(urllib3.exceptions.ProtocolError, match="Connection aborted"):
            write(live, key + ".new", 5_000_000)
        assert live.stat_object("app", key).size == SIZE
    assert names(live, key) == [key]
    assert read(live, key) == SIZE


def test_keys_that_are_there_are_missing_to_who_reads_them(env: Environment, key: str, live: minio.Minio) -> None:
    """They are listed, and can be written."""
    with env.chaos.fail_requests("minio", how="missing-key"):
        for act in (lambda: read(live, key), lambda: live.stat_object("app", key)):
            with refused("NoSuchKey"):
                act()
        assert names(live, key) == [key]
        write(live, key)
    assert read(live, key) == SIZE


def test_listings_lack_what_was_stored_since(env: Environment, key: str, live: minio.Minio) -> None:
    """It can be read; only keys that fit are missing; afterwards all is listed."""
    with env.chaos.fail_requests("minio", how="stale-listing", key="*.part"):
        for name in (f"{key}.part", f"{key}.whole"):
            write(live, name)
            assert read(live, name) == SIZE
        for listed in (names(live, key), names(once(env), key)):
            assert listed == [key, f"{key}.whole"]
        old = [str(one.object_name) for one in live.list_objects("app", prefix=key, use_api_v1=True, recursive=True)]
        assert old == [key, f"{key}.whole"]
    assert names(live, key) == [key, f"{key}.part", f"{key}.whole"]


def test_a_slow_body_comes_at_its_rate_and_other_requests_do_not_wait(
    env: Environment, key: str, live: minio.Minio
) -> None:
    """In both directions, and never faster."""
    write(live, "quick")
    with env.chaos.fail_requests("minio", how="slow-body", rate="40kB", key=key + "*") as fault:
        assert fault.evidence["slow-body"].startswith("200, 10000 of 10000 bytes")
        for act in (lambda: read(live, key), lambda: write(live, key + ".new")):
            start = time.monotonic()
            thread = threading.Thread(target=act, daemon=True)
            thread.start()
            assert read(once(env), "quick") == SIZE
            assert thread.is_alive()
            thread.join(PATIENCE)
            assert not thread.is_alive()
            assert time.monotonic() - start >= 2.49


def test_chunked_signatures_and_large_parts_pass_untouched(env: Environment, live: minio.Minio) -> None:
    """The server itself looks at each signature, and tells the digest of what it has stored."""
    site = Ward(env.name).site("minio")
    app, data, parts = site.at.app, os.urandom(70_000), os.urandom(12_000_000)
    assert app is not None
    more = {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(len(data))}
    with env.chaos.fail_requests("minio", how="forbidden", key="never"):
        path, digest = "/app/signed-in-chunks", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
        head = signed(site.at, app, ("PUT", path, ""), digest, {**more, "x-amz-trailer": "x-amz-checksum-sha256"})
        checksum = base64.b64encode(hashlib.sha256(data).digest())
        body = f"{len(data):x}\r\n".encode() + data + b"\r\n0\r\nx-amz-checksum-sha256:" + checksum + b"\r\n\r\n"
        answer = urllib3.request("PUT", f"http://{site.at.address}{path}", headers=head, body=body)
        assert answer.status == 200, answer.data
        etag = live.stat_object("app", "signed-in-chunks").etag
        assert etag == hashlib.md5(data, usedforsecurity=False).hexdigest()
        live.put_object("app", "parts", io.BytesIO(parts), -1, part_size=5_242_880)
        with live.get_object("app", "parts") as whole:
            assert hashlib.sha256(whole.read()).digest() == hashlib.sha256(parts).digest()


def test_one_connection_is_used_on_after_a_refusal(env: Environment, key: str) -> None:
    """By a client that knows nothing but HTTP."""
    url = urlsplit(env.minio.client().presigned_get_object("app", key))
    with env.chaos.fail_requests("minio", every=2):
        raw = http.client.HTTPConnection(url.netloc, timeout=PATIENCE)
        told, used = [], set()
        for _ in range(4):
            raw.request("GET", f"{url.path}?{url.query}")
            answer = raw.getresponse()
            told.append((answer.status, len(answer.read()) == SIZE))
            used.add(raw.sock.getsockname())
        raw.close()
    assert told == [(200, True), (503, False), (200, True), (503, False)]
    assert len(used) == 1


def test_other_containers_meet_the_same_gate_by_both_kinds_of_address(
    env: Environment, engine: docker.DockerClient
) -> None:
    """And the container itself does not."""
    site = Ward(env.name).site("minio")
    [name] = site.hands.inspect(site.container.id)["NetworkSettings"]["Networks"]
    image = site.hands.inspect(site.hands.surgeon(env.name))["Config"]["Image"]

    def told(network: str, host: str) -> int:
        command = ["python3", "-c", PEER, host]
        return int(engine.containers.run(image, command, network=network, remove=True))

    def told_itself() -> str:
        curl = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:9000/app/x"]
        return site.hands.execute(site.container.id, curl).output

    with _six(engine, site) as (network_of_six, address):
        assert (told(name, "minio"), told(network_of_six, address), told_itself()) == (403, 403, "403")
        with env.chaos.fail_requests("minio"):
            assert (told(name, "minio"), told(network_of_six, address), told_itself()) == (503, 503, "403")
        assert (told(name, "minio"), told(network_of_six, address)) == (403, 403)


@contextmanager
def _six(engine: docker.DockerClient, site: Site) -> Iterator[tuple[str, str]]:
    """A second network of the container, with IPv6: its name, and the container's address there."""
    import docker.types

    name, subnet = f"envctl-test-{secrets.token_hex(4)}", f"fd00:{secrets.token_hex(2)}:{secrets.token_hex(2)}::/64"
    pool = docker.types.IPAMPool(subnet=subnet)
    made = engine.networks.create(name, enable_ipv6=True, ipam=docker.types.IPAMConfig(pool_configs=[pool]))
    try:
        made.connect(site.container.id)
        try:
            inspected = site.hands.inspect(site.container.id)["NetworkSettings"]["Networks"][name]
            yield name, inspected["GlobalIPv6Address"]
        finally:
            made.disconnect(site.container.id, force=True)
    finally:
        made.remove()


@pytest.mark.parametrize("how", WORDS)
def test_each_way_says_what_it_measured(env: Environment, key: str, how: str) -> None:
    """And heals."""
    with env.chaos.fail_requests("minio", how=how, key=key) as fault:
        assert how in fault.evidence
    assert fault.healed is not None
    assert fault.healed.stage == "healed"
