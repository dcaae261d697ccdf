"""What a build needs from the host: its certificates, its proxies, its mirrors. Nothing here names a server."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from envctl.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BUNDLE_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")
BUNDLE_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # Alpine, macOS
)
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
"""Build arguments that every Dockerfile has without declaring them, and that stay out of the image's history."""

MIRRORS = ("GOPROXY", "GONOSUMDB", "GOSUMDB", "GOPRIVATE", "GONOPROXY", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")
"""Variables with which people point the host's own tools at mirrors; build arguments of the same name."""

DEBIAN_MIRROR = "ENVCTL_DEBIAN_MIRROR"


def bundle(environ: Mapping[str, str]) -> Path | None:
    """The certificates that the host's tools trust: where TLS is inspected, only these work inside a build too."""
    named = (environ[name] for name in BUNDLE_VARIABLES if environ.get(name))
    return next((path for path in map(Path, (*named, *BUNDLE_FILES)) if path.is_file()), None)


def arguments(environ: Mapping[str, str]) -> dict[str, str]:
    """Build arguments from the host: proxies in both spellings, and mirrors. Values may hold credentials."""
    names = (*PROXIES, *(name.lower() for name in PROXIES), *MIRRORS)
    return {name: environ[name] for name in names if environ.get(name)}


def secrets(environ: Mapping[str, str], folder: Path, apt: Path = Path("/etc/apt")) -> dict[str, Path]:
    """Files that a build may look into and that end up in no layer, by the id of the Dockerfiles' secret mounts.

    `ca` the host's certificates · `apt_conf` apt's proxies and that bundle · `pip_conf` · `maven_settings`.
    What is made for this purpose is written into `folder`.
    """
    home = Path(environ.get("HOME") or "/root")
    found: dict[str, Path | None] = {"ca": bundle(environ)}
    if settings := "".join(_apt_settings(apt, has_bundle=found["ca"] is not None)):
        file = found["apt_conf"] = folder / "apt.conf"
        file.touch(mode=0o600)
        file.write_text(settings)
    pip = [home / ".config/pip/pip.conf", home / ".pip/pip.conf", Path("/etc/pip.conf")]
    if named := environ.get("PIP_CONFIG_FILE"):
        pip.insert(0, Path(named))
    found["pip_conf"] = next(filter(Path.is_file, pip), None)
    found["maven_settings"] = home / ".m2/settings.xml"
    return {name: path for name, path in found.items() if path and path.is_file()}


def _apt_settings(apt: Path, *, has_bundle: bool) -> Iterator[str]:
    """Lines of an apt.conf: the host's proxies, and the bundle as the Dockerfiles mount it."""
    if has_bundle:
        yield 'Acquire::https::CaInfo "/run/secrets/ca";\n'
    if apt.is_dir() and shutil.which("apt-config"):
        dump = subprocess.run(
            ["apt-config", "dump", "-o", f"Dir::Etc={apt}/", "Acquire"], capture_output=True, text=True, check=False
        )
        for line in dump.stdout.splitlines():
            if line.lower().startswith(("acquire::http::proxy", "acquire::https::proxy")) and '""' not in line:
                yield f"{line}\n"


def debian_mirror(environ: Mapping[str, str], apt: Path = Path("/etc/apt")) -> str:
    """Where Debian packages come from: `ENVCTL_DEBIAN_MIRROR`, else the first entry of the host's apt configuration
    whose path ends in `/debian`: `debian-security` holds no base system, and third-party entries sort earlier.

    Raises:
        ImageError: neither names one.

    """
    if mirror := environ.get(DEBIAN_MIRROR):
        return mirror
    files = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    for file in files:
        for address in _addresses(file):
            if address.rstrip("/").endswith("/debian"):
                return address.rstrip("/")
    raise ImageError(
        "a mirror of Debian packages, to build images from",
        f"no entry of {apt} ends in /debian",
        f"set {DEBIAN_MIRROR} to the address of a mirror, or pull the images with `--images registry`",
    )


def _addresses(file: Path) -> Iterator[str]:
    """The archive addresses in one file of apt's, in its order: one-line (`.list`) or deb822 (`.sources`)."""
    if not file.is_file():
        return
    lines = [line for line in file.read_text(errors="replace").splitlines() if not line.lstrip().startswith("#")]
    if file.suffix == ".list":
        for line in lines:
            kind, *words = line.split() or [""]
            yield from (word for word in words[:8] if kind == "deb" and "://" in word)
    elif file.suffix == ".sources":
        for stanza in "\n".join(lines).split("\n\n"):
            yield from _stanza(stanza)


def _stanza(stanza: str) -> Iterator[str]:
    """The addresses of one deb822 entry, unless it is switched off or holds sources only."""
    fields: dict[str, str] = {}
    key = ""
    for line in stanza.splitlines():
        if line[:1].isspace():
            fields[key] = f"{fields.get(key, '')} {line.strip()}"
        elif ":" in line:
            key, _, value = line.partition(":")
            key = key.strip().lower()
            fields[key] = value.strip()
    if fields.get("enabled", "yes").lower() not in {"no", "false", "0"} and "deb" in fields.get("types", "").split():
        yield from fields.get("uris", "").split()
