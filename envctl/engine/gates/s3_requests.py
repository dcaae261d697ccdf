"""Requests of S3: what each wants of which bucket and key, which of them fail, and what they are answered then."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

if TYPE_CHECKING:
    from envctl.engine.gates.http_messages import Head

MARK = "x-envctl-gate"
"""The header by which envctl asks a gate for a failure that is not counted."""

_LISTING = {"list-type", "prefix", "delimiter", "marker", "max-keys", "encoding-type", "continuation-token"}
_LISTING |= {"start-after", "fetch-owner", "metadata", "versions", "key-marker", "version-id-marker"}
_SIGNED = re.compile(r"Credential=([^/%,\s]+)(?:/|%2[Ff])")

_REFUSALS = {
    "slow-down": ("503 Service Unavailable", "SlowDown", "Please reduce your request rate."),
    "internal-error": (
        "500 Internal Server Error",
        "InternalError",
        "We encountered an internal error, please try again.",
    ),
    "forbidden": ("403 Forbidden", "AccessDenied", "Access Denied."),
    "missing-key": ("404 Not Found", "NoSuchKey", "The specified key does not exist."),
}
_RETRY_AFTER = 1


class Request:
    """One, by its head. `words` are its method and the kinds of operation that it is; `ours` that it is no client's."""

    def __init__(self, head: Head, domains: list[str]) -> None:
        self.head = head
        self.method, target, _ = head.words
        path, _, query = target.partition("?")
        host = head.fields.get("host", "").rpartition(":")[0] or head.fields.get("host", "")
        virtual = next((host[: -len(domain) - 1] for domain in domains if host.endswith("." + domain)), "")
        self.path = unquote(path)
        self.bucket, _, self.key = (virtual + self.path if virtual else self.path.lstrip("/")).partition("/")
        fields = set(parse_qs(query, keep_blank_values=True))
        self.words = {self.method}
        if (
            self.method == "GET"
            and not self.key
            and not {f for f in fields if not f.lower().startswith("x-")} - _LISTING
        ):
            self.words.add("list")
        if self.method in {"GET", "HEAD"} and self.key:
            self.words.add("read")
        if self.method in {"PUT", "POST", "DELETE"}:
            self.words.add("write")
        if fields & {"uploads", "uploadId"}:
            self.words.add("multipart")

    @property
    def user(self) -> str:
        """The access key that it is signed with."""
        found = _SIGNED.search(self.head.text)
        return found[1] if found else ""

    @property
    def carries(self) -> bool:
        """Whether it brings a body, or asks for one."""
        return self.method == "GET" or not self.head.body().over


class Choice:
    """Which requests fail: every n-th among those that fit. The server's own paths and the admin's requests do not."""

    def __init__(self, aim: dict[str, Any]) -> None:
        self.aim = aim
        self.seen = self.fitting = self.failed = 0

    def fails(self, request: Request) -> bool:
        """Whether this one does; it is counted."""
        self.seen += 1
        if not self._fits(request):
            return False
        self.fitting += 1
        chosen = self.fitting % int(self.aim["every"]) == 0
        self.failed += chosen
        return chosen

    def counts(self) -> dict[str, int]:
        """Requests that came, that fitted, and that failed."""
        return {"seen": self.seen, "fitting": self.fitting, "failed": self.failed}

    def _fits(self, request: Request) -> bool:
        aim, how = self.aim, self.aim["how"]
        able = {
            "missing-key": "read" in request.words,
            "stale-listing": "list" in request.words,
            "cut-body": request.carries,
            "slow-body": request.carries,
        }
        by_key = bool(aim["key"]) and how != "stale-listing"
        return (
            bool(request.bucket)
            and request.bucket != "minio"
            and request.user not in aim["exempt"]
            and able.get(how, True)
            and (not aim["method"] or bool(request.words & set(aim["method"])))
            and fnmatch.fnmatchcase(request.bucket, aim["bucket"] or "*")
            and (not by_key or (bool(request.key) and fnmatch.fnmatchcase(request.key, aim["key"])))
        )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def refusal(how: str, request: Request, identity: str) -> bytes:
    """A whole answer, in S3's words; an answer to HEAD has the words in its fields."""
    status, code, message = _REFUSALS[how]
    names = {"Key": request.key, "BucketName": request.bucket, "Resource": request.path, "RequestId": identity}
    told = "".join(f"<{name}>{_escaped(text)}</{name}>" for name, text in names.items() if text)
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message>{told}</Error>'
    )
    content = b"" if request.method == "HEAD" else body.encode()
    fields = [f"HTTP/1.1 {status}", "Content-Type: application/xml", f"Content-Length: {len(content)}", "Server: MinIO"]
    fields += [f"x-amz-request-id: {identity}", f"x-minio-error-code: {code}", f'x-minio-error-desc: "{message}"']
    if how == "slow-down":
        fields.append(f"Retry-After: {_RETRY_AFTER}")
    return "\r\n".join([*fields, "", ""]).encode() + content


def without_newest(listing: str, since: str, key: str) -> str:
    """A listing without the keys (those that fit the glob) that were stored since then: ISO-8601, UTC, to the ms."""

    def old(entry: re.Match[str]) -> str:
        stored = re.search(r"<LastModified>([^<]*)</LastModified>", entry[0])
        named = re.search(r"<Key>([^<]*)</Key>", entry[0])
        fits = named and fnmatch.fnmatchcase(_name(named[1], encoded="<EncodingType>url<" in listing), key or "*")
        return "" if fits and stored and stored[1] >= since else entry[0]

    entries = r"<(Contents|Version|DeleteMarker)>.*?</\1>"
    kept = re.sub(entries, old, listing, flags=re.DOTALL)
    gone = len(re.findall(entries, listing, re.DOTALL)) - len(re.findall(entries, kept, re.DOTALL))
    return re.sub(r"<KeyCount>(\d+)</KeyCount>", lambda n: f"<KeyCount>{int(n[1]) - gone}</KeyCount>", kept)


def _name(written: str, *, encoded: bool) -> str:
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&#34;", '"'), ("&#39;", "'"), ("&amp;", "&")):
        written = written.replace(entity, character)
    return unquote(written.replace("+", " ")) if encoded else written
