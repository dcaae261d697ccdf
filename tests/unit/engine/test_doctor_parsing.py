"""What the doctor reads: versions, apt's configuration and policy, address pools, routes, docker contexts."""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING

import pytest

from envctl.engine.connect import locate
from envctl.engine.doctor.apt import parse_policy
from envctl.engine.doctor.networks import configured_pools, free_subnets, routes, used_subnets
from envctl.engine.doctor.plugins import PLUGINS, choose
from envctl.engine.doctor.site import docker_command
from envctl.engine.doctor.versions import numbers
from envctl.engine.images.surroundings import debian_mirror
from envctl.errors import EngineError, ImageError

if TYPE_CHECKING:
    from pathlib import Path

MIRROR = "http://mirror.example/debian"


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("v2.26.1-4", (2, 26, 1)),
        ("20.10.24+dfsg1", (20, 10, 24)),
        ("Docker version 28.2.2, build e6534b4", (28, 2, 2)),
        ("github.com/docker/buildx 0.13.1 0.13.1+ds1-3", (0, 13, 1)),
        ("1:2.26.1-4", (2, 26, 1)),
        ("2.20", (2, 20)),
        ("unknown", ()),
    ],
)
def test_a_version_is_found_in_whatever_a_program_prints(said: str, version: tuple[int, ...]) -> None:
    """Prefixes, epochs, distribution suffixes and whole sentences."""
    assert numbers(said) == version


def apt_folder(folder: Path, **files: str) -> Path:
    """An apt configuration: `sources` is sources.list, `a_list` becomes sources.list.d/a.list, and so on."""
    (folder / "sources.list.d").mkdir()
    for name, text in files.items():
        place = "sources.list" if name == "sources" else f"sources.list.d/{name.replace('_', '.')}"
        (folder / place).write_text(text)
    return folder


def test_the_mirror_of_a_one_line_file_is_the_first_that_ends_in_debian(tmp_path: Path) -> None:
    """Comments, options, sources of source code and debian-security are passed over."""
    text = (
        "# deb http://commented.example/debian bookworm main\n"
        "deb-src http://source.example/debian bookworm main\n"
        "deb http://security.example/debian-security bookworm-security main\n"
        f"deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] {MIRROR}/ bookworm main contrib\n"
    )
    assert debian_mirror({}, apt_folder(tmp_path, sources=text)) == MIRROR


def test_the_mirror_of_a_deb822_file_is_found_behind_third_party_entries(tmp_path: Path) -> None:
    """Third-party files sort earlier; disabled stanzas and debian-security are passed over; fields may fold."""
    debian = (
        "Types: deb\nURIs: http://security.example/debian-security\nSuites: bookworm-security\nComponents: main\n\n"
        "Enabled: no\nTypes: deb\nURIs: http://disabled.example/debian\nSuites: bookworm\nComponents: main\n\n"
        f"# a comment\nTypes: deb deb-src\nURIs:\n {MIRROR}\nSuites: bookworm bookworm-updates\nComponents: main\n"
    )
    vendor = "Types: deb\nURIs: https://vendor.example/node_20.x\nSuites: nodistro\nComponents: main\n"
    folder = apt_folder(
        tmp_path, a_sources=vendor, b_list="deb https://vendor.example/apt cloud main\n", debian_sources=debian
    )
    assert debian_mirror({}, folder) == MIRROR


def test_a_machine_without_a_mirror_of_debian_is_told_which_variable_names_one(tmp_path: Path) -> None:
    """Ubuntu, for one: its archive holds no Debian."""
    folder = apt_folder(tmp_path, sources="deb http://archive.example/ubuntu noble main\n")
    with pytest.raises(ImageError) as caught:
        debian_mirror({}, folder)
    assert "ENVCTL_DEBIAN_MIRROR" in caught.value.advice


POLICY = """\
docker-compose:
  Installed: (none)
  Candidate: {compose}
  Version table:
     {compose} 500
        500 http://mirror.example/debian stable/main amd64 Packages
docker-buildx:
  Installed: (none)
  Candidate: {buildx}
"""


def test_only_packages_that_can_be_installed_are_candidates() -> None:
    """`(none)` is no version, and unknown packages are not printed at all."""
    assert parse_policy(POLICY.format(compose="2.26.1-4", buildx="(none)")) == {"docker-compose": "2.26.1-4"}


def test_the_distributions_compose_is_taken_when_it_is_version_2() -> None:
    """Debian 13."""
    candidates = parse_policy(POLICY.format(compose="2.26.1-4", buildx="0.13.1+ds1-3"))
    assert choose(PLUGINS, candidates) == {"compose": "docker-compose", "buildx": "docker-buildx"}


def test_the_distributions_compose_is_left_alone_when_it_is_version_1() -> None:
    """Debian 12 has 1.29, a program of another kind under the same name."""
    assert choose(PLUGINS, parse_policy(POLICY.format(compose="1.29.2-3", buildx="(none)"))) == {}


def test_dockers_own_repository_comes_first_where_it_is_configured() -> None:
    """Its packages conflict with the distribution's."""
    candidates = {"docker-compose-v2": "2.27.1", "docker-compose-plugin": "2.40.0", "docker-buildx": "0.14.0"}
    assert choose(PLUGINS, candidates) == {"compose": "docker-compose-plugin", "buildx": "docker-buildx"}


def test_an_unconfigured_daemon_has_31_subnets() -> None:
    """The figure that people run into: "all predefined address pools have been fully subnetted"."""
    assert len(list(free_subnets(configured_pools({}), []))) == 31


def test_networks_and_routes_take_their_subnets_out_of_the_pools() -> None:
    """An overlap counts, whichever of the two is larger; IPv6 does not concern IPv4 pools."""
    networks = [
        {"IPAM": {"Config": [{"Subnet": "172.17.0.0/16"}, {"Subnet": "fd00::/64"}]}},
        {"IPAM": {"Config": None}},
        {"IPAM": None},
    ]
    taken = [*used_subnets(networks), ipaddress.IPv4Network("172.18.5.0/24"), ipaddress.IPv4Network("172.20.0.0/14")]
    assert len(list(free_subnets(configured_pools({}), taken))) == 31 - 1 - 1 - 4


def test_configured_pools_replace_the_default_ones() -> None:
    """As `docker info` prints them; IPv6 pools are left out."""
    info = {"DefaultAddressPools": [{"Base": "10.10.0.0/22", "Size": 24}, {"Base": "fd00::/56", "Size": 64}]}
    assert len(list(free_subnets(configured_pools(info), []))) == 4


def test_routes_are_read_without_the_default_route() -> None:
    """`/proc/net/route` holds little-endian hexadecimal."""
    table = (
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
    )
    assert routes(table) == [ipaddress.IPv4Network("172.17.0.0/16")]


def context_folder(home: Path, name: str, host: str) -> None:
    """A docker context as the CLI stores it, and chosen."""
    meta = home / ".docker" / "contexts" / "meta" / "0123abcd"
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host}}}))
    (home / ".docker" / "config.json").write_text(json.dumps({"currentContext": name}))


def test_a_chosen_context_is_used_and_passed_on_by_its_name(tmp_path: Path) -> None:
    """By name, because certificates belong to the context too."""
    context_folder(tmp_path, "colima", "unix:///home/x/.colima/default/docker.sock")
    address = locate({}, tmp_path)
    assert address.url == "unix:///home/x/.colima/default/docker.sock"
    assert docker_command(address) == ["docker", "--context", "colima"]


def test_docker_host_wins_over_a_context_and_is_left_to_the_docker_program(tmp_path: Path) -> None:
    """As with the docker CLI; its TLS variables go with it."""
    context_folder(tmp_path, "colima", "unix:///nowhere")
    address = locate({"DOCKER_HOST": "tcp://build.example:2376"}, tmp_path)
    assert (address.url, docker_command(address)) == ("tcp://build.example:2376", ["docker"])


def test_a_context_that_does_not_exist_is_an_error_with_advice(tmp_path: Path) -> None:
    """Never another engine instead."""
    with pytest.raises(EngineError) as caught:
        locate({"DOCKER_CONTEXT": "gone"}, tmp_path)
    assert "docker context ls" in caught.value.advice
