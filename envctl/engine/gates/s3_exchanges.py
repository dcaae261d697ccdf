"""What becomes of one request and its answer in a gate before S3: passed as they are, or failed in one of the ways.

None knows of sockets: each moves bytes between the `Streams` of a connection, as many as there are.
"""

from __future__ import annotations

import time
import zlib
from typing import TYPE_CHECKING, Any

from envctl.engine.gates import http_messages as http
from envctl.engine.gates import s3_requests as s3

if TYPE_CHECKING:
    from envctl.engine.gates.http_messages import Body, Head
    from envctl.engine.gates.s3_requests import Request

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_TICK = 0.02
_UNKNOWN = 1 << 17
"""The length that is halved where nobody says how long a body is."""
_LARGEST_LISTING = 1 << 24
_GZIP = 31


class Streams:
    """The bytes of one connection: from each side, not looked at yet, and to each side, not sent yet."""

    def __init__(self) -> None:
        self.from_client, self.to_server = bytearray(), bytearray()
        self.from_server, self.to_client = bytearray(), bytearray()


class Exchange:
    """A request and its answer, which pass. `breaks`: the connection ends as soon as what is to be sent was sent."""

    asks = True
    """Whether the server gets the request."""

    def __init__(self, request: Request, aim: dict[str, Any], identity: str) -> None:
        self.request, self.identity = request, identity
        self.body = request.head.body()
        self.answer: Body | None = None
        closes = "close" in request.head.fields.get("connection", "").lower()
        self.last = closes or request.head.words[2] == "HTTP/1.0"
        """Whether its client expects the connection to end with the answer."""
        self.breaks = self.resets = self.tunnels = False
        self.wake = 0.0
        """When there is more to do, whatever comes; 0 for never."""
        self._delay, self._due = float(aim["delay"]), 0.0
        self._after, self._rate = aim["after"], int(aim["rate"])
        self._key, self._since = aim["key"], aim["since"]
        self._moved, self._begun = 0, 0.0

    @property
    def over(self) -> bool:
        """Whether both are through."""
        return self.body.over and self._has_come()

    def advance(self, streams: Streams) -> None:
        """Move what there is."""
        self._upload(streams)
        self._download(streams)

    def hurry(self) -> None:
        """Hold nothing back any more: the gate goes."""
        self._delay, self._due, self._rate = 0.0, 0.0, 1 << 40

    def cease(self, streams: Streams) -> None:
        """The server has ended the connection."""
        del streams
        self.breaks = True

    def _upload(self, streams: Streams) -> None:
        _move(self.body, streams.from_client, streams.to_server)

    def _download(self, streams: Streams) -> None:
        if self.answer is None and (head := self._head(streams)):
            streams.to_client += head.raw
        if self.answer:
            _move(self.answer, streams.from_server, streams.to_client)

    def _head(self, streams: Streams) -> Head | None:
        """The answer's, when it is there; what the server says before it passes."""
        while head := http.head(streams.from_server):
            status = head.words[1]
            if status.startswith("1") and status != "101":
                streams.to_client += head.raw
                continue
            self.tunnels = status == "101"
            self.answer = head.answer_body(self.request.method)
            return head
        return None

    def _has_come(self) -> bool:
        return self.answer is not None and self.answer.over

    def _held(self) -> bool:
        """Whether it is not time yet to let it go on."""
        now = time.monotonic()
        self._due = self._due or now + self._delay
        self.wake = self._due if now < self._due else 0.0
        return now < self._due


class Refused(Exchange):
    """The gate answers by itself: when the request is there, or, by an internal error, in the middle of its body."""

    asks = False

    def __init__(self, how: str, *arguments: Any) -> None:  # noqa: ANN401 - the same as above
        super().__init__(*arguments)
        self._how, self._answered = how, False
        fields = self.request.head.fields
        early = how == "internal-error"
        self._threshold = _middle(self.body, self._after) if early else 1 << 62
        expects = "expect" in fields and not self.body.over
        self._invites, self._at_once = early and expects, expects and not early
        self._last = self.last or self._at_once

    @property
    def over(self) -> bool:
        """Also the rest of the request is taken, so that its client comes to read the answer."""
        return self._answered and self.body.over

    def advance(self, streams: Streams) -> None:
        """Take the body, and answer when it is time."""
        if self._invites:
            streams.to_client += _CONTINUE
            self._invites = False
        taken = self.body.take(streams.from_client)
        del streams.from_client[:taken]
        self._moved += taken
        ready = self.body.over or self._at_once or self._moved >= self._threshold
        if ready and not self._answered and not self._held():
            streams.to_client += s3.refusal(self._how, self.request, self.identity)
            self._answered = True
        self.breaks = self._answered and self._last and (self.body.over or self._at_once)


class Cut(Exchange):
    """The connection breaks in the middle of the body: of the request's, where it has one, else of the answer's."""

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - as above
        super().__init__(*arguments)
        self._between = bytearray()

    def _upload(self, streams: Streams) -> None:
        if not self.body.over:
            self._cut(self.body, streams.from_client, streams.to_server)
            self.resets = self.breaks

    def _download(self, streams: Streams) -> None:
        if self.answer is None and (head := self._head(streams)):
            self.breaks = not self.body.over or self._has_come()
            if self.breaks:
                return  # an answer without a body, or one that did not wait for the request's
            streams.to_client += head.raw
        if self.answer and not self.breaks:
            self._cut(self.answer, streams.from_server, streams.to_client)

    def _cut(self, body: Body, data: bytearray, out: bytearray) -> None:
        if self._held():
            return
        last = _middle(body, self._after)
        taken = body.take(data[: max(0, last - self._moved)])
        # What is between two chunks waits for the next: behind the last one it is the body's end.
        self._between += data[:taken]
        comes = len(self._between) - body.outside
        out += self._between[:comes]
        del data[:taken], self._between[:comes]
        self._moved += taken
        self.breaks = body.over or self._moved >= last


class Slow(Exchange):
    """The body comes at a rate: the request's, where it has one, else the answer's."""

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - as above
        super().__init__(*arguments)
        self._uploads = not self.body.over

    def _upload(self, streams: Streams) -> None:
        if self._uploads and not self.body.over:
            self._pace(self.body, streams.from_client, streams.to_server)

    def _download(self, streams: Streams) -> None:
        if self._uploads:
            super()._download(streams)
            return
        if self.answer is None and (head := self._head(streams)):
            streams.to_client += head.raw
        if self.answer:
            self._pace(self.answer, streams.from_server, streams.to_client)

    def _pace(self, body: Body, data: bytearray, out: bytearray) -> None:
        if not data or self._held():
            return
        now = time.monotonic()
        self._begun = self._begun or now
        taken = body.take(data[: int((now - self._begun) * self._rate) - self._moved])
        out += data[:taken]
        del data[:taken]
        self._moved += taken
        self.wake = 0.0 if body.over or not data else now + max(_TICK, 1 / self._rate)


class Stale(Exchange):
    """A listing without what is new; what is no listing, or one that is too long to be kept, passes."""

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - as above
        super().__init__(*arguments)
        self._first: Head | None = None
        self._kept = bytearray()

    @property
    def over(self) -> bool:
        """Also what was kept is on its way."""
        return super().over and self._first is None

    def cease(self, streams: Streams) -> None:
        """What came of it passes; a body may end in this way."""
        if self._first and not self.over:
            streams.to_client += self._first.raw + self._kept
        self.breaks = True

    def _download(self, streams: Streams) -> None:
        if self.answer is None:
            self._first = self._head(streams)
        if self.answer is None or self._held():
            return
        _move(self.answer, streams.from_server, self._kept if self._first else streams.to_client)
        if self._first and self.answer.over:
            streams.to_client += self._without_newest(self._first, bytes(self._kept))
            self._first = None
        elif self._first and len(self._kept) > _LARGEST_LISTING:
            streams.to_client += self._first.raw + self._kept
            self._first = None

    def _without_newest(self, head: Head, content: bytes) -> bytes:
        if head.words[1] != "200":
            return head.raw + content
        plain = http.unchunked(content) if isinstance(self.answer, http.Chunks) else content
        if head.fields.get("content-encoding", "") == "gzip":
            plain = zlib.decompress(plain, _GZIP)
        listing = s3.without_newest(plain.decode(), self._since, self._key).encode()
        dropped = {"content-length", "transfer-encoding", "content-encoding", "x-amz-request-id"}
        fields = [f"{name}: {value}" for name, value in head.fields.items() if name not in dropped]
        fields += [f"x-amz-request-id: {self.identity}", f"content-length: {len(listing)}"]
        return "\r\n".join([" ".join(head.words), *fields, "", ""]).encode("latin-1") + listing


_WAYS = {"cut-body": Cut, "slow-body": Slow, "stale-listing": Stale}


def failing(request: Request, aim: dict[str, Any], identity: str) -> Exchange:
    """One that fails as the aim says."""
    how = str(aim["how"])
    return _WAYS[how](request, aim, identity) if how in _WAYS else Refused(how, request, aim, identity)


def sample(aim: dict[str, Any]) -> bytes:
    """An answer that can be failed in the server's place: a listing of one new key, as long as is needed to see it."""
    key = (str(aim["key"]) or "*").replace("*", "new")
    entry = f"<Contents><Key>{key}</Key><LastModified>9999-12-31T23:59:59.999Z</LastModified></Contents>"
    length = min(max(int(aim["rate"]) // 4, 1), 1 << 22) if aim["how"] == "slow-body" else 2000
    body = f"<ListBucketResult><KeyCount>1</KeyCount>{entry}</ListBucketResult>".ljust(length).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _move(body: Body, data: bytearray, out: bytearray) -> None:
    taken = body.take(data)
    if taken == len(data):
        out += data
        data.clear()
    elif taken:
        out += data[:taken]
        del data[:taken]


def _middle(body: Body, after: int | None) -> int:
    """So many bytes of it, but never the last; half of it without a number."""
    size = body.size
    if size is None:
        return _UNKNOWN // 2 if after is None else after
    return min(size // 2 if after is None else after, max(size - 1, 0))
