"""Python environments of their own for packages that cannot live beside dermedge's: old runtimes, old converters.

Each is made from a lock in `edge/locked/`, which names every package with its version and the SHA-256 of its files. It
lies in one cache folder under a name made of the lock's contents and the interpreter's version, is built in a scratch
folder and then moved into place. A finished one is used again; one that is no longer wanted is a folder to delete.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from edge.errors import InputError
from edge.files import moved_into_place, read_json, write_json
from edge.locks import alone_in
from edge.patience import INSTALL_S, PROBE_S, in_time
from edge.phones import home

LOCKS = Path(__file__).with_name("locked")
FACTS = "environment.json"  # what an environment says of itself; the last file that is written into one
PACKAGES = "packages"  # where those of another machine's environment lie, which has no interpreter here
PYTHON_ENVIRONMENT = "DERMEDGE_PYTHON"  # an interpreter for these environments, where none is found
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)
OLDEST_GLIBC, NEWEST_GLIBC = 5, 34  # minor versions of glibc 2 whose wheels are taken for another machine
DIGITS = 12  # of a digest, in a folder's name


@dataclass(frozen=True)
class Environment:
    """A lock, and what its packages run on."""

    name: str  # of the lock: edge/locked/NAME.txt
    python: str = "3.11"  # major and minor version that the wheels are for
    machine: str | None = None  # as platform.machine() says it, where that is not this one: run by an emulator

    @property
    def lock(self) -> Path:
        return LOCKS / f"{self.name}.txt"

    @property
    def foreign(self) -> bool:
        return self.machine is not None and self.machine != platform.machine()


def environment(name: str, *, machine: str | None = None, python: str = "3.11") -> Environment:
    """One by name. Raises InputError where there is no such lock, or none for this system."""
    env = Environment(name, python, machine)
    if not env.lock.is_file():
        known = ", ".join(path.stem for path in sorted(LOCKS.glob("*.txt")))
        raise InputError(f"there is no locked environment {name!r}; there is {known}")
    if not sys.platform.startswith("linux"):
        raise InputError(f"the environment {name} is locked to wheels for Linux; this is {sys.platform}")
    return env


def lock_sha256(wanted: Environment) -> str:
    return hashlib.sha256(wanted.lock.read_bytes()).hexdigest()


def folder_of(wanted: Environment) -> Path:
    """Where it is, or would be: made of its name, its lock, the interpreter's version and the machine."""
    version = wanted.python if wanted.foreign else interpreter(wanted.python)[1]
    machine = wanted.machine or platform.machine()
    digest = hashlib.sha256(f"{lock_sha256(wanted)} {version} {machine}".encode()).hexdigest()
    return home() / "environments" / f"{wanted.name}-{machine}-{digest[:DIGITS]}"


def is_set_up(wanted: Environment) -> bool:
    """Whether it is there and finished. False where its interpreter is missing."""
    try:
        return (folder_of(wanted) / FACTS).is_file()
    except InputError:
        return False


def set_up(wanted: Environment, check: Callable[[Path], None] | None = None) -> Path:
    """Install what the lock names, unless it is there; the folder.

    `check` is called with the unfinished folder and raises InputError where the environment does not work. Raises
    InputError where the interpreter is missing or pip cannot install, with what it said; nothing is left then.
    """
    target = folder_of(wanted)
    with alone_in(target.parent):
        if is_set_up(wanted):
            return target
        with moved_into_place(target) as new:
            if wanted.foreign:
                new.mkdir()
                where = ["--target", str(new / PACKAGES), *other_platform(str(wanted.machine), wanted.python)]
                pip(wanted, ["install", *where])
            else:
                run([*venv_maker(wanted.python), str(new)], patience_s=PROBE_S)
                pip(wanted, ["--python", str(new / "bin" / "python"), "install"])
            if check:
                check(new)
            write_json(new / FACTS, described(wanted))
    return target


def described(wanted: Environment) -> dict[str, object]:
    """What a report says of it: its name, the SHA-256 of its lock, interpreter, machine, and packages with versions."""
    return {
        "name": wanted.name,
        "lock_sha256": lock_sha256(wanted),
        "python": wanted.python if wanted.foreign else interpreter(wanted.python)[1],
        "machine": wanted.machine or platform.machine(),
        "packages": dict(PINNED.findall(wanted.lock.read_text(encoding="utf-8"))),
    }


def facts(wanted: Environment) -> dict:
    """The same of one that is set up, as it was written when it was made. InputError where it is not set up."""
    return read_json(folder_of(wanted) / FACTS, expected=f"the environment {wanted.name}, set up")


def python_in(folder: Path) -> list[str]:
    """The start of a command line of an environment for this machine: its interpreter, without the user's settings."""
    return [str(folder / "bin" / "python"), "-I"]


def pip(wanted: Environment, arguments: list[str]) -> None:
    """Install the lock's packages and no others; only wheels, each with the digest that the lock states."""
    strict = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--quiet", "--no-warn-script-location"]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments, *strict, "-r", str(wanted.lock)]
    with in_time(f"pip, which makes the environment {wanted.name},"):
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S)
    if done.returncode:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        said = next((line for line in lines if "No matching distribution" in line), lines[-1] if lines else "nothing")
        raise InputError(
            f"pip cannot make the environment {wanted.name} (Python {wanted.python}, "
            f"{wanted.machine or platform.machine()}); it says: {said.removeprefix('ERROR: ')[:300]}"
        )


def other_platform(machine: str, python: str) -> list[str]:
    """pip's flags for wheels of another Linux machine and Python."""
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(NEWEST_GLIBC, OLDEST_GLIBC - 1, -1)]
    tags += [f"manylinux2014_{machine}", f"manylinux2010_{machine}", f"manylinux1_{machine}"]
    abis = [f"cp{python.replace('.', '')}", "abi3", "none"]
    return [
        "--python-version", python, "--implementation", "cp",
        *[part for tag in tags for part in ("--platform", tag)],
        *[part for abi in abis for part in ("--abi", abi)],
    ]  # fmt: skip


def venv_maker(python: str) -> list[str]:
    return [interpreter(python)[0], "-I", "-m", "venv", "--without-pip"]


@cache
def interpreter(python: str) -> tuple[str, str]:
    """Path and full version of a Python of that major and minor version.

    Looked for in `$DERMEDGE_PYTHON`, as the Python that runs this, and on the path. Raises InputError where none is.
    """
    program = "import os, platform, sys; print(os.path.realpath(sys.executable), platform.python_version())"
    own = os.environ.get(PYTHON_ENVIRONMENT)
    for candidate in [own] if own else [sys.executable, shutil.which(f"python{python}")]:
        if not candidate:
            continue
        try:
            done = subprocess.run([candidate, "-I", "-c", program], capture_output=True, text=True, timeout=PROBE_S)
        except (OSError, subprocess.TimeoutExpired):
            continue
        path, _, version = done.stdout.strip().rpartition(" ")
        if done.returncode == 0 and version.startswith(f"{python}."):
            return path, version
    where = f"{own}, which {PYTHON_ENVIRONMENT} names, is none" if own else "none is on the path"
    raise InputError(
        f"this environment needs Python {python}, for which its wheels are made, and {where}; install it "
        f"(`apt-get install python{python} python{python}-venv`), or name one in {PYTHON_ENVIRONMENT}"
    )


def run(command: list[str], *, patience_s: float = INSTALL_S) -> str:
    """What a program says on standard output; InputError with its last words where it fails or takes longer."""
    name = f"`{' '.join(command[:2])} …`"
    with in_time(name):
        done = subprocess.run(command, capture_output=True, text=True, timeout=patience_s)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "?").splitlines()[-1]
        raise InputError(f"{name} failed: {said[:300]}")
    return done.stdout
