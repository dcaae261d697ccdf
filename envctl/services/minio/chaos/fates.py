"""What became of multipart uploads: what was open at the kill, and what is there after recovery."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from envctl.reports import Fate, Transaction, Verdict
from envctl.services.minio.chaos.uploads import READ_UP_TO, Object, Store, Upload

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Scene:
    """The moment before the kill: every upload that was open, and what stood under its key.

    `held` is what the gate says of the victim; `durable` is the object that the victim's Complete had made, where it
    had. `answered` are the ids of uploads whose Complete was answered with success afterwards, by a graceful end.
    """

    held: Mapping[str, Any]
    uploads: tuple[Upload, ...]
    before: Mapping[str, Object | None]
    durable: Object | None = None
    answered: set[str] = field(default_factory=set)


def look(store: Store, held: Mapping[str, Any]) -> Scene:
    """The moment, while the victim is held."""
    uploads = {one.id: one for one in store.open_uploads()}
    victim = store.upload(held["bucket"], held["key"], held["upload"])
    uploads |= {victim.id: victim} if victim else {}
    before = {one.id: store.object(one.bucket, one.key) for one in uploads.values()}
    return Scene(held, tuple(uploads.values()), before)


def verdict(store: Store, scene: Scene, means: str, recovery_ms: int, killed_at: str) -> Verdict:
    """Every upload's fate; `killed_at` as the server writes times: what came into being later is another's."""
    transactions, problems = [], []
    left = {one.id: store.upload(one.bucket, one.key, one.id) for one in scene.uploads}
    for upload in scene.uploads:
        now = store.object(upload.bucket, upload.key)
        there = now if now and now != scene.before[upload.id] and now.modified <= killed_at else None
        fate, problem = _fate(store, scene, upload, there, still=left[upload.id] is not None)
        problems += [problem] if problem else []
        problems += _missing_parts(upload, left[upload.id])
        facts = {"bucket": upload.bucket, "key": upload.key, "parts": len(upload.etags), "bytes": upload.size}
        facts["upload"] = "open" if left[upload.id] else "gone"
        if now and now != scene.before[upload.id] and not there:
            facts["later"] = "its key was written again after the kill"
        transactions.append(_transaction(scene, upload, fate, facts))
    open_now = [one for one in left.values() if one]
    leftover = {"leftover uploads": len(open_now), "leftover parts": sum(len(one.etags) for one in open_now)}
    leftover["leftover bytes"] = sum(one.size for one in open_now)
    return Verdict("minio", means, tuple(transactions), recovery_ms, tuple(problems), leftover)


def _fate(store: Store, scene: Scene, upload: Upload, there: Object | None, *, still: bool) -> tuple[Fate, str]:
    """The fate, and what recovery should have left right."""
    name = f"{upload.bucket}/{upload.key}"
    victim = upload.id == scene.held["upload"]
    if there is None:
        lost = scene.durable if victim else None
        return Fate.ROLLED_BACK, f"{name} was complete before the kill and is gone" if lost else ""
    fate = Fate.COMMITTED if upload.id in scene.answered else Fate.IN_DOUBT
    if there.etag != upload.etag or there.size != upload.size:
        if not victim and not still:
            return Fate.ROLLED_BACK, ""  # aborted, and its key written by something else
        return fate, f"{name} is neither what was before nor the {len(upload.etags)} parts of its upload"
    return fate, store.damage(upload) if upload.size <= READ_UP_TO else ""


def _missing_parts(upload: Upload, now: Upload | None) -> list[str]:
    missing = [etag for etag in upload.etags if etag not in now.etags] if now else []
    name = f"{upload.bucket}/{upload.key}"
    return [f"{len(missing)} parts of {name} were stored before the kill and are gone"] if missing else []


def _transaction(scene: Scene, upload: Upload, fate: Fate, facts: dict[str, Any]) -> Transaction:
    held = scene.held
    name, parts = f"{upload.bucket}/{upload.key}", f"{len(upload.etags)} parts stored"
    if upload.id != held["upload"]:
        who = held["clients"].get(upload.id, "not seen")
        return Transaction(who, upload.id, f"upload of {name}, {parts}", fate, facts=facts)
    sent = {"complete": "Complete", "part": f"part {held['number']}"}[held["kind"]]
    what = f"{sent} {'sent' if held['what'] == 'request' else 'done and not answered'}"
    who = held["clients"][upload.id]
    return Transaction(who, upload.id, f"upload of {name}, {parts}, {what}", fate, victim=True, facts=facts)
