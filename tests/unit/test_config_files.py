"""Configuration files: found upwards, read with lines, broken ones named by position."""

from __future__ import annotations

from pathlib import Path

import pytest

from envctl.config import load
from envctl.errors import ConfigurationError


def problem(folder: Path, config_file: Path | None = None) -> str:
    """The one problem's text, with the file's name in place of its path."""
    with pytest.raises(ConfigurationError) as caught:
        load({}, cwd=folder, environ={}, config_file=config_file)
    (only,) = caught.value.problems
    return str(only).replace(f"{folder}/", "")


def test_pyproject_is_read_with_the_line_of_every_key(tmp_path: Path) -> None:
    """Tables, dotted keys and quoted keys each lead to their line."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\n\n[tool.envctl]\ntimeout = "never"\nservices.redis.port = 0\n\n'
        '[tool.envctl.services."spark-connect"]\nimagee = "x"\n'
    )
    with pytest.raises(ConfigurationError) as caught:
        load({}, cwd=tmp_path, environ={})
    assert [(found.line, found.key) for found in caught.value.problems] == [
        (5, "timeout"),
        (6, "services.redis.port"),
        (9, "services.spark-connect.imagee"),
    ]


def test_pyproject_without_the_table_is_somebody_elses(tmp_path: Path) -> None:
    """Not even its mistakes concern envctl."""
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["envctl"]\nbroken = \n')
    assert load({}, cwd=tmp_path, environ={}).profiles == ()


def test_the_file_is_found_upwards_and_names_the_environment(tmp_path: Path) -> None:
    """Every folder of a project means the same environment."""
    below = tmp_path / "project" / "tests" / "unit"
    below.mkdir(parents=True)
    (tmp_path / "project" / "envctl.yaml").write_text("profiles: [core]")
    found = load({}, cwd=below, environ={})
    assert (found.name, found.profiles) == ("project", ("core",))


def test_the_search_ends_at_the_repositorys_root(tmp_path: Path) -> None:
    """What lies around a repository belongs to another project."""
    (tmp_path / "envctl.yaml").write_text("profiles: [core]")
    inside = tmp_path / "repository" / "sub"
    inside.mkdir(parents=True)
    (tmp_path / "repository" / ".git").mkdir()
    assert load({}, cwd=inside, environ={}).profiles == ()


def test_envctl_yaml_beats_pyproject_in_one_folder(tmp_path: Path) -> None:
    """The file that is only envctl's goes first."""
    (tmp_path / "envctl.yaml").write_text("profiles: [core]")
    (tmp_path / "pyproject.toml").write_text('[tool.envctl]\nprofiles = ["lake"]')
    assert load({}, cwd=tmp_path, environ={}).profiles == ("core",)


def test_a_given_file_is_the_only_one_that_counts(tmp_path: Path) -> None:
    """--config beats ENVCTL_CONFIG beats the search, whatever the file is called."""
    (tmp_path / "envctl.yaml").write_text("profiles: [core]")
    (tmp_path / "ci.conf").write_text("profiles: [lake]")
    (tmp_path / "other.toml").write_text('[tool.envctl]\nprofiles = ["streaming"]')
    environ = {"ENVCTL_CONFIG": "ci.conf"}
    assert load({}, cwd=tmp_path, environ=environ).profiles == ("lake",)
    given = load({}, cwd=tmp_path, environ=environ, config_file=Path("other.toml"))
    assert given.profiles == ("streaming",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1, 2\nb: 3\n", "envctl.yaml:2: broken YAML: "),
        ("a: 1\n\tb: 2\n", "envctl.yaml:2: broken YAML: "),
        ("- core\n- lake\n", "envctl.yaml:1: must be a mapping"),
        ("name: a\nname: b\n", "envctl.yaml:2: name: written twice, first in line 1"),
        ("name: !!python/name:os.system x\n", "envctl.yaml:1: broken YAML: could not determine a constructor"),
        ("profiles: &x [*x]\n", "envctl.yaml:1: profiles.0: must be a profile's name"),
        ("a: \x01\n", "envctl.yaml: broken YAML: unacceptable character"),
        ("--- {}\n--- {}\n", "envctl.yaml:2: broken YAML: "),
    ],
)
def test_broken_yaml_is_named_with_its_position(tmp_path: Path, text: str, expected: str) -> None:
    """One clear problem, whatever is broken."""
    (tmp_path / "envctl.yaml").write_text(text)
    assert problem(tmp_path).startswith(expected)


def test_broken_toml_is_named_with_its_position(tmp_path: Path) -> None:
    """Where it names envctl's table it is envctl's business."""
    (tmp_path / "pyproject.toml").write_text("[tool.envctl]\nname = \n")
    assert problem(tmp_path) == "pyproject.toml:2: broken TOML: Invalid value (column 8)"


def test_files_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    """Missing, a folder, not UTF-8, without the table: each its own words."""
    (tmp_path / "latin").write_bytes(b"name: \xe9")
    (tmp_path / "no.toml").write_text("")
    assert problem(tmp_path, Path("missing.yaml")) == "missing.yaml: cannot be read: No such file or directory"
    assert problem(tmp_path, Path("../" + tmp_path.name)).endswith("cannot be read: Is a directory")
    assert problem(tmp_path, Path("latin")) == "latin: is no UTF-8 text (byte 6)"
    assert problem(tmp_path, Path("no.toml")) == "no.toml: has no table [tool.envctl]"


def test_an_empty_file_configures_nothing(tmp_path: Path) -> None:
    """Comments alone, too."""
    (tmp_path / "envctl.yaml").write_text("# nothing yet\n")
    assert load({}, cwd=tmp_path, environ={}).timeout == 120.0


def test_yaml_aliases_and_merges_are_understood(tmp_path: Path) -> None:
    """What YAML offers for not writing things twice works."""
    (tmp_path / "envctl.yaml").write_text(
        "services:\n  postgres: &all\n    options: {a: off}\n  redis:\n    <<: *all\n    port: 7000\n"
    )
    redis = load({}, cwd=tmp_path, environ={}).overrides["redis"]
    assert (redis.port, dict(redis.options)) == (7000, {"a": "off"})
