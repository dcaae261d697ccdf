"""One service of the user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envctl.errors import ConfigurationError, Problem
from envctl.services.labelled.labels import ONESHOT_LABEL, is_on, parse_rules, published
from envctl.services.labelled.rules import Rule, Settled, Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from envctl.model import Container, Endpoint
    from envctl.protocols import Engine, Service


class Labelled:
    """Ready when all its `rules` hold at one attempt.

    `oneshot` services are ready when they exited with 0, which the wait for readiness sees by itself. The main port
    is the first published one and has the service's name; others are named by their number in the container.
    """

    def __init__(
        self,
        name: str,
        targets: Mapping[int, int],
        rules: Sequence[Rule],
        engine: Engine,
        observe: Callable[[], Container | None],
        *,
        oneshot: bool = False,
    ) -> None:
        self.name = name
        self.oneshot = oneshot
        self._port_names = {target: str(target) if index else name for index, target in enumerate(targets)}
        self.ports: Mapping[str, int] = {port: target for target, port in self._port_names.items()}
        self.standard: Mapping[str, int] = {self._port_names[t]: outer or t for t, outer in targets.items()}
        self._rules, self._engine, self._observe = tuple(rules) or (Settled(),), engine, observe

    @classmethod
    def from_labels(
        cls,
        name: str,
        labels: Mapping[str, str],
        model: Mapping[str, Any],
        *,
        engine: Engine,
        observe: Callable[[], Container | None],
    ) -> Labelled:
        """The service that labels and the rendered compose service describe; `observe` looks at its container.

        Raises:
            ConfigurationError: a rule cannot be understood. `label_problems` finds that, and more, beforehand.

        """
        targets = published(model)
        rules, wrong = parse_rules(labels, targets)
        if wrong:
            raise ConfigurationError([Problem(text, f"services.{name}.labels.{key}") for key, text in wrong.items()])
        return cls(name, targets, rules, engine, observe, oneshot=is_on(labels.get(ONESHOT_LABEL)))

    def ping(self, at: Endpoint, timeout: float) -> None:
        """See that every rule holds.

        Raises:
            NotReady: the first that does not.

        """
        subject = Subject(self._engine, self._observe, at, self._port_names, timeout)
        for rule in self._rules:
            rule.check(subject)


if TYPE_CHECKING:

    def _is_a_service(labelled: Labelled) -> Service:
        return labelled
