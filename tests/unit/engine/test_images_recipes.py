"""The table of images, references, fingerprints and the host's surroundings; no engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from envctl.engine.images import Reference, load
from envctl.engine.images.fingerprint import fingerprint
from envctl.engine.images.surroundings import arguments, bundle, debian_mirror, secrets
from envctl.errors import ConfigurationError, ImageError, UnknownName

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("postgres:17.11-trixie", "docker.io/library/postgres:17.11-trixie"),
        ("confluentinc/cp-kafka:7.9.7", "docker.io/confluentinc/cp-kafka:7.9.7"),
        ("docker.io/library/redis:8", "docker.io/library/redis:8"),
        (f"quay.io/minio/minio:R1@{DIGEST}", "quay.io/minio/minio:R1"),
        ("localhost:5000/a", "localhost:5000/a:"),
    ],
)
def test_a_reference_is_taken_apart_as_the_engine_does(text: str, full: str) -> None:
    """A bare name lives in the Hub's library; a first part with dot, port or `localhost` is a host."""
    parsed = Reference.parse(text)

    assert f"{parsed.host}/{parsed.path}:{parsed.tag}" == full


def test_a_reference_is_written_as_the_engine_lists_it() -> None:
    """Short for the Hub, whole elsewhere; tag and digest both, where both are known."""
    assert str(Reference.parse(f"docker.io/library/redis:8@{DIGEST}")) == f"redis:8@{DIGEST}"
    assert Reference.parse(f"redis:8@{DIGEST}").pinned == f"redis@{DIGEST}"
    assert str(Reference.parse("quay.io/minio/minio")) == "quay.io/minio/minio:latest"


@pytest.mark.parametrize("text", ["", "Capitals/are:not", "host.example/", "@sha256:1"])
def test_what_is_no_reference_is_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match="no image reference"):
        Reference.parse(text)


def test_a_mirror_takes_the_place_of_the_host() -> None:
    """With a folder of its own where the mirror has one; the Hub's library becomes visible."""
    redis = Reference.parse("redis:8")

    assert str(redis.at("localhost:5000")) == "localhost:5000/library/redis:8"
    assert str(redis.at("https://mirror.example/hub/")) == "mirror.example/hub/library/redis:8"
    assert redis.at(None) == redis


def table(folder: Path, text: str) -> Path:
    """A table of images in this folder."""
    file = folder / "images.yaml"
    file.write_text(text)
    return file


def test_the_shipped_table_is_valid_and_names_every_service(pytestconfig: pytest.Config) -> None:
    """Six services, each with an official image, the look-alike's recipe and its parents."""
    catalogue = load(pytestconfig.rootpath / "compose" / "images" / "images.yaml")
    services = {image.service for image in catalogue.images.values() if image.service}

    assert services == {"postgres", "redis", "zookeeper", "kafka", "minio", "spark-connect"}
    assert all(catalogue.of_service(name).official and catalogue.of_service(name).context for name in services)
    assert list(catalogue.with_parents(("zookeeper",))) == ["base", "kafka", "zookeeper"]


def test_all_problems_of_a_table_are_reported_at_once(tmp_path: Path) -> None:
    """Missing, unknown, wrong and tangled entries together, each with its key."""
    file = table(
        tmp_path,
        "images:\n  a: {tag: x/a, parents: [b], colour: red}\n  b: {seconds: -1, context: nowhere}\n"
        "  c: {tag: x/c, digest: sha256:12}\n  d: 3\n",
    )
    with pytest.raises(ConfigurationError) as caught:
        load(file)

    keys = {problem.key for problem in caught.value.problems}
    assert keys == {"a.parents", "a.colour", "b.tag", "b.seconds", "b.context", "c.digest", "d"}


@pytest.mark.parametrize("text", ["images: [\n", "[]", "images: 3"])
def test_a_table_that_is_none_is_a_configuration_error(tmp_path: Path, text: str) -> None:
    """Broken YAML with its line, or another shape."""
    with pytest.raises(ConfigurationError, match=r"images\.yaml"):
        load(table(tmp_path, text))
    with pytest.raises(ConfigurationError, match="No such file"):
        load(tmp_path / "absent.yaml")


def test_an_unknown_name_offers_the_nearest(tmp_path: Path) -> None:
    """Images and services alike."""
    catalogue = load(table(tmp_path, "images:\n  redis: {tag: x/redis, service: redis}\n"))

    with pytest.raises(UnknownName, match="did you mean 'redis'"):
        catalogue["rediss"]
    with pytest.raises(UnknownName, match="did you mean 'redis'"):
        catalogue.of_service("reddis")


def test_a_fingerprint_changes_with_what_goes_into_the_image(tmp_path: Path) -> None:
    """A file's bytes, name and executable bit, an argument, and whatever changes the parent; nothing else."""
    (tmp_path / "a").mkdir()
    recipe = tmp_path / "a" / "Dockerfile"
    recipe.write_text("FROM scratch\n")
    text = "images:\n  a: {tag: x/a, context: a}\n  b: {tag: x/b, context: a, parents: [a], seconds: 3}\n"

    def prints(changed: str = text) -> tuple[str, str]:
        catalogue = load(table(tmp_path, changed))
        return fingerprint(catalogue["a"], catalogue), fingerprint(catalogue["b"], catalogue)

    first = prints()
    assert prints(text.replace("seconds: 3", "seconds: 4")) == first
    seen = {first, prints(text.replace("{tag: x/a,", "{tag: x/a, args: {N: 1},"))}
    recipe.chmod(0o755)
    seen.add(prints())
    (tmp_path / "a" / "more").touch()
    seen.add(prints())
    assert len({a for a, _ in seen}) == len({b for _, b in seen}) == 4


def test_the_debian_mirror_is_the_first_that_ends_in_debian(tmp_path: Path) -> None:
    """Both forms of apt's files; third-party, security, source and disabled entries are passed over."""
    folder = tmp_path / "sources.list.d"
    folder.mkdir()
    (folder / "a.list").write_text(
        "# deb http://comment.example/debian x\ndeb [signed-by=/k] http://third.example/apt x main\n"
    )
    (folder / "b.sources").write_text(
        "Types: deb\nURIs: http://a.example/debian-security\n\nTypes: deb-src\nURIs: http://b.example/debian\n\n"
        "Enabled: no\nTypes: deb\nURIs: http://c.example/debian\n\nTypes: deb deb-src\nURIs:\n http://d.example/debian/\n"
    )
    assert debian_mirror({}, tmp_path) == "http://d.example/debian"
    (tmp_path / "sources.list").write_text("deb [arch=amd64 signed-by=/k] http://e.example/debian trixie main\n")
    assert debian_mirror({}, tmp_path) == "http://e.example/debian"
    assert debian_mirror({"ENVCTL_DEBIAN_MIRROR": "http://f.example/x"}, tmp_path) == "http://f.example/x"


def test_no_debian_mirror_is_an_error_that_says_what_to_set(tmp_path: Path) -> None:
    """As on Ubuntu or Fedora."""
    with pytest.raises(ImageError) as caught:
        debian_mirror({}, tmp_path)

    assert "ENVCTL_DEBIAN_MIRROR" in caught.value.advice


def test_the_hosts_certificates_are_found_where_its_tools_look(tmp_path: Path) -> None:
    """The first variable that names a file wins."""
    file = tmp_path / "ca.pem"
    file.touch()

    assert bundle({"SSL_CERT_FILE": str(tmp_path / "absent"), "PIP_CERT": str(file)}) == file


def test_secrets_and_arguments_come_from_the_hosts_own_settings(tmp_path: Path) -> None:
    """Those of pip and Maven; apt's with the bundle as it is mounted; proxies and mirrors by name."""
    (tmp_path / ".m2").mkdir()
    (tmp_path / ".m2" / "settings.xml").touch()
    (tmp_path / "pip.conf").touch()
    (tmp_path / "ca.pem").touch()
    environ = {
        "HOME": str(tmp_path),
        "PIP_CONFIG_FILE": str(tmp_path / "pip.conf"),
        "SSL_CERT_FILE": str(tmp_path / "ca.pem"),
        "GOPROXY": "http://go.example",
        "https_proxy": "http://proxy.example",
        "PATH": "/bin",
    }
    found = secrets(environ, tmp_path)

    assert set(found) == {"ca", "apt_conf", "pip_conf", "maven_settings"}
    assert 'CaInfo "/run/secrets/ca"' in found["apt_conf"].read_text()
    assert found["apt_conf"].stat().st_mode & 0o077 == 0
    assert arguments(environ) == {"GOPROXY": "http://go.example", "https_proxy": "http://proxy.example"}
