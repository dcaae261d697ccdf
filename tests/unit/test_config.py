"""Settings: three sources, one result, every problem at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from envctl.config import ServiceOptions, Settings, bundle_root, load, seconds
from envctl.config.names import slug
from envctl.errors import ConfigurationError, UsageError
from envctl.model import ImageSource, PortPolicy


def settings(folder: Path, yaml: str = "", environ: dict[str, str] | None = None, **cli: object) -> Settings:
    """Load with an `envctl.yaml` of this text in `folder`."""
    if yaml:
        (folder / "envctl.yaml").write_text(yaml)
    return load(cli, cwd=folder, environ=environ or {})


def problems(folder: Path, yaml: str = "", environ: dict[str, str] | None = None, **cli: object) -> list[str]:
    """The problems' texts with the file's name in place of its path."""
    with pytest.raises(ConfigurationError) as caught:
        settings(folder, yaml, environ, **cli)
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


def test_without_any_source_the_defaults_hold(tmp_path: Path) -> None:
    """Nothing configured is a whole configuration, named like the folder."""
    folder = tmp_path / "My Project (2)"
    folder.mkdir()
    seeds = (folder / "seeds", bundle_root() / "seeds")
    assert settings(folder) == Settings(name="my-project-2", timeout=120.0, ports=PortPolicy.PREFER, seeds=seeds)


def test_every_key_of_the_file_arrives_with_its_type(tmp_path: Path) -> None:
    """One file with all keys gives the same settings as the dataclass written out."""
    loaded = settings(
        tmp_path,
        """
        name: shop
        profiles: [core, lake]
        dataset: small
        scale: 0.5
        files: [compose.yaml, ../other.yaml]
        ports: auto
        images: packages
        registry: mirror.example:5000/hub
        timeout: 2m
        ttl: 1h30m
        fast: true
        relay: true
        services:
          postgres: {port: 5544, image: "postgres:16", options: {fsync: off, max_connections: 50, jit: "on"}}
        """,
    )
    assert loaded == Settings(
        name="shop",
        profiles=("core", "lake"),
        files=(tmp_path / "compose.yaml", tmp_path.parent / "other.yaml"),
        ports=PortPolicy.AUTO,
        images=ImageSource.PACKAGES,
        registry="mirror.example:5000/hub",
        timeout=120.0,
        ttl=5400.0,
        fast=True,
        relay=True,
        dataset="small",
        scale=0.5,
        seeds=(tmp_path / "seeds", bundle_root() / "seeds"),
        overrides={
            "postgres": ServiceOptions(5544, "postgres:16", {"fsync": "off", "max_connections": "50", "jit": "on"})
        },
    )


def test_the_path_of_a_dataset_starts_where_it_was_written(tmp_path: Path) -> None:
    """In a file at its folder, on the command line in the working folder; a name stays a name."""
    (tmp_path / "below").mkdir()
    (tmp_path / "envctl.yaml").write_text("dataset: data/mine.yaml\n")
    below = {"cwd": tmp_path / "below", "environ": {}}
    assert load({}, **below).dataset == str(tmp_path / "data" / "mine.yaml")
    assert load({"dataset": "./mine"}, **below).dataset == str(tmp_path / "below" / "mine")
    assert load({"dataset": "mine"}, **below).dataset == "mine"


def test_datasets_are_looked_up_beside_the_configuration_then_here_then_among_those_that_ship(tmp_path: Path) -> None:
    """So that a project's own `small` is found before envctl's."""
    (tmp_path / "below").mkdir()
    (tmp_path / "envctl.yaml").write_text("name: shop\n")
    found = load({}, cwd=tmp_path / "below", environ={}).seeds
    assert found == (tmp_path / "seeds", tmp_path / "below" / "seeds", bundle_root() / "seeds")


def test_command_line_beats_variable_beats_file(tmp_path: Path) -> None:
    """For each key the first source that says something wins, and only that key."""
    yaml = "name: file\ntimeout: 1\nttl: 10\nprofiles: [core]\n"
    environ = {"ENVCTL_TIMEOUT": "2s", "ENVCTL_TTL": "20", "ENVCTL_PROFILES": "lake, streaming", "ENVCTL_FAST": "yes"}
    loaded = settings(tmp_path, yaml, environ, timeout="3", profiles=())
    assert (loaded.name, loaded.timeout, loaded.ttl, loaded.fast) == ("file", 3.0, 20.0, True)
    assert loaded.profiles == ("lake", "streaming")


def test_single_services_are_merged_field_by_field(tmp_path: Path) -> None:
    """ENVCTL_SERVICES sets a port without losing the file's image."""
    yaml = "services: {redis: {image: 'redis:7', port: 1000}}"
    loaded = settings(tmp_path, yaml, {"ENVCTL_SERVICES": '{"redis": {"port": 2000}}'})
    assert loaded.overrides == {"redis": ServiceOptions(2000, "redis:7")}


def test_named_services_come_from_the_command_line_only(tmp_path: Path) -> None:
    """`--service` and the file's key `services` are different things and do not meet."""
    loaded = settings(tmp_path, "services: {redis: {port: 1000}}", services=("minio", "kafka,postgres"))
    assert loaded.services == ("minio", "kafka", "postgres")
    assert list(loaded.overrides) == ["redis"]


def test_the_environment_variable_of_the_name_is_envctl_env(tmp_path: Path) -> None:
    """ENVCTL_ENV beats the file, --env beats both; ENVCTL_NAME follows the rule of all keys."""
    assert settings(tmp_path, "name: file", {"ENVCTL_ENV": "one", "ENVCTL_NAME": "two"}).name == "one"
    assert settings(tmp_path, environ={"ENVCTL_NAME": "two"}).name == "two"
    assert settings(tmp_path, environ={"ENVCTL_ENV": "one"}, name="three").name == "three"


def test_every_problem_of_every_source_is_reported_at_once(tmp_path: Path) -> None:
    """File with line and key, variable by its name, option by its name, in one error of exit code 2."""
    yaml = "timout: 5\nprofiles: core\nscale: many\nservices:\n  redis:\n    prot: 1\n    port: 0\n"
    found = problems(tmp_path, yaml, {"ENVCTL_PORTS": "sticky"}, timeout="soon", name="My Env")
    assert [line.split(" must be ")[0].split(";")[0] for line in found] == [
        "--timeout:",
        "--env:",
        "ENVCTL_PORTS:",
        "envctl.yaml:1: timout: unknown key",
        "envctl.yaml:2: profiles:",
        "envctl.yaml:3: scale:",
        "envctl.yaml:6: services.redis.prot: unknown key",
        "envctl.yaml:7: services.redis.port:",
    ]
    assert found[4] == "envctl.yaml:2: profiles: must be a list of profile names, such as [core, lake]; found 'core'"


def test_an_unknown_key_is_told_the_nearest_name(tmp_path: Path) -> None:
    """A typing mistake costs one look."""
    assert problems(tmp_path, "timout: 5") == ["envctl.yaml:1: timout: unknown key; did you mean 'timeout'?"]


def test_a_name_that_compose_refuses_comes_with_one_that_it_accepts(tmp_path: Path) -> None:
    """Explicit names are never bent silently; the suggestion is one that works."""
    (found,) = problems(tmp_path, name="My Env!")
    assert found.endswith("found 'My Env!'; 'my-env' would do")


@pytest.mark.parametrize("name", ["Upper", "-dash", "_under", "a b", "a.b", "é", "a\n", "x" * 64])
def test_names_that_compose_refuses_are_refused(tmp_path: Path, name: str) -> None:
    """None of them reaches compose."""
    assert len(problems(tmp_path, name=name)) == 1


@pytest.mark.parametrize("text", ["0", "-1", "soon", "0s", "1w", "nan", "inf", "1e9999", "99999999999", "400d", "5 m"])
def test_an_impossible_timeout_is_a_usage_error(tmp_path: Path, text: str) -> None:
    """Zero, negative, endless and wordy limits are refused before anything starts."""
    with pytest.raises(ConfigurationError, match="must be a time above 0") as caught:
        settings(tmp_path, timeout=text)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("value", ["0", "-1", ".nan", ".inf", "[]", "yes", "", "{}"])
def test_an_impossible_timeout_in_the_file_names_its_line(tmp_path: Path, value: str) -> None:
    """YAML's own numbers, and things that are no numbers, are held to the same limits."""
    (found,) = problems(tmp_path, f"name: x\ntimeout: {value}")
    assert found.startswith("envctl.yaml:2: timeout: must be a time above 0")


def test_a_missing_compose_file_is_a_problem_of_up_alone(tmp_path: Path) -> None:
    """`up` needs the files; `down` works without them."""
    (tmp_path / "envctl.yaml").write_text("files:\n  - a.yaml\n  - b.yaml\n")
    (tmp_path / "a.yaml").write_text("services: {}")
    with pytest.raises(ConfigurationError) as caught:
        load({}, cwd=tmp_path, environ={}, files_exist=True)
    assert [(problem.line, problem.key) for problem in caught.value.problems] == [(3, "files.1")]
    assert load({}, cwd=tmp_path, environ={}).files == (tmp_path / "a.yaml", tmp_path / "b.yaml")


def test_files_of_the_command_line_start_at_the_working_folder(tmp_path: Path) -> None:
    """And keep commas, which a path may hold."""
    (tmp_path / "envctl.yaml").write_text("files: [a.yaml]")
    below = tmp_path / "below"
    below.mkdir()
    assert load({"files": ("x,y.yaml",)}, cwd=below, environ={}).files == (below / "x,y.yaml",)
    assert load({}, cwd=below, environ={"ENVCTL_FILES": "x.yaml:/y.yaml"}).files == (
        below / "x.yaml",
        Path("/y.yaml"),
    )
    assert load({}, cwd=below, environ={}).files == (tmp_path / "a.yaml",)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(90, 90.0), ("90", 90.0), ("90s", 90.0), ("50ms", 0.05), ("2h", 7200.0), ("1h30m", 5400.0), ("1.5m", 90.0)],
)
def test_durations_are_read_as_people_write_them(value: float | str, wanted: float) -> None:
    """Numbers are seconds; units may follow one another."""
    assert seconds(value) == pytest.approx(wanted)


@pytest.mark.parametrize("value", ["", "s", "-5s", "5x", "1h 30m", -1])
def test_what_is_no_duration_says_what_is_wanted(value: float | str) -> None:
    """With examples."""
    with pytest.raises(UsageError, match="50ms"):
        seconds(value)


@pytest.mark.parametrize(
    ("folder", "name"),
    [("app", "app"), ("My App (2)", "my-app-2"), ("Éclair_x", "eclair_x"), ("日本", "default"), ("", "default")],
)
def test_a_folders_name_becomes_one_that_compose_accepts(folder: str, name: str) -> None:
    """Accents, spaces and the root folder included."""
    assert slug(folder) == name


def test_the_bundle_holds_the_compose_files() -> None:
    """In the repository as in a wheel."""
    assert (bundle_root() / "compose").is_dir()
