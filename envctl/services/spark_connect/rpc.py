"""Two calls of Spark Connect, their messages by hand: importing pyspark takes a second, and this is asked often.

Field numbers: spark/connect/base.proto of Spark 3.4 to 4.1.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from envctl.protocols import NotReady
from envctl.services.wire import Wire

if TYPE_CHECKING:
    import grpc

    from envctl.model import Endpoint, Identity

_CLIENT = "envctl"
# HTTP/2: what a client opens with, and then an empty SETTINGS frame; a server opens with SETTINGS (type 4).
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_FRAME_HEADER, _TYPE, _SETTINGS = 9, 3, 4


def ask_version(at: Endpoint, identity: Identity, timeout: float) -> None:
    """Have Spark say its version in a session of its own, and release that session.

    Raises:
        NotReady: with gRPC's reason; a wrong token is named as such.

    """
    deadline = time.monotonic() + timeout
    _greet(at, timeout)
    # grpc costs 60 ms to import and starts threads: only from here on is there something to talk to.
    import grpc

    # Without its own pool a channel shares the back-off (up to minutes) of those that failed before it.
    own_pool = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    with grpc.insecure_channel(at.address, options=own_pool) as channel:
        try:
            _analyze(channel, identity, max(deadline - time.monotonic(), 0.001))
        except grpc.RpcError as error:
            raise NotReady(reason(error)) from error


def _greet(at: Endpoint, timeout: float) -> None:
    """See that an HTTP/2 server answers; costs no import and no thread while Spark boots."""
    with Wire(at.host, at.port, timeout) as wire:
        wire.send(_PREFACE)
        if wire.exactly(_FRAME_HEADER)[_TYPE] != _SETTINGS:
            raise NotReady("the answer is not HTTP/2")


def _analyze(channel: grpc.Channel, identity: Identity, timeout: float) -> None:
    session = field(1, str(uuid.uuid4()).encode())
    user = field(2, field(1, identity.username.encode()))
    request = session + user + field(3, _CLIENT.encode())
    token = (("authorization", f"Bearer {identity.password}"),)

    def call(method: str, message: bytes, seconds: float) -> bytes:
        rpc = channel.unary_unary(f"/spark.connect.SparkConnectService/{method}")
        answer: bytes = rpc(message, timeout=seconds, metadata=token)
        return answer

    try:
        answer = call("AnalyzePlan", request + field(10, b""), timeout * 3 / 4)
    finally:
        # Also after a failure: an answer that came too late left a session behind.
        call("ReleaseSession", request, timeout / 4)
    if not answer:
        raise NotReady("Spark gave no version")


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field; both the number and the length are below 128 here."""
    return bytes([number << 3 | 2, len(content)]) + content


def reason(error: grpc.RpcError) -> str:
    """What gRPC said, status and words; a refused token is named as such."""
    import grpc

    code, details = error.code(), (error.details() or "").partition("\n")[0][:200]
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return f"authentication refused: {details}"
    return f"{code.name}: {details}"
