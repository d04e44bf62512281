"""ARM processors of phones, by qemu's user-mode emulation: which there are, and how a program is started on one.

Emulated time says nothing about a phone's. `max` is left out: qemu 7.2 computes wrong 8-bit products with it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from edge.errors import InputError

from . import home

QEMU = "qemu-aarch64-static"
QEMU_ENVIRONMENT = "DERMEDGE_QEMU"  # another qemu, which may know more processors
BASIC = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
HALF = f"{BASIC} atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"  # fp16 arithmetic and 8-bit dot products


@dataclass(frozen=True)
class Processor:
    """What /proc/cpuinfo says of it, which LiteRT's choice of kernels reads and which has to match the emulation."""

    part: int
    features: str


PROCESSORS = {
    "cortex-a53": Processor(0xD03, BASIC),
    "cortex-a55": Processor(0xD05, HALF),
    "cortex-a76": Processor(0xD0B, HALF),
    "cortex-a710": Processor(0xD47, f"{HALF} i8mm bf16"),
}
DEFAULT = "cortex-a76"  # a typical phone since 2019
CORES = 4


def qemu() -> str:
    """The emulator; InputError where there is none."""
    program = os.environ.get(QEMU_ENVIRONMENT) or shutil.which(QEMU)
    if not program or not shutil.which(program):
        raise InputError(
            f"no {QEMU}, which runs ARM programs here: `apt-get install qemu-user-static`, or name another qemu in "
            f"{QEMU_ENVIRONMENT}"
        )
    return program


def emulated(name: str, libraries: Path, *settings: str) -> list[str]:
    """The start of a command line that runs an ARM program on a processor.

    `libraries`: the folder that stands for the root of the file system, with `lib/` inside. `settings`: NAME=VALUE of
    the program's environment. Raises InputError for a processor that this qemu does not know.
    """
    if name not in PROCESSORS:
        raise InputError(f"there is no processor {name!r}; there is {', '.join(PROCESSORS)}")
    program = qemu()
    known = subprocess.run([program, "-cpu", "help"], capture_output=True, text=True).stdout.split()
    if name not in known:
        version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout.split("\n")[0]
        raise InputError(
            f"{version} does not know {name}, but {', '.join(n for n in PROCESSORS if n in known)}; "
            f"name a newer qemu in {QEMU_ENVIRONMENT}"
        )
    environment = [part for setting in settings for part in ("-E", setting)]
    return [program, "-cpu", name, "-L", str(root_with(name, libraries)), *environment]


def root_with(name: str, libraries: Path) -> Path:
    """A root of the file system with those libraries and the processor's /proc/cpuinfo, kept under `home()`.

    qemu 7.2 shows programs the host's own cpuinfo unless the root has one, and LiteRT's reader of it crashes.
    """
    root = home() / "roots" / f"{libraries.name}-{name}"
    (root / "proc").mkdir(parents=True, exist_ok=True)
    for inside in ("lib", "usr"):
        if (libraries / inside).exists() and not (root / inside).is_symlink():
            (root / inside).symlink_to(libraries / inside)
    processor = PROCESSORS[name]
    entry = (
        "processor\t: {}\nBogoMIPS\t: 100.00\nFeatures\t: {}\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
        "CPU variant\t: 0x1\nCPU part\t: {:#x}\nCPU revision\t: 0\n\n"
    )
    text = "".join(entry.format(core, processor.features, processor.part) for core in range(CORES))
    (root / "proc" / "cpuinfo").write_text(text)
    return root
