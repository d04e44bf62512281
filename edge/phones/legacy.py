"""Earlier TFLite interpreters, each in a locked environment, on this machine and on an emulated ARM processor.

`tflite-runtime` is TFLite without TensorFlow, for Linux boards; `tensorflow` has the interpreter of its release;
`litert` is TFLite under its new name.
"""

from __future__ import annotations

import logging
import platform
import struct
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edge.environments import PACKAGES, Environment, environment, folder_of, is_set_up, python_in, set_up
from edge.errors import InputError
from edge.patience import PROBE_S, in_time

from . import arm, not_set_up, processor

log = logging.getLogger("dermedge")

EMULATED = "aarch64"
# One ADD: four float32 numbers in, twice each out. A package that is imported may still fail where NumPy is another.
PROBE = Path(__file__).with_name("twice.tflite")
ASKED, ANSWER = struct.pack("<4f", 1, 2, 3, -4), struct.pack("<4f", 2, 4, 6, -8)


@dataclass(frozen=True)
class Library:
    """Where the interpreter's class is, and the versions that are locked, the oldest first."""

    module: str
    versions: tuple[str, ...]
    without_arm: tuple[str, ...] = ()  # versions without wheels for ARM, or too large to be emulated


TENSORFLOWS = ("2.15.1", "2.16.2", "2.17.1", "2.18.1", "2.19.1")
LIBRARIES = {
    "tflite-runtime": Library("tflite_runtime.interpreter", ("2.14.0",)),
    "tensorflow": Library("tensorflow.lite.python.interpreter", TENSORFLOWS, without_arm=TENSORFLOWS),
    "litert": Library("ai_edge_litert.interpreter", ("1.0.1", "1.1.2", "1.2.0", "1.4.0", "2.0.3"), ("1.0.1",)),
}


def environment_of(library: str, version: str, machine: str | None = None) -> Environment:
    """Of one interpreter. InputError where that version is not locked, or has no wheels for ARM."""
    known = LIBRARIES[library]
    if version not in known.versions:
        raise InputError(f"there is no locked {library} {version}; there is {', '.join(known.versions)}")
    if machine == EMULATED and version in known.without_arm:
        raise InputError(f"{library} {version} is not set up for ARM; android:VERSION is TFLite of most releases there")
    return environment(f"{library}-{version}", machine=machine)


def is_here(library: str, version: str) -> bool:
    """Whether that very version is set up for this machine's own processor."""
    return version in LIBRARIES[library].versions and is_set_up(environment_of(library, version))


def every_environment(library: str | None = None) -> list[tuple[str, Environment]]:
    """The library's name and each of its environments, those for ARM last; of all libraries without a name."""
    own = platform.machine()
    emulated = [] if own == EMULATED else [EMULATED]
    return [
        (name, environment_of(name, version, machine))
        for machine in [None, *emulated]
        for name, known in LIBRARIES.items()
        if library in (None, name)
        for version in known.versions
        if not (version in known.without_arm and EMULATED in (machine, own))
    ]


def set_up_all(library: str | None = None) -> list[Path]:
    """Make what is not there; the folders. Without the emulated Python of `dermedge setup arm` those for ARM are left
    out, which the log says. Raises InputError for a library that there is not, and as `edge.environments.set_up`."""
    if library not in (None, *LIBRARIES):
        raise InputError(f"`only` is one of {', '.join(LIBRARIES)}; got {library!r}")
    wanted = every_environment(library)
    if not arm.is_set_up():
        left = [env.name for _, env in wanted if env.foreign]
        wanted = [(name, env) for name, env in wanted if not env.foreign]
        if left:
            log.info("left out for ARM: %s; `dermedge setup arm` first, then this again", ", ".join(left))
    return [set_up(env, partial(starts, LIBRARIES[name].module, env)) for name, env in wanted]


def starts(module: str, env: Environment, folder: Path) -> None:
    """InputError unless the interpreter of that folder runs a file rightly."""
    python = python_of(env, folder)
    with in_time(env.name):
        done = subprocess.run(worker(python, PROBE, 1, module), input=ASKED, capture_output=True, timeout=PROBE_S)
    if done.stdout.partition(b"\n")[2] != ANSWER:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        said = lines[-1] if lines else f"exit code {done.returncode}"
        raise InputError(f"{env.name} does not run a file here: {said[:300]}")


def worker(python: list[str], path: Path, threads: int, module: str) -> list[str]:
    return [*python, str(arm.WORKER), str(path), str(threads), module]


def python_of(env: Environment, folder: Path, cpu: str = processor.DEFAULT) -> list[str]:
    """The start of a command line of the Python that finds the environment's packages."""
    return arm.python(arm.LITERT, cpu, folder / PACKAGES) if env.foreign else python_in(folder)


def command(library: str, path: Path, *, version: str, threads: int = 1, cpu: str | None = None) -> list[str]:
    """The command line that answers for a .tflite frame by frame, as worker.py says; `cpu`: an emulated processor.

    Raises InputError for a version that is not locked, or not set up.
    """
    env = environment_of(library, version, EMULATED if cpu else None)
    if not is_set_up(env) or (env.foreign and not arm.is_set_up()):
        before = "dermedge setup arm` and `" if env.foreign and not arm.is_set_up() else ""
        what = f"{library} {version}{' for ARM' if cpu else ''}"
        raise not_set_up(folder_of(env), what, f"{before}dermedge setup legacy --only {library}")
    python = python_of(env, folder_of(env), cpu or processor.DEFAULT)
    return worker(python, path, threads, LIBRARIES[library].module)
