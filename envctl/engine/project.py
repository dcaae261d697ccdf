"""The compose model of one environment: labels that make everything findable, and what changed since last time."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from envctl.model import CONFIG_LABEL, ENVIRONMENT_LABEL, MODEL_LABEL, OWNER_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Model = dict[str, Any]

_ABSENT = object()
_CONFIDENTIAL = re.compile(r"password|passwd|secret|token|credential|api_?key|private", re.IGNORECASE)


def name_of(environment: str) -> str:
    """The compose project of an environment."""
    return f"envctl-{environment}"


def label(model: Model, environment: str, owner: str) -> None:
    """Put envctl's labels on every service, network and volume of the model, in place.

    The hash and the whole description of each service go onto its container, so that any process can later tell
    what changed, with no file that could be stale. They hold no secret: compose passes those by reference.
    """
    base = {ENVIRONMENT_LABEL: environment, OWNER_LABEL: owner}
    for service in model["services"].values():
        text = _canonical(_plain(service))
        # Compose interpolates the model once more when it brings it up: a label's `$` must be escaped again.
        own = {CONFIG_LABEL: hashlib.sha256(text.encode()).hexdigest()[:16], MODEL_LABEL: text.replace("$", "$$")}
        service["labels"] = {**(service.get("labels") or {}), **base, **own}
    for kind in ("networks", "volumes"):
        for name, resource in (model.get(kind) or {}).items():
            if resource is None or not resource.get("external"):
                model[kind][name] = {**(resource or {}), "labels": {**((resource or {}).get("labels") or {}), **base}}


def _plain(service: Model) -> Model:
    """The service without labels of ours: they are there when a model is labelled again, for other ports."""
    ours = {ENVIRONMENT_LABEL, OWNER_LABEL, CONFIG_LABEL, MODEL_LABEL}
    labels = {name: value for name, value in (service.get("labels") or {}).items() if name not in ours}
    return {
        **{key: value for key, value in service.items() if key != "labels"},
        **({"labels": labels} if labels else {}),
    }


def differences(labels: Mapping[str, str], service: Model) -> list[str]:
    """What differs between a container (its labels) and the service as it is wanted now (its labelled model).

    One line a difference, `key: old → new`; empty when nothing does.
    """
    wanted = service["labels"]
    if labels.get(CONFIG_LABEL) == wanted[CONFIG_LABEL]:
        return []
    try:
        old: Model = json.loads(labels[MODEL_LABEL])
    except (KeyError, ValueError):
        return ["made by another version of envctl"]
    before = dict(_flat(old))
    after = dict(_flat(json.loads(wanted[MODEL_LABEL].replace("$$", "$"))))
    changed = sorted(key for key in before.keys() | after.keys() if before.get(key, _ABSENT) != after.get(key, _ABSENT))
    return [f"{key}: {_shown(before, key)} → {_shown(after, key)}" for key in changed]


def published(service: Model) -> list[Model]:
    """The service's published TCP ports as compose writes them (`target`, `published`, `host_ip`).

    UDP ports stay as the user's file has them: nobody asks them whether they are ready.
    """
    return [entry for entry in service.get("ports") or [] if entry.get("protocol", "tcp") == "tcp"]


def _canonical(value: Model) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _flat(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Leaves by dotted path: `environment.PGDATA`, `ports.0.published`; an empty list or mapping is one too."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _flat(item, f"{path}.{index}")
    else:
        yield path, value


def _shown(leaves: Mapping[str, object], key: str) -> str:
    """A leaf for people: what a user's file calls a password is none of a log's business."""
    if key not in leaves:
        return "(none)"
    return "***" if _CONFIDENTIAL.search(key) else str(leaves[key])
