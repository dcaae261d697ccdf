"""HTTP/1.1 as a gate needs it that passes messages on: where each begins and ends (RFC 9112), whatever is in them."""

from __future__ import annotations

import re

LONGEST_HEAD = 1 << 16
_END = b"\r\n\r\n"
_METHOD = re.compile(rb"[A-Z]{1,20} ")
_WITHOUT_BODY = {"204", "304"}


class Length:
    """A body of so many bytes."""

    outside = 0

    def __init__(self, size: int) -> None:
        self.size: int | None = size
        self._left = size

    @property
    def over(self) -> bool:
        """Whether all of it came."""
        return not self._left

    def take(self, data: bytes | bytearray) -> int:
        """How many of the next bytes belong to it."""
        taken = min(self._left, len(data))
        self._left -= taken
        return taken


class Chunks:
    """A body in chunks: each with its size in a line before it, and lines after the last, which has no size."""

    size: int | None = None
    outside = 0
    """Bytes that were taken since the last of a chunk's own."""
    _SIZE, _DATA, _TRAILER = range(3)

    def __init__(self) -> None:
        self.over = False
        self._at, self._line, self._left = self._SIZE, b"", 0

    def take(self, data: bytes | bytearray) -> int:
        """How many of the next bytes belong to it."""
        place = 0
        while place < len(data) and not self.over:
            if self._at == self._DATA:
                taken = min(self._left, len(data) - place)
                self._left, place, self.outside = self._left - taken, place + taken, 0
                if not self._left:
                    self._at = self._SIZE
                continue
            found = data.find(b"\n", place)
            end = len(data) if found < 0 else found + 1
            self.outside += end - place
            self._line, place = (self._line + data[place:end])[-LONGEST_HEAD:], end
            if found >= 0:
                self._end_of_line()
        return place

    def _end_of_line(self) -> None:
        line, self._line = self._line.strip(), b""
        if self._at == self._TRAILER:
            self.over = not line
            return
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError:
            size = 0  # not HTTP; whoever gets it says so
        # What follows the data is a line end, which counts to it.
        self._at, self._left = (self._DATA, size + 2) if size else (self._TRAILER, 0)


class Endless:
    """A body that ends with its connection."""

    size: int | None = None
    over = False
    outside = 0

    def take(self, data: bytes | bytearray) -> int:
        """How many of the next bytes belong to it: all."""
        return len(data)


Body = Length | Chunks | Endless


class Head:
    """The first line of a message, in its three words, and its fields by their names in lower case."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.text = raw.decode("latin-1")
        first, *lines = self.text.split("\r\n")
        self.words = [*first.split(" ", 2), "", "", ""][:3]
        pairs = (line.partition(":") for line in lines if line)
        self.fields = {name.strip().lower(): value.strip() for name, _, value in pairs}

    def body(self) -> Body:
        """What follows a request's."""
        return self._declared() or Length(0)

    def answer_body(self, method: str) -> Body:
        """What follows an answer's, to a request with that method."""
        if method == "HEAD" or self.words[1] in _WITHOUT_BODY:
            return Length(0)
        return self._declared() or Endless()

    def _declared(self) -> Body | None:
        if "chunked" in self.fields.get("transfer-encoding", "").lower():
            return Chunks()
        size = self.fields.get("content-length", "")
        return Length(int(size)) if size.isdigit() else None


def head(data: bytearray) -> Head | None:
    """The head that the data begins with, taken out of it; none where it is not whole yet."""
    size = data.find(_END) + len(_END)
    if size < len(_END):
        return None
    found = Head(bytes(data[:size]))
    del data[:size]
    return found


def foreign(data: bytearray) -> bool:
    """Whether this cannot become a request's head: then its server alone knows what it is."""
    start = bytes(data[:21])
    could = _METHOD.match(start) or (len(start) <= 20 and re.fullmatch(rb"[A-Z]*", start))  # noqa: PLR2004 - as above
    whole = data.find(_END, 0, LONGEST_HEAD) >= 0
    return not could or (not whole and (len(data) > LONGEST_HEAD or b"\n\n" in data))


def unchunked(data: bytes) -> bytes:
    """What was in the chunks."""
    found, place = b"", 0
    while place < len(data):
        end = data.index(b"\r\n", place)
        size = int(data[place:end].partition(b";")[0], 16)
        if not size:
            break
        found += data[end + 2 : end + 2 + size]
        place = end + 4 + size
    return found
