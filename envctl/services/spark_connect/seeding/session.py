"""A Spark Connect session that runs SQL commands: a few messages by hand, as importing pyspark takes a second.

Field numbers: spark/connect/base.proto, commands.proto and relations.proto of Spark 3.4 to 4.1.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Self

from envctl.errors import SeedFailed
from envctl.services.wire import app_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import grpc

    from envctl.model import Endpoint

SECONDS = 120.0
"""How long one statement may take: the first ones of a cold server take seconds where the machine is busy."""

_CLIENT = b"envctl"
_SERVICE = "/spark.connect.SparkConnectService/"
_FIRST_WORDS = 60
_ABSENT = ("[TABLE_OR_VIEW_NOT_FOUND]", "[SCHEMA_NOT_FOUND]", "[VIEW_NOT_FOUND]")
_STORAGE = ("SdkClientException", "NoSuchBucket", "UnknownHostException", "ConnectException", "[PATH_NOT_FOUND]")
_LENGTH_DELIMITED, _VARINT = 2, 0
_FIXED = {1: 8, 5: 4}


class Refused(SeedFailed):
    """Spark ran a statement and it failed. `waits` where it may go well a little later: storage is not there yet."""

    @property
    def waits(self) -> bool:
        """Whether the reason is that MinIO, or what is to be in it, is not there."""
        return any(word in self.found for word in _STORAGE)

    @property
    def absent(self) -> bool:
        """Whether the reason is that a table, view or database is not there."""
        return self.found.startswith(_ABSENT)


class Session:
    """A session of its own, released at the end. Use it as a context manager.

    The catalog is the server's and not the session's: other sessions see the tables and views that are made here.
    """

    def __init__(self, at: Endpoint) -> None:
        import grpc

        app = app_of(at)
        # Without its own pool a channel shares the back-off of those that failed before it.
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        self._channel: grpc.Channel = grpc.insecure_channel(at.address, options=options)
        self._token = (("authorization", f"Bearer {app.password}"),)
        self._id = field(1, str(uuid.uuid4()).encode())
        self._user = field(2, field(1, app.username.encode()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        import grpc

        release = self._channel.unary_unary(f"{_SERVICE}ReleaseSession")
        try:
            release(self._id + self._user + field(3, _CLIENT), timeout=5, metadata=self._token)
        except grpc.RpcError:
            pass  # a server that is gone has no session to release; what failed before is the message
        finally:
            self._channel.close()

    def run(self, statement: str) -> list[dict[str, object]]:
        """Run one command; the rows that it gives (none for a query, which is only checked).

        Raises:
            Refused: Spark says no; SeedFailed: there is no server, or no answer within `SECONDS`.

        """
        import grpc

        plan = field(3, field(2, field(5, field(1, statement.encode()))))
        call = self._channel.unary_stream(f"{_SERVICE}ExecutePlan")
        request = self._id + self._user + plan + field(4, _CLIENT)
        rows: list[dict[str, object]] = []
        try:
            for response in call(request, timeout=SECONDS, metadata=self._token):
                for data in within(response, 5, 1, 11, 1):
                    rows += _arrow_rows(data)
        except grpc.RpcError as error:
            raise _failure(statement, error) from error
        return rows

    def knows(self, name: str) -> bool:
        """Whether a table or view is in the catalog. A tenth of what the first SHOW TABLES of a server takes.

        Raises:
            SeedFailed: there is no server, or no answer within `SECONDS`.

        """
        import grpc

        query = f"SELECT * FROM {name}"  # noqa: S608 - only looked at, and the name is quoted
        plan = field(1, field(10, field(1, query.encode())))
        request = self._id + self._user + field(3, _CLIENT) + field(4, field(1, plan))
        analyze = self._channel.unary_unary(f"{_SERVICE}AnalyzePlan")
        try:
            analyze(request, timeout=SECONDS, metadata=self._token)
        except grpc.RpcError as error:
            if (error.details() or "").startswith(_ABSENT):
                return False
            failure = _failure(query, error)
            # It is there, and what it stands for is not: its files, or the table of a view.
            if isinstance(failure, Refused):
                return True
            raise failure from error
        return True


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content


def within(message: bytes, *path: int) -> Iterator[bytes]:
    """The content of every field at the end of this path of field numbers."""
    if not path:
        yield message
        return
    for number, content in _fields(message):
        if number == path[0]:
            yield from within(content, *path[1:])


def first_words(statement: str) -> str:
    """As much of a statement as names it in a message."""
    code = " ".join(line for line in statement.split("\n") if not line.lstrip().startswith("--"))
    line = " ".join(code.split())
    return line if len(line) <= _FIRST_WORDS else line[:_FIRST_WORDS] + "…"


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The length-delimited fields of a message; numbers are passed over."""
    at = 0
    while at < len(message):
        key, at = _number(message, at)
        kind = key & 7
        if kind == _LENGTH_DELIMITED:
            size, at = _number(message, at)
            yield key >> 3, message[at : at + size]
            at += size
        elif kind == _VARINT:
            _, at = _number(message, at)
        else:
            at += _FIXED[kind]


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _number(message: bytes, at: int) -> tuple[int, int]:
    """The number at this place, and the place after it."""
    value, shift = 0, 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004 - the last byte of a number
            return value, at


def _arrow_rows(data: bytes) -> list[dict[str, object]]:
    import pyarrow as pa

    with pa.ipc.open_stream(data) as stream:
        rows: list[dict[str, object]] = stream.read_all().to_pylist()
    return rows


def _failure(statement: str, error: grpc.RpcError) -> SeedFailed:
    """What went wrong, in Spark's first line."""
    import grpc

    wanted, code = f"statement {first_words(statement)!r} run by spark-connect", error.code()
    reason = (error.details() or "").strip().partition("\n")[0][:400]
    if code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAUTHENTICATED}:
        advice = "look into `envctl logs spark-connect`, bring it up with `envctl up`, then run `envctl seed` again"
        return SeedFailed(wanted, f"{code.name.lower().replace('_', ' ')}: {reason}", advice)
    return Refused(wanted, reason, "mend the statement; run `envctl seed` again")
