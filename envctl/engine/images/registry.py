"""Asking the engine to ask a registry: it is the one that pulls, through its own proxies, mirrors and certificates."""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from envctl.engine import connect
from envctl.engine.images import refusal
from envctl.errors import ImageError, RateLimited, RegistryUnreachable
from envctl.waiting import in_parallel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import requests

    from envctl.engine.images.crew import Stop
    from envctl.engine.images.reference import Reference
    from envctl.engine.images.workshop import Workshop


class Silence(Exception):
    """The registry behind the engine said nothing for too long, or the engine broke off."""


def probe_all(shop: Workshop, references: Iterable[Reference]) -> dict[str, ImageError]:
    """The registries, by host, that are not to be asked for images now, and why. One probe each, all at once.

    A registry that does not answer so costs `shop.patience` seconds at most, and not one time-out an image.
    """
    first: dict[str, Reference] = {}
    for reference in references:
        first.setdefault(reference.host, reference)
    calls = {host: partial(_probe, shop, reference) for host, reference in first.items()}
    verdicts: dict[str, ImageError] = {}
    for host, verdict in in_parallel(calls).items():
        if isinstance(verdict, ImageError):
            verdicts[host] = verdict
        elif isinstance(verdict, Exception):
            raise verdict
    return verdicts


def _probe(shop: Workshop, reference: Reference) -> None:
    """Return when the registry of `reference` answers, whatever it says of that image.

    Raises:
        RegistryUnreachable: nobody answers within `shop.patience` seconds.
        RateLimited: it answers that it will not.

    """
    name = str(reference)
    try:
        with _request(shop, "GET", f"/distribution/{name}/json", shop.patience, reference) as answer:
            if answer.ok:
                return
            error = refusal.refusal(name, _message(answer))
    except Silence as silence:
        raise refusal.nobody(
            f"pull {name}", f"{reference.host} does not answer within {shop.patience:g} s"
        ) from silence
    answered = isinstance(error, refusal.NotInRegistry) or refusal.SERVER_ERROR.search(error.found)
    if isinstance(error, RegistryUnreachable | RateLimited) and not answered:
        raise error


def pull_lines(shop: Workshop, reference: Reference, stop: Stop) -> Iterator[Mapping[str, Any]]:
    """What the engine reports while it pulls, line by line, until done or until `stop` is said.

    Raises:
        ImageError: the engine or the registry refused.
        Silence: no progress for `shop.stall` seconds.
        Interrupted: `stop` was said.

    """
    from docker.types import CancellableStream

    query = {"fromImage": reference.repository, "tag": reference.digest or reference.tag or "latest"}
    with _request(shop, "POST", "/images/create", shop.stall, reference, query) as answer:
        if not answer.ok:
            raise refusal.refusal(str(reference), _message(answer))
        # Closes the socket under a blocked read; not iterated over, because it takes a time-out for the end.
        with stop.ending(CancellableStream(iter(()), answer).close):
            for line in answer.iter_lines():
                said = json.loads(line)
                if "error" in said:
                    raise refusal.refusal(str(reference), str(said["error"]))
                yield said
        stop.heed()


@contextmanager
def _request(
    shop: Workshop, method: str, path: str, timeout: float, reference: Reference, query: Mapping[str, str] | None = None
) -> Iterator[requests.Response]:
    """One streamed request to the engine with the credentials for the registry; `timeout` bounds every silence.

    The SDK's own `pull` waits for ever on a silent registry.
    """
    import requests

    url = f"{shop.api.base_url}/v{shop.api.api_version}{path}"
    headers = _credentials(shop, reference)
    try:
        answer = shop.api.request(method, url, params=query, headers=headers, timeout=(timeout, timeout), stream=True)
    except requests.exceptions.Timeout as error:
        raise Silence(f"nothing heard for {timeout:g} s") from error
    except requests.exceptions.ConnectionError as error:
        raise connect.unreachable(shop.address, error) from error
    with answer:
        try:
            yield answer
        except requests.exceptions.RequestException as error:
            late = "timed out" in str(error)
            raise Silence(f"nothing heard for {timeout:g} s" if late else f"broken off: {error}") from error


def _credentials(shop: Workshop, reference: Reference) -> dict[str, str]:
    """The header with which the engine logs in there, from the docker CLI's configuration or its helpers."""
    import docker.auth
    import docker.errors

    registry, _ = docker.auth.resolve_repository_name(reference.repository)
    try:
        header = docker.auth.get_config_header(shop.api, registry)
    except docker.errors.DockerException as error:
        raise RegistryUnreachable(
            f"log in to {registry}", f"the credential helper failed: {error}", "run `docker login` again"
        ) from error
    return {"X-Registry-Auth": header.decode()} if header else {}


def _message(answer: requests.Response) -> str:
    """The reason in a refused request."""
    try:
        return str(answer.json().get("message", answer.text))
    except ValueError:
        return answer.text
