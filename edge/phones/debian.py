"""Packages of Debian, of any release and processor, fetched by this machine's apt and unpacked beside the system."""

from __future__ import annotations

import shutil
from pathlib import Path

from edge.environments import run
from edge.errors import InputError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def unpacked(root: Path, work: Path, *, release: str, architecture: str, packages: str) -> None:
    """Unpack packages, and all that they need, into the folder `root`: nothing is installed, no script is run.

    `packages`: names with blanks between them. They come from the archive that apt uses, in a configuration of their
    own in `work`. Raises InputError where apt or dpkg cannot give them, with what they said.
    """
    for program in ("apt-get", "dpkg"):
        if not shutil.which(program):
            raise InputError(f"no {program}: this is set up on Debian and its relatives")
    root.mkdir(parents=True, exist_ok=True)
    for package in fetched(work, release, architecture, packages):
        run(["dpkg", "-x", str(package), str(root)])


def fetched(work: Path, release: str, architecture: str, packages: str) -> list[Path]:
    """The packages' files, downloaded into `work`."""
    sites = run(["apt-get", "indextargets", "--format", "$(SITE)"]).split()
    archive = next((site for site in sites if "security" not in site), None)
    if archive is None or not KEYRING.is_file():
        raise InputError("apt names no archive of Debian's, and this needs one")
    for folder in ("lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    (work / "status").touch()
    (work / "sources.list").write_text(f"deb [signed-by={KEYRING}] {archive} {release} main\n")
    settings = {
        "Dir::Etc::sourcelist": work / "sources.list", "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": work / "lists", "Dir::State::status": work / "status", "Dir::Cache": work / "cache",
        "APT::Architecture": architecture, "APT::Architectures": architecture, "APT::Sandbox::User": "root",
    }  # fmt: skip
    own = [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]
    run(["apt-get", "-q", *own, "update"])
    run(["apt-get", "-q", "-y", *own, "--download-only", "--no-install-recommends", "install", *packages.split()])
    return sorted((work / "cache" / "archives").glob("*.deb"))
