"""Clients of Redis whose transactions are hit: a victim, and a bank; and what they and the server tell afterwards."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import redis

from envctl.chaos.ward import Ward
from envctl.waiting import pause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from envctl.chaos.injection import Injection
    from envctl.environment import Environment
    from envctl.reports import Verdict

PATIENCE = 120.0
COMMANDS = 30


class Victim(threading.Thread):
    """An ordinary client with one transaction: all of it in one packet, one command at a time, or each of these after
    a pause (`slowly`). Keeps its answer.
    """

    def __init__(self, env: Environment, style: str, name: str = "payments") -> None:
        super().__init__(daemon=True)
        self.client = env.redis.client(
            client_name=name, retry=None, single_connection_client=True, socket_timeout=PATIENCE
        )
        self.style = style
        self.answer: list[Any] | None = None
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        """Send it."""
        try:
            self.answer = self._in_one_packet() if self.style == "packet" else self._one_by_one()
        except redis.RedisError as error:
            self.error = error
        finally:
            self.client.close()

    def _in_one_packet(self) -> list[Any]:
        with self.client.pipeline(transaction=True) as pipeline:
            for number in range(COMMANDS):
                pipeline.set(_key(number), number)
            return list(pipeline.execute())

    def _one_by_one(self) -> list[Any]:
        send: Callable[..., Any] = self.client.execute_command
        send("MULTI")
        for number in range(COMMANDS):
            if self.style == "slowly":
                pause(0.05)
            send("SET", _key(number), number)
        return list(send("EXEC"))


def _key(number: int) -> str:
    """The keys of the transaction; one is hard to read."""
    return f"tx:{number}" if number else 'tx:"é\\\n\x00\\"'


def struck(env: Environment, style: str, **aim: str | int) -> tuple[Verdict, Victim]:
    """The verdict, and the client as the kill left it."""
    with env.chaos.kill_mid_transaction("redis", application="payments", duration="90s", **aim) as kill:
        victim = Victim(env, style)
        verdict = kill.verdict
        victim.join(PATIENCE)
    return verdict, victim


def caught(env: Environment, kill: Injection) -> tuple[Verdict, list[Victim]]:
    """The verdict, and victims that come until one is caught: who comes while the gate is open for somebody else, on a
    busy machine for many milliseconds, passes too.
    """
    victims: list[Victim] = []
    with ThreadPoolExecutor(1) as pool:
        verdict = pool.submit(lambda: kill.verdict)
        while not verdict.done():
            victims.append(Victim(env, "packet"))
            victims[-1].join(PATIENCE)
        return verdict.result(), victims


def there(env: Environment) -> int:
    """How many of the transaction's keys are there; the key from before always is."""
    with env.redis.client() as client:
        assert client.get("before") == b"1"
        return sum(1 for _ in client.scan_iter("tx:*"))


class Bank:
    """Clients that move money between shared accounts, each in transactions of one packet, until the block ends."""

    CLIENTS = 3

    def __init__(self, env: Environment) -> None:
        self.env, self.acknowledged, self.stop = env, set[str](), threading.Event()
        with env.redis.client() as client:
            client.mset({f"account:{number}": 100 for number in range(self.CLIENTS)})
        self.threads = [
            threading.Thread(target=self.work, args=(number,), daemon=True) for number in range(self.CLIENTS)
        ]

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(PATIENCE)

    def work(self, number: int) -> None:
        """Transfer, and connect again after each failure."""
        for count in itertools.count():
            if self.stop.is_set():
                return
            try:
                # Its own time limit would be a failure of which no verdict knows.
                with self.env.redis.client(client_name=f"bank-{number}", retry=None, socket_timeout=PATIENCE) as client:
                    self.transfer(client, number, f"{number}:{count}")
            except redis.RedisError:
                continue

    def transfer(self, client: redis.Redis, number: int, connection: str) -> None:
        """One transfer after the other; each leaves its name."""
        for count in itertools.count():
            if self.stop.is_set():
                return
            with client.pipeline(transaction=True) as pipeline:
                pipeline.decr(f"account:{number}")
                pipeline.incr(f"account:{(number + 1) % self.CLIENTS}")
                pipeline.set(f"transfer:{connection}:{count}", "1")
                pipeline.execute()
            self.acknowledged.add(f"{connection}:{count}")

    def transfers(self) -> set[str]:
        """Those that left their name."""
        with self.env.redis.client(decode_responses=True) as client:
            return {str(key).removeprefix("transfer:") for key in client.scan_iter("transfer:*", count=5000)}

    def total(self) -> int:
        """All money."""
        with self.env.redis.client() as client:
            return sum(int(client.get(f"account:{number}") or 0) for number in range(self.CLIENTS))


def keepers(env: Environment) -> list[str]:
    """Connections of a gate."""
    with boss(env) as client:
        return [one["name"] for one in client.client_list() if one["name"].startswith("envctl-")]


def boss(env: Environment) -> redis.Redis:
    """Envctl's own identity, by redis-py."""
    at = Ward(env.name).site("redis").at
    assert at.admin is not None
    return redis.Redis(
        host=at.host, port=at.port, username=at.admin.username, password=at.admin.password, decode_responses=True
    )


def configure(env: Environment, name: str, value: str) -> str:
    """Set one of the server's settings; what it was."""
    with boss(env) as client:
        before = client.config_get(name)[name]
        client.config_set(name, value)
    return str(before)


@contextmanager
def configured(env: Environment, name: str, value: str) -> Iterator[None]:
    """A setting of the server, for a while."""
    before = configure(env, name, value)
    try:
        yield
    finally:
        configure(env, name, before)
