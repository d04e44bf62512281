"""LiteRT for ARM, emulated: Debian's arm64 Python and the aarch64 wheel of ai-edge-litert, side by side."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from edge.environments import other_platform, run
from edge.errors import InputError
from edge.files import moved_into_place, scratch_in
from edge.patience import PROBE_S, in_time

from . import debian, home, not_set_up, processor

LITERT = "2.3.0"  # as in requirements.lock
NUMPY = "2.1.3"
PYTHON = "3.11"
PACKAGES = f"python{PYTHON}-minimal libpython{PYTHON}-stdlib libstdc++6 libc6"
RELEASE = "bookworm"  # of Debian, which has that Python
WORKER = Path(__file__).with_name("worker.py")
MODULE = "ai_edge_litert.interpreter"


def folder_of(version: str) -> Path:
    return home() / f"arm-{version}"


def is_set_up(version: str = LITERT) -> bool:
    return (folder_of(version) / "packages").is_dir()


def set_up(version: str = LITERT) -> Path:
    """Download and unpack both; the folder. Replaces what an earlier set-up left.

    Debian's packages come from the archive that this machine's apt uses, in a configuration of their own: nothing is
    installed. Raises InputError where apt, dpkg or pip cannot give them, with what they said.
    """
    processor.qemu()
    target = folder_of(version)
    with scratch_in(home()) as work, moved_into_place(target) as new:
        debian.unpacked(new / "root", work, release=RELEASE, architecture="arm64", packages=PACKAGES)
        run([
            sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target",
            str(new / "packages"), *other_platform("aarch64", PYTHON), "--only-binary=:all:",
            f"ai-edge-litert=={version}", f"numpy=={NUMPY}",
        ])  # fmt: skip
    probe = [*python(version, processor.DEFAULT), "-c", "import numpy, ai_edge_litert.interpreter"]
    with in_time(f"LiteRT {version} for ARM"):
        said = subprocess.run(probe, timeout=PROBE_S)
    if said.returncode:
        raise InputError(f"LiteRT {version} for ARM does not start here")
    return target


def python(version: str, cpu: str, packages: Path | None = None) -> list[str]:
    """The start of a command line of the emulated Python, which finds LiteRT, or other `packages` in its place."""
    folder = folder_of(version)
    settings = [f"PYTHONPATH={packages or folder / 'packages'}", "PYTHONDONTWRITEBYTECODE=1", "OMP_NUM_THREADS=1"]
    return [
        *processor.emulated(cpu, folder / "root", *settings),
        str(folder / "root" / "usr" / "bin" / f"python{PYTHON}"),
    ]


def command(path: Path, *, version: str = LITERT, threads: int = 1, cpu: str = processor.DEFAULT) -> list[str]:
    """The command line that answers for a .tflite frame by frame, as worker.py says; InputError if not set up."""
    if not is_set_up(version):
        raise not_set_up(folder_of(version), f"LiteRT {version} for ARM", "dermedge setup arm")
    return [*python(version, cpu), str(WORKER), str(path), str(threads), MODULE]
