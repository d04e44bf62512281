"""LiteRT for ARM, emulated: Debian's arm64 Python and the aarch64 wheel of ai-edge-litert, side by side."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from edge.environments import other_platform, run
from edge.errors import InputError
from edge.files import moved_into_place, scratch_in
from edge.patience import PROBE_S, in_time

from . import home, not_set_up, processor

LITERT = "2.3.0"  # as in requirements.lock
NUMPY = "2.1.3"
PYTHON = "3.11"
PACKAGES = f"python{PYTHON}-minimal libpython{PYTHON}-stdlib libstdc++6 libc6"
RELEASE = "bookworm"  # of Debian, which has that Python
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
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
    for program in ("apt-get", "dpkg"):
        if not shutil.which(program):
            raise InputError(f"no {program}: the ARM runtime is set up on Debian and its relatives")
    processor.qemu()
    target = folder_of(version)
    with scratch_in(home()) as work, moved_into_place(target) as new:
        root = new / "root"
        root.mkdir(parents=True)
        for package in fetched(work):
            run(["dpkg", "-x", str(package), str(root)])
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


def fetched(work: Path) -> list[Path]:
    """The arm64 packages, downloaded by apt with a configuration of its own."""
    sites = run(["apt-get", "indextargets", "--format", "$(SITE)"]).split()
    archive = next((site for site in sites if "security" not in site), None)
    if archive is None or not KEYRING.is_file():
        raise InputError("apt names no archive of Debian's; the ARM runtime needs one")
    for folder in ("lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    (work / "status").touch()
    (work / "sources.list").write_text(f"deb [signed-by={KEYRING}] {archive} {RELEASE} main\n")
    settings = {
        "Dir::Etc::sourcelist": work / "sources.list", "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": work / "lists", "Dir::State::status": work / "status", "Dir::Cache": work / "cache",
        "APT::Architecture": "arm64", "APT::Architectures": "arm64", "APT::Sandbox::User": "root",
    }  # fmt: skip
    own = [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]
    run(["apt-get", "-q", *own, "update"])
    run(["apt-get", "-q", "-y", *own, "--download-only", "--no-install-recommends", "install", *PACKAGES.split()])
    return sorted((work / "cache" / "archives").glob("*.deb"))


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
