"""The labels by which a service in the user's compose file says what it is and when it is ready."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

from envctl.errors import Problem
from envctl.model import CONFIG_LABEL, ENVIRONMENT_LABEL, MODEL_LABEL, OWNER_LABEL, RELAYED_LABEL, ROLE_LABEL
from envctl.services.labelled.rules import Exec, Http, Log, Rule, Tcp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

PREFIX = "envctl."
HTTP_LABEL = "envctl.ready.http"
TCP_LABEL = "envctl.ready.tcp"
LOG_LABEL = "envctl.ready.log"
EXEC_LABEL = "envctl.ready.exec"
ONESHOT_LABEL = "envctl.oneshot"
IGNORE_LABEL = "envctl.ignore"
PROFILE_LABEL = "envctl.profile"

_SWITCHES = (ONESHOT_LABEL, IGNORE_LABEL)
_ON, _OFF = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})
_OWN = (ENVIRONMENT_LABEL, OWNER_LABEL, CONFIG_LABEL, MODEL_LABEL, RELAYED_LABEL, ROLE_LABEL)
_PROFILE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")  # compose's own rule for the name of a profile


def is_on(value: str | None) -> bool:
    """Whether a label such as `envctl.oneshot` is set to a yes."""
    return (value or "").strip().lower() in _ON


def published(model: Mapping[str, Any]) -> dict[int, int]:
    """Container port to host port of a rendered compose service, in its order; 0 where compose may choose.

    Of a range of host ports it is the first.
    """
    ports = (port for port in model.get("ports") or () if port.get("protocol", "tcp") == "tcp")
    return {int(port["target"]): int(str(port.get("published") or 0).split("-")[0]) for port in ports}


def parse_rules(labels: Mapping[str, str], targets: Mapping[int, int]) -> tuple[list[Rule], dict[str, str]]:
    """The rules of the `envctl.ready.…` labels, all of which must hold; and what is wrong, by label."""
    rules: list[Rule] = []
    wrong: dict[str, str] = {}
    for label, parse in _PARSERS.items():
        if label in labels:
            try:
                rules.append(parse(labels[label].strip(), targets))
            except ValueError as error:
                wrong[label] = str(error)
    return rules, wrong


def label_problems(
    name: str, labels: Mapping[str, str], model: Mapping[str, Any], file: Path | None = None
) -> list[Problem]:
    """Everything wrong with the `envctl.…` labels that a compose file gives to one service.

    `model` is the service as `docker compose config` renders it.
    """
    wrong = parse_rules(labels, published(model))[1]
    for label in (label for label in labels if label.startswith(PREFIX)):
        if label not in (*KNOWN, *_OWN):
            near = difflib.get_close_matches(label, KNOWN, n=1, cutoff=0.75)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(KNOWN))}"
            wrong[label] = f"no such label; {hint}"
    for label in _SWITCHES:
        if label in labels and labels[label].strip().lower() not in _ON | _OFF:
            wrong[label] = f"wants true or false, not {labels[label]!r}"
    for profile in labels.get(PROFILE_LABEL, "").split(","):
        if profile.strip() and not _PROFILE.fullmatch(profile.strip()):
            wrong[PROFILE_LABEL] = f"{profile.strip()!r} cannot be the name of a profile"
    return [Problem(message, f"services.{name}.labels.{label}", file) for label, message in wrong.items()]


def _http(value: str, targets: Mapping[int, int]) -> Rule:
    match = re.fullmatch(r":?(\d+)(/\S*)?", value)
    if not match:
        raise ValueError(f"wants a port of the container and a path such as ':8080/health', not {value!r}")
    return Http(_target(match[1], targets), match[2] or "/")


def _tcp(value: str, targets: Mapping[int, int]) -> Rule:
    match = re.fullmatch(r":?(\d+)", value)
    if not match:
        raise ValueError(f"wants a port of the container such as ':9000', not {value!r}")
    return Tcp(_target(match[1], targets))


def _log(value: str, _: Mapping[int, int]) -> Rule:
    if not value:
        raise ValueError("wants a regular expression that a line of the log matches")
    try:
        return Log(re.compile(value))
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error


def _exec(value: str, _: Mapping[int, int]) -> Rule:
    if not value:
        raise ValueError("wants a command that ends with 0 when the service is ready")
    return Exec(value)


def _target(text: str, targets: Mapping[int, int]) -> int:
    target = int(text)
    if target in targets:
        return target
    if inside := [inner for inner, outer in targets.items() if outer == target]:
        raise ValueError(f"port {target} is the host's; wants the container's, {inside[0]}")
    listed = ", ".join(map(str, targets)) or "none"
    raise ValueError(f"port {target} of the container is not published under `ports:` (published: {listed})")


_PARSERS: Mapping[str, Callable[[str, Mapping[int, int]], Rule]] = {
    HTTP_LABEL: _http,
    TCP_LABEL: _tcp,
    LOG_LABEL: _log,
    EXEC_LABEL: _exec,
}
KNOWN = (*_PARSERS, *_SWITCHES, PROFILE_LABEL)
