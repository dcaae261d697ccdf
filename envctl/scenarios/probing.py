"""Asking: one function for each kind of probe, and the time that an answer may take."""

from __future__ import annotations

import contextvars
import hashlib
import re
import threading
from typing import TYPE_CHECKING, Any

from envctl.errors import EnvctlError, redact
from envctl.scenarios.answers import Answer, Reply, problem, shown, text
from envctl.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from envctl.scenarios.functions import Functions
    from envctl.scenarios.host import Host
    from envctl.scenarios.model import Question
    from envctl.scenarios.programs import Programs

_PLACEHOLDER = re.compile(r"\{([a-z0-9_-]+)(?::([a-z0-9_-]+))?\}")
_SHORTEST = 0.1
_BODY = 65536
"""Bytes of a body that are looked at."""


def placeholders(question: Question) -> list[tuple[str, str]]:
    """The services, and their ports, that an address names as `{service}` or `{service:port}`."""
    return _PLACEHOLDER.findall(question.what) if question.kind == "http" and isinstance(question.what, str) else []


class Probing:
    """Asks the services of one environment. Each question is asked in a thread of its own: one that hangs is left."""

    def __init__(self, env: Host, functions: Functions, address: Callable[[str, str], str], programs: Programs) -> None:
        self._env, self._functions, self._address, self._programs = env, functions, address, programs
        self._kinds: Mapping[str, Callable[[Question], Reply]] = {
            "sql": self._sql,
            "redis": self._redis,
            "http": self._http,
            "topic-lag": self._topic_lag,
            "object": self._object,
            "command": self._command,
            "python": self._python,
        }

    def ask(self, question: Question) -> Answer:
        """Ask once. Never raises: what goes wrong is the answer's `problem`."""
        clock, replies, errors = Deadline(question.timeout), list[Reply](), list[BaseException]()

        def look() -> None:
            try:
                replies.append(self._kinds[question.kind](question))
            except BaseException as error:  # noqa: BLE001 - whatever a client raises is an answer
                errors.append(error)

        run = contextvars.copy_context().run
        thread = threading.Thread(target=run, args=(look,), name=f"probe-{question.kind}", daemon=True)
        thread.start()
        thread.join(question.timeout)
        taken = clock.elapsed
        if errors:
            return Answer(taken, problem=self._clean(_told(errors[0])))
        if not replies:
            return Answer(taken, problem=f"no answer within {question.timeout:g} s")
        value = self._clean(shown(replies[0].value)) if replies[0].value is not None else None
        wrong = self._clean(problem(question.kind, replies[0], question.expect))
        if not wrong and question.max_seconds is not None and taken > question.max_seconds:
            wrong = f"right, but only after {taken:.2f} s; {question.max_seconds:g} s were allowed"
        return Answer(taken, value, wrong)

    def _clean(self, words: str) -> str:
        return redact(words, self._programs.secrets)

    def _sql(self, question: Question) -> Reply:
        with self._env.postgres.connect(autocommit=True, connect_timeout=_whole(question.timeout)) as connection:
            cursor = connection.execute(question.what)
            row = cursor.fetchone() if cursor.description else None
        return Reply(row[0] if row else None)

    def _redis(self, question: Question) -> Reply:
        options = {"socket_timeout": question.timeout, "socket_connect_timeout": question.timeout}
        with self._env.redis.client(decode_responses=True, retry=None, **options) as client:
            answer = client.execute_command(*question.what)
        return Reply("PONG" if question.what[0].upper() == "PING" and answer is True else answer)

    def _http(self, question: Question) -> Reply:
        import requests

        address = _PLACEHOLDER.sub(lambda found: self._address(found[1], found[2] or ""), question.what)
        with requests.get(address, timeout=question.timeout, stream=True) as answer:
            body = answer.raw.read(_BODY, decode_content=True)
        return Reply(text(body), {"status": answer.status_code})

    def _topic_lag(self, question: Question) -> Reply:
        topic, group = question.what["topic"], question.what["group"]
        ms = round(question.timeout * 1000)
        consumer = self._env.kafka.consumer(group_id=group, enable_auto_commit=False)
        try:
            from kafka import TopicPartition

            parts = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
            if not parts:
                raise LookupError(f"there is no topic {topic!r}")
            ends, begins = consumer.end_offsets(parts, timeout_ms=ms), consumer.beginning_offsets(parts, timeout_ms=ms)
            read = {part: consumer.committed(part, timeout_ms=ms) for part in parts}
        finally:
            consumer.close(autocommit=False)
        return Reply(sum(ends[part] - (begins[part] if read[part] is None else read[part]) for part in parts))

    def _object(self, question: Question) -> Reply:
        import urllib3
        from minio.error import S3Error

        handle = self._env.minio
        bucket, key = question.what.get("bucket") or handle.bucket, question.what["key"]
        # Its own pool tries five times, and waits five minutes for each.
        pool = urllib3.PoolManager(timeout=max(_SHORTEST, question.timeout), retries=False)
        client = handle.client(http_client=pool)
        try:
            found = client.stat_object(bucket, key)
            if "sha256" not in question.expect:
                return Reply(found.size, {"exists": True})
            with client.get_object(bucket, key) as answer:
                return Reply(found.size, {"exists": True, "sha256": _sha256(answer)})
        except S3Error as error:
            if error.code not in {"NoSuchKey", "NoSuchBucket"}:
                raise
            return Reply(None, {"exists": False})
        finally:
            pool.clear()

    def _command(self, question: Question) -> Reply:
        code, output = self._programs.run(question.what, question.timeout)
        return Reply(output, {"exit_code": code})

    def _python(self, question: Question) -> Reply:
        return Reply(self._functions.get(question.what)(self._env, **question.given))


def _told(error: BaseException) -> str:
    """An error in one line; of envctl's own the first says enough."""
    words = f"{error.wanted}: {error.found}" if isinstance(error, EnvctlError) else str(error)
    return shown(f"{type(error).__name__}: {words}".rstrip(": "))


def _whole(seconds: float) -> int:
    """Seconds as libpq takes them."""
    return max(1, round(seconds))


def _sha256(stream: Any) -> str:  # noqa: ANN401 - urllib3's response
    digest = hashlib.sha256()
    for chunk in stream.stream(1 << 16):
        digest.update(chunk)
    return digest.hexdigest()
