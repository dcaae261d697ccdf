"""Requests to MinIO that fail, by a gate before it that speaks S3."""

from __future__ import annotations

import re
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.protocols import NotReady
from envctl.services import gated
from envctl.services.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.capabilities import JSON, Way
    from envctl.site import Site

_GATE = "s3_faults"
_MARK = "x-envctl-gate"
_METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD")
_GROUPS = ("read", "write", "list", "multipart")
_RATE = 65536
_TRY, _NEARLY = 10.0, 0.8
_BREAKING, _SLOW, _STALE, _MISSING = {"internal-error", "cut-body"}, "slow-body", "stale-listing", "missing-key"
_ABLE: Mapping[str, set[str]] = MappingProxyType(
    {
        _MISSING: {"GET", "HEAD", "read"},
        _STALE: {"GET", "list"},
        "cut-body": {*_METHODS, *_GROUPS} - {"HEAD"},
        _SLOW: {*_METHODS, *_GROUPS} - {"HEAD"},
    }
)
"""What the words need that do not go with everything."""
_STATUS = MappingProxyType({"slow-down": 503, "internal-error": 500, "forbidden": 403, _MISSING: 404})
_KEPT = "requests"


class MinioRequests:
    """`fail-requests`. envctl's own identity, the health checks, and what names no bucket pass."""

    words: Mapping[str, Mapping[str, str]] = MappingProxyType(
        {
            "how": MappingProxyType(
                {
                    "slow-down": "503 SlowDown, with Retry-After",
                    "internal-error": "500 InternalError: an upload's in the middle of its body",
                    "cut-body": "the connection breaks in the middle of the body",
                    "forbidden": "403 AccessDenied",
                    "missing-key": "404 NoSuchKey, for reads of keys that are there",
                    "stale-listing": "listings lack what was stored since",
                    "slow-body": "the body comes at --rate",
                }
            )
        }
    )

    def problems(self, wanted: Mapping[str, Any]) -> Iterable[str]:
        """Methods that are none or do not go with the word, and what the word has no use for."""
        how = self._how(wanted)
        if wanted["every"] < 1:
            yield f"--every: wanted 1 or more, found {wanted['every']}"
        able = _ABLE.get(how, {*_METHODS, *_GROUPS})
        for word in wanted["method"].split(",") if wanted["method"] else ():
            if _method(word) not in able:
                known = ", ".join(one for one in (*_METHODS, *_GROUPS) if one in able)
                yield f"--method: wanted some of {known} with {how}, found {word.strip()!r}"
        if wanted["bucket"] and not re.fullmatch(r"[a-z0-9.\-*?\[\]!]+", wanted["bucket"]):
            yield f"--bucket: wanted a bucket or a glob such as test-*, found {wanted['bucket']!r}"
        if wanted["after"] != "" and how not in _BREAKING:
            yield f"--after: wanted with {' or '.join(sorted(_BREAKING))} alone, found it with {how}"
        if wanted["rate"] != "" and how != _SLOW:
            yield f"--rate: wanted with {_SLOW} alone, found it with {how}"
        if wanted["rate"] == 0:
            yield f"--rate: wanted 1 or more bytes in a second, found {wanted['rate']}"

    def claims(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """The one place before the server; who waits for transactions looks at the packets that it takes away."""
        del wanted
        return ("requests", "transactions")

    def look(self, site: Site, wanted: Mapping[str, Any]) -> JSON:
        """Which run of the server it is, and how it can be called."""
        del wanted
        variables = dict(one.partition("=")[::2] for one in site.hands.inspect(site.container.id)["Config"]["Env"])
        domains = [one.strip() for one in variables.get("MINIO_DOMAIN", "").split(",") if one.strip()]
        return {**gated.planned(site), "domains": domains}

    def hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Put the gate up, and cut the connections that were there before it."""
        import json

        aim = {name: wanted[name] for name in ("every", "bucket", "key")}
        aim["rate"], aim["delay"] = wanted["rate"] or _RATE, wanted["delay"] or 0.0
        aim["how"], aim["after"] = self._how(wanted), None if wanted["after"] == "" else wanted["after"]
        aim["method"] = [_method(word) for word in wanted["method"].split(",")] if wanted["method"] else []
        aim["domains"], aim["exempt"] = seen["domains"], [site.at.admin.username] if site.at.admin else []
        site.kept["cut"] = gated.ask(site, seen, _GATE, "begin", json.dumps(aim))["cut"]

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """What an uncounted request is told, by the gate; and one that passes, by the server."""
        how = self._how(wanted)
        evidence = {"gate": seen["gate"], "connections cut": site.kept.get("cut"), "passes": _alive(site)}
        start = time.monotonic()
        head, body = _ask(site, "/envctl/probe", seen["gate"], _TRY + (wanted["delay"] or 0))
        took, status = time.monotonic() - start, int(head.split()[1])
        size = int(next(line for line in head.lower().splitlines() if line.startswith("content-length")).split()[1])
        told = f"{status}, {len(body)} of {size} bytes in {took:.3f} s"
        bitten = {
            "cut-body": len(body) < size,
            _SLOW: took >= _NEARLY * size / (wanted["rate"] or _RATE),
            _STALE: b"<KeyCount>0<" in body,
        }.get(how, status == _STATUS.get(how))
        if not bitten:
            raise NotReady(f"a request that should fail was told {told}")
        return {**evidence, how: told}

    def mend(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Take the gate down; nothing is asked of the server."""
        del wanted
        site.kept.setdefault(_KEPT, gated.end(site, seen))

    def check_mended(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """Nothing of the gate is left, and the server itself answers."""
        del wanted
        gated.require_gone(site, seen)
        before = site.kept.get(_KEPT, {})
        counts = {name: before[name] for name in ("seen", "fitting", "failed") if name in before}
        site.ping()
        return {"gate": "gone" if before.get("stood") else "had ended by itself: requests passed", **counts}

    def _how(self, wanted: Mapping[str, Any]) -> str:
        return str(wanted["how"] or next(iter(self.words["how"])))


def _method(word: str) -> str:
    """As the gate knows it: methods in capitals, kinds of operation not."""
    word = word.strip()
    return word.upper() if word.upper() in _METHODS else word.lower()


def _ask(site: Site, path: str, mark: str, timeout: float) -> tuple[str, bytes]:
    """The head and the body of an answer; it ends with its connection."""
    request = f"GET {path} HTTP/1.1\r\nHost: {site.at.address}\r\n{_MARK}: {mark}\r\nConnection: close\r\n\r\n"
    with Wire(site.at.host, site.at.port, timeout) as wire:
        wire.send(request.encode())
        head, _, body = wire.rest().partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 "):
        raise NotReady(f"an answer that is none: {head[:80]!r}")
    return head.decode("latin-1"), body


def _alive(site: Site) -> str:
    request = f"GET /minio/health/live HTTP/1.1\r\nHost: {site.at.address}\r\nConnection: close\r\n\r\n"
    with Wire(site.at.host, site.at.port, _TRY) as wire:
        wire.send(request.encode())
        said = wire.rest().partition(b"\r\n")[0].decode(errors="replace")
    if said != "HTTP/1.1 200 OK":
        raise NotReady(f"a request that should pass was told {said!r}")
    return said


if TYPE_CHECKING:
    _way: Way = MinioRequests()
