"""Reports in MinIO, alone or as the receipts of orders."""

from __future__ import annotations

import hashlib
import io
import secrets
from typing import TYPE_CHECKING

from envctl.scenarios.workloads.orders import Orders
from envctl.scenarios.workloads.trying import Retries, require

if TYPE_CHECKING:
    from envctl.scenarios.host import Host

FOLDER = "envctl-scenario"
KEY = "envctl_scenario:placed"


class Store:
    """The application's bucket, by a client that does not try again by itself: the work does, and counts."""

    def __init__(self, env: Host) -> None:
        import urllib3
        from minio.error import MinioException

        self._client = env.minio.client(http_client=urllib3.PoolManager(timeout=5, retries=False))
        self._bucket = env.minio.bucket
        self.retries = Retries((MinioException, urllib3.exceptions.HTTPError, OSError, ValueError))

    def put(self, name: str, body: bytes) -> None:
        """Store one, as often as it takes."""

        def once() -> None:
            self._client.put_object(self._bucket, f"{FOLDER}/{name}", io.BytesIO(body), len(body))

        self.retries.of(once, f"{name} stored")

    def get(self, name: str, size: int) -> bytes:
        """Read one, as often as it takes until all of it has come."""

        def once() -> bytes:
            with self._client.get_object(self._bucket, f"{FOLDER}/{name}") as answer:
                body = bytes(answer.read())
            if len(body) != size:
                raise ValueError(f"{len(body)} of {size} bytes came")
            return body

        return self.retries.of(once, f"{name} read")

    def clear(self) -> None:
        """Remove all of them."""
        for found in list(self._client.list_objects(self._bucket, f"{FOLDER}/", recursive=True)):
            self._client.remove_object(self._bucket, str(found.object_name))


def store(env: Host, reports: int = 24, size: int = 40_000) -> str:
    """Store reports and read each back, through refusals and broken answers; no byte may differ."""
    shelf = Store(env)
    for number in range(reports):
        body, name = secrets.token_bytes(size), f"report-{number}"
        shelf.put(name, body)
        require(shelf.get(name, size) == body, f"{name} came back as another")
    shelf.retries.require_some()
    return f"{reports} reports stored and read back, no byte differs; {shelf.retries}"


def check_out(env: Host, orders: int = 10, size: int = 20_000) -> str:
    """Place orders one by one: a receipt in MinIO, a row in PostgreSQL, a member in Redis; then read all of it back."""
    table, shelf, cache = Orders(env), Store(env), env.redis.client(decode_responses=True)
    receipts = {secrets.token_hex(8): secrets.token_bytes(size) for _ in range(orders)}
    for token, receipt in receipts.items():
        shelf.put(token, receipt)
        table.place(token, 1, hashlib.sha256(receipt).hexdigest())
        cache.sadd(KEY, token)
    read = {token: hashlib.sha256(shelf.get(token, size)).hexdigest() for token in receipts}
    require(table.all() == read, "the rows do not fit the receipts")
    require(cache.scard(KEY) == orders, f"Redis counted {cache.scard(KEY)} of {orders}")
    table.close()
    return f"{orders} orders placed and read back"


def clear(env: Host, *, cache: bool = False) -> None:
    """Remove the reports, and the orders' members in Redis."""
    Store(env).clear()
    if cache:
        env.redis.client().delete(KEY)
