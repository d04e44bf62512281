"""Packages that coremltools makes of TensorFlow, which lives in an environment of its own (`coreml-tensorflow`)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np

from edge.environments import environment, folder_of, is_set_up, python_in, set_up
from edge.errors import InputError
from edge.patience import in_time

ENVIRONMENT = "coreml-tensorflow"
STEP = Path(__file__).with_name("_others_tensorflow.py")
PATIENCE_S = 1800  # for a package


def set_up_environment() -> Path:
    """Make the environment where it is not there yet; its folder."""
    return set_up(environment(ENVIRONMENT))


def tensorflow_package(name: str, folder: Path) -> tuple[Path, dict[str, np.ndarray], list[np.ndarray]]:
    """A package, inputs for it by name, and TensorFlow's answers. InputError where the environment is not there."""
    wanted = environment(ENVIRONMENT)
    if not is_set_up(wanted):
        raise InputError(
            f"packages of TensorFlow need the environment {ENVIRONMENT}: "
            "`python benchmarks/others_packages.py --set-up` makes it, or choose rows with `only`"
        )
    command = [*python_in(folder_of(wanted)), str(STEP), name, str(folder)]
    settings = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    with in_time(f"TensorFlow, which makes {name},"):
        done = subprocess.run(command, capture_output=True, text=True, env=settings, timeout=PATIENCE_S)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise InputError(f"TensorFlow's package {name} could not be made: {said[:300]}")
    with np.load(folder / "example.npz") as arrays:
        inputs = {key.removeprefix("input "): arrays[key] for key in arrays if key.startswith("input ")}
        answers = [arrays[key] for key in arrays if key.startswith("answer ")]
    return folder / "m.mlpackage", inputs, answers
