"""Swift of Debian 13, which builds and tests the code of apps/ios_demo on Linux: a folder that a process takes as root.

Debian's compiler needs a newer C library than Debian 12 has, so it lives in a folder of its own. A process enters it in
namespaces of its own: what is mounted there, and all that it started, is gone when it ends, however it ends.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge.errors import InputError
from edge.files import moved_into_place, scratch_in
from edge.locks import alone_in
from edge.patience import INSTALL_S, in_time

from . import debian, home, not_set_up

RELEASE = "trixie"
PACKAGES = (
    "swiftlang libc6-dev libstdc++-14-dev git ca-certificates libplist-utils "
    "base-files bash coreutils findutils grep sed libc-bin"
)
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
SOURCES = "/sources"  # where a process finds the folder that it was given
PATH = "/usr/libexec/swift/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # Debian keeps Swift in a folder of its own
BUILD = "/build"  # what a compiler keeps, for the next time
# Proc, devices and the sources become part of the new root; then the command runs in it.
ENTER = (
    'root=$1 sources=$2; shift 2; mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" && '
    'mount --bind "$sources" "$root/sources" && exec chroot "$root" "$@"'
)


def folder() -> Path:
    return home() / f"swift-{RELEASE}"


def is_set_up() -> bool:
    return (folder() / "root/usr/libexec/swift/bin/swift-frontend").is_file()


def set_up() -> Path:
    """Fetch Debian's packages and ask the compiler for its version; the folder, of 2.6 GB. Replaces an earlier one.

    Raises InputError where apt cannot give them or the compiler does not start here, with what was said.
    """
    if platform.machine() not in ARCHITECTURES:
        raise InputError(f"Debian has no Swift for {platform.machine()}")
    for program in ("unshare", "chroot"):
        if not shutil.which(program):
            raise InputError(f"no {program}, with which Swift is started: `apt-get install util-linux coreutils`")
    target = folder()
    architecture = ARCHITECTURES[platform.machine()]
    with alone_in(home()), scratch_in(home()) as work, moved_into_place(target) as new:
        root = new / "root"
        debian.unpacked(root, work, release=RELEASE, architecture=architecture, packages=PACKAGES)
        for name in ("proc", "dev", "tmp", "root", SOURCES[1:], BUILD[1:]):
            (root / name).mkdir(exist_ok=True)
        done = run_in(root, ["swift", "--version"], sources=root / "tmp")
        if done.returncode:
            raise InputError(f"Debian's Swift does not start here: {done.stdout.strip()[-300:]}")
    return target


def run(
    command: Sequence[str], *, sources: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program of that root, which finds the folder `sources` as /sources; what it said is in `stdout`.

    One process at a time, because they share /build. Raises InputError where Swift is not set up, or after an hour.
    """
    if not is_set_up():
        raise not_set_up(folder(), "Swift", "dermedge setup swift")
    with alone_in(folder()):
        return run_in(folder() / "root", command, sources=sources, environment=environment)


def run_in(
    root: Path, command: Sequence[str], *, sources: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    own = [] if os.geteuid() == 0 else ["--map-root-user"]  # a user without rights is root inside alone
    settings = {"HOME": "/root", "PATH": PATH, "LANG": "C.UTF-8", **(environment or {})}
    enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", *own, "sh", "-c", ENTER, "sh"]
    with in_time(f"`{' '.join(command)[:60]}`"):
        return subprocess.run(
            [*enter, str(root), str(sources.resolve()), *command],
            env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            timeout=INSTALL_S,
        )  # fmt: skip
