"""A session that is there before a fault, and after it is the very same one: a server started anew has none."""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

from envctl.protocols import NotReady
from envctl.services.spark_connect.rpc import field, reason

if TYPE_CHECKING:
    from typing import Self

    from envctl.model import Endpoint, Identity

_TIMEOUT = 10.0
"""Seconds for one call."""

# AnalyzePlanResponse.server_side_session_id, and the length of an id.
_NUMBER, _LENGTH = 15, 36
_SERVER_SIDE = bytes([_NUMBER << 3 | 2, _LENGTH])

# ReleaseSessionRequest.allow_reconnect (4): a number, 1.
_AGAIN = bytes([4 << 3, 1])


class Witness:
    """One connection, which stays open, and one session on it. It has the id `session`, or a new one.

    Raises (all methods): NotReady with gRPC's reason; a refused token is named as such.
    """

    def __init__(self, at: Endpoint, identity: Identity, session: str = "") -> None:
        import grpc

        own_pool = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        self._channel = grpc.insecure_channel(at.address, options=own_pool)
        self._token = (("authorization", f"Bearer {identity.password}"),)
        self.session = session or str(uuid.uuid4())
        user = field(2, field(1, identity.username.encode()))
        self._who = field(1, self.session.encode()) + user
        self._request = self._who + field(3, b"envctl")

    def __enter__(self) -> Self:
        """As it is."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the session, as one that may be opened again, and the connection; as far as they are there."""
        with suppress(NotReady):
            self._call("ReleaseSession", self._request + _AGAIN)
        self.close()

    def ask(self) -> str:
        """The server's own id of the session, which it makes where there is none."""
        answer = self._call("AnalyzePlan", self._request + field(10, b""))
        _, found, rest = answer.partition(_SERVER_SIDE)
        if not found:
            raise NotReady("Spark does not say which session this is")
        return rest[:_LENGTH].decode(errors="replace")

    def run(self, query: str, timeout: float = _TIMEOUT) -> None:
        """Have Spark execute a query of at most 100 characters; what it answers is not kept."""
        import grpc

        # ExecutePlanRequest.plan (3), Plan.root (1), Relation.sql (10), SQL.query (1); client_type (4).
        plan = field(3, field(1, field(10, field(1, query.encode()))))
        rpc = self._channel.unary_stream("/spark.connect.SparkConnectService/ExecutePlan")
        try:
            for _ in rpc(self._who + plan + field(4, b"envctl"), timeout=timeout, metadata=self._token):
                pass
        except grpc.RpcError as error:
            raise NotReady(reason(error)) from error

    def release(self) -> None:
        """End the session, and the connection."""
        self._call("ReleaseSession", self._request)
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._channel.close()

    def _call(self, method: str, message: bytes) -> bytes:
        import grpc

        try:
            rpc = self._channel.unary_unary(f"/spark.connect.SparkConnectService/{method}")
            answer: bytes = rpc(message, timeout=_TIMEOUT, metadata=self._token)
        except grpc.RpcError as error:
            raise NotReady(reason(error)) from error
        return answer
