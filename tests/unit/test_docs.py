"""The documentation against the code: what it lists exists, and what exists is listed."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from envctl.catalog import PROFILES, SERVICES
from envctl.cli.app import VERBS, envctl
from envctl.cli.verbs.chaos import fault_command
from envctl.config.validation import schema
from envctl.errors import EnvctlError
from envctl.faults.pause import Pause
from envctl.protocols import HasVariables

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]
INTERFACE = (REPOSITORY / "docs" / "interface.md").read_text()
DOCUMENTS = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


def test_every_event_is_listed_with_its_data() -> None:
    """docs/events.md names exactly the events that the code emits, each with exactly its data."""
    assert dict(_documented_events()) == _emitted_events()


def test_every_verb_is_described() -> None:
    """docs/interface.md has every verb, and none that does not exist."""
    described = set(re.findall(r"`envctl ([a-z]+)", INTERFACE))
    assert described == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_of_a_verb_is_described(verb: str) -> None:
    """Each long and short option that the verb's help shows stands in docs/interface.md."""
    shown = {word for text in _code(INTERFACE) for word in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text)}
    assert set(_options(_command(verb))) - shown == set()


def test_no_option_is_described_that_does_not_exist() -> None:
    """What docs/interface.md and the README show in code, every verb's help knows."""
    known = {option for verb in VERBS for option in _options(_command(verb))} | set(_options(envctl))
    known |= set(_options(fault_command(Pause)))
    shown = {option for text in _code(INTERFACE) for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)}
    assert shown - known == set()


def test_every_key_of_the_configuration_is_described() -> None:
    """The table of keys is the schema's."""
    keys = set(schema()["properties"]) - {"services"}
    of_services = schema()["properties"]["services"]["additionalProperties"]["properties"]
    wanted = keys | {f"services.NAME.{key}" for key in of_services}
    section = INTERFACE.partition("## 6 Configuration")[2].partition("## 7")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert {key for row in rows for key in re.findall(r"`([\w.]+)`", row)} == wanted


def test_every_connection_variable_is_described() -> None:
    """The table of connection data has every name of every service, and no other."""
    from envctl.model import Endpoint, Identity

    section = INTERFACE.partition("## 3 Connection data")[2].partition("\n\n`eval")[0]
    for service in SERVICES.values():
        assert isinstance(service, HasVariables)
        ports = dict(service.standard)
        at = Endpoint(service.name, "127.0.0.1", ports, Identity("envctl", "a"), Identity("app", "b"))
        row = next(line for line in section.splitlines() if line.startswith(f"| {service.name} |"))
        assert set(re.findall(r"`([A-Z][A-Z0-9_]+)`", row)) - {"SCRAM-SHA-512"} == set(service.variables(at))


def test_the_readme_shows_every_profile_with_its_services_and_ports() -> None:
    """The table of profiles is the catalog's."""
    rows = [line.split("|") for line in (REPOSITORY / "README.md").read_text().splitlines() if line.startswith("| `")]
    shown = {(row[1].strip(" `"), row[2].strip()): row[4] for row in rows if row[1].strip(" `") in PROFILES}
    wanted = {(profile, name) for profile, names in PROFILES.items() if profile != "full" for name in names}
    assert {pair for pair in shown if pair[0] != "full"} == wanted
    for (_, name), ports in shown.items():
        if name in SERVICES:
            assert set(map(int, re.findall(r"\d+", ports))) == set(SERVICES[name].standard.values())


def test_every_error_is_explained() -> None:
    """docs/troubleshooting.md says of each error what it means and what to do."""
    text = (REPOSITORY / "docs" / "troubleshooting.md").read_text()
    # The root and what only groups others is never shown by itself, or says all there is to say.
    groups = {"EnvctlError", "UsageError", "ImageError"}
    missing = [name for name in _errors(EnvctlError) if name not in groups and f"`{name}`" not in text]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    """Files that are linked to are there, and so are the headings."""
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", document.read_text()):
        name, _, heading = target.partition("#")
        file = (document.parent / name) if name else document
        assert file.exists(), target
        assert not heading or heading in _anchors(file), target


def _documented_events() -> Iterator[tuple[str, set[str]]]:
    for line in (REPOSITORY / "docs" / "events.md").read_text().splitlines():
        if match := re.match(r"\| `([a-z]+\.[a-z_]+)` \|([^|]*)\|", line):
            yield match[1], set(re.findall(r"`(\w+)`", match[2]))


def _emitted_events() -> dict[str, set[str]]:
    """Every `emit(…)` in the package: its event, and the names of its data wherever it is emitted."""
    found: dict[str, set[str]] = {}
    for file in (REPOSITORY / "envctl").rglob("*.py"):
        for function in ast.walk(ast.parse(file.read_text())):
            if isinstance(function, ast.FunctionDef):
                for call in filter(_is_emit, ast.walk(function)):
                    assert isinstance(call, ast.Call)
                    assert isinstance(call.args[0], ast.Constant), f"{file}:{call.lineno}: an event has a fixed name"
                    found.setdefault(str(call.args[0].value), set()).update(_data(call, function))
    return found


def _is_emit(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Name):
        # The fault journal hands on what it is told, under the names that its callers give.
        return node.func.id == "emit" and not (node.args and ast.unparse(node.args[0]) == "event")
    return isinstance(node.func, ast.Attribute) and (node.func.attr == "emit" or _is_told(node))


def _is_told(node: ast.Call) -> bool:
    """Whether it is the fault journal's way to emit: `journal.say("fault.…", entry, …)`."""
    return ast.unparse(node.func).endswith("journal.say")


def _data(call: ast.Call, function: ast.FunctionDef) -> Iterator[str]:
    """Names of the data; `**data` is looked up where the same function writes it as a dict."""
    if _is_told(call):
        yield from ("environment", "id", "fault", "service")
    for keyword in call.keywords:
        if keyword.arg:
            yield keyword.arg
            continue
        assert isinstance(keyword.value, ast.Name)
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == keyword.value.id:
                assert isinstance(node.value, ast.Dict)
                yield from (str(key.value) for key in node.value.keys if isinstance(key, ast.Constant))


def _command(verb: str) -> click.Command:
    command = envctl.get_command(click.Context(envctl), verb)
    assert command is not None
    return command


def _options(command: click.Command) -> Iterator[str]:
    """The options that a command's help shows, those of its own verbs included."""
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            yield from (*parameter.opts, *parameter.secondary_opts)
    yield from ("--help", "-h")
    if isinstance(command, click.Group) and command is not envctl:
        for child in command.commands.values():
            yield from _options(child)


def _code(text: str) -> list[str]:
    """Everything in backticks, but not the blocks: they show other programs, too."""
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)


def _errors(kind: type[EnvctlError]) -> Iterator[str]:
    yield kind.__name__
    for child in kind.__subclasses__():
        if child.__module__ == "envctl.errors":
            yield from _errors(child)


def _anchors(file: Path) -> set[str]:
    """Headings as their links name them."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
