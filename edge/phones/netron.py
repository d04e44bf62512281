"""Netron on this machine, in a locked environment: what its own readers show of a converted file."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.environments import Environment, environment, folder_of, is_set_up
from edge.environments import set_up as set_up_environment
from edge.errors import InputError
from edge.patience import PROBE_S, in_time

from . import not_set_up

LOCK = "netron-9.3.3"
WORKER = Path(__file__).with_name("netron_worker.mjs")
EXAMPLE = Path(__file__).with_name("twice.tflite")


@dataclass(frozen=True)
class End:
    """An input or output, as Netron lists it."""

    name: str
    type: str  # `float32[1,256,256,3]`
    description: str


@dataclass(frozen=True)
class Shown:
    format: str  # `TensorFlow Lite v3`
    name: str
    description: str
    metadata: dict[str, str]
    inputs: tuple[End, ...]
    outputs: tuple[End, ...]
    operators: tuple[str, ...]  # kinds, in the graph's order


def wanted() -> Environment:
    return environment(LOCK)


def set_up() -> Path:
    """Make the environment where it is not there yet; its folder. InputError as `edge.environments.set_up`, and
    without Node.js, which runs Netron's readers."""
    return set_up_environment(wanted(), starts)


def starts(folder: Path) -> None:
    """InputError unless Netron's readers open a file."""
    opened(EXAMPLE, folder)


def shown(path: Path) -> Shown:
    """What Netron shows of a .tflite, .onnx or .mlpackage.

    Raises InputError where Netron is not set up, there is no Node.js, or, with Netron's words, where it refuses.
    """
    if not is_set_up(wanted()):
        raise not_set_up(folder_of(wanted()), "Netron", "dermedge setup netron")
    return opened(path, folder_of(wanted()))


def opened(path: Path, folder: Path) -> Shown:
    """The same by the environment in `folder`."""
    node = shutil.which("node")
    if node is None:
        raise InputError("no node, which runs Netron's readers: `apt-get install nodejs`, version 18 or later")
    packages = next(folder.glob("lib/python*/site-packages/netron"), None)
    if packages is None:
        raise InputError(f"the environment {LOCK} has no Netron in it; delete {folder} and set it up again")
    with in_time("Netron"):
        done = subprocess.run(
            [node, str(WORKER), str(packages), str(path)], capture_output=True, text=True, errors="replace",
            timeout=PROBE_S,
        )  # fmt: skip
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it gave no reason"]
        said = next((line for line in lines if "Error" in line), lines[-1])
        raise InputError(f"{path.name}: Netron does not open it: {said.strip()[:400]}")
    facts: dict[str, Any] = json.loads(done.stdout)
    for key in ("inputs", "outputs"):
        facts[key] = tuple(End(**one) for one in facts[key])
    return Shown(**facts | {"operators": tuple(facts["operators"])})
