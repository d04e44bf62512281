"""Checkpoint -> ONNX (operator set 12) -> onnx-tf 1.10.0 -> TensorFlow 2.15.1 -> TFLite.

The ONNX file is written as every other (`convert/_onnx/`), with GELUs spelled out; the two steps behind it run in the
environment `onnx-tf` (`edge/locked/onnx-tf.txt`), because their packages cannot live beside dermedge's.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

from edge.checkpoint import Checkpoint
from edge.environments import environment, folder_of, is_set_up, python_in, set_up
from edge.errors import InputError
from edge.exporting import shortened
from edge.patience import PROBE_S, in_time
from edge.runtimes.onnx import check_installed

from .._onnx import program
from .._tflite.file import Lowered, named
from .plain_gelu import plain_gelu

ENVIRONMENT = "onnx-tf"
OPSET = 12  # onnx-tf 1.10.0 stops at Squeeze and others of operator set 13
STEP = Path(__file__).with_name("step.py")
PATIENCE = 1800  # seconds for both steps
# Operators that the road has no way for, as `tests/convert/test_onnx_tf.py` found with this environment, and why.
WITHOUT: dict[str, str] = {}


def set_up_environment() -> Path:
    """Make the environment where it is not there yet; its folder. InputError as `edge.environments.set_up`."""
    return set_up(environment(ENVIRONMENT), starts)


def starts(folder: Path) -> None:
    """InputError unless both converters can be imported."""
    command = [*python_in(folder), "-c", "import onnx_tf.backend, tensorflow"]
    with in_time(f"the import of the environment {ENVIRONMENT}"):
        done = subprocess.run(command, capture_output=True, text=True, env=quiet(), timeout=PROBE_S)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise InputError(f"the environment {ENVIRONMENT} does not start here: {said[:300]}")


def check_set_up() -> Path:
    """The environment's folder; InputError that says how to make it where it is not there."""
    wanted = environment(ENVIRONMENT)
    if not is_set_up(wanted):
        raise InputError(f"the route onnx-tf needs an environment of its own: `dermedge setup {ENVIRONMENT}` makes it")
    return folder_of(wanted)


def float_model(checkpoint: Checkpoint) -> Lowered:
    """The float32 .tflite file of a checkpoint, by the old road.

    Raises InputError for an operation that the road has no way for, with its module, and where a step gives up.
    """
    import torch

    check_installed(converting=True)
    folder = check_set_up()
    side = checkpoint.preprocess.side
    onnx = program.lower(
        checkpoint.deployed(layout="NHWC"), torch.zeros(1, side, side, 3), opset=OPSET, before=(plain_gelu,),
        without=WITHOUT,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="dermedge-") as work:
        content = through_tensorflow(onnx.content, folder, Path(work))
    return Lowered(named(content), onnx.fired, "by onnx-tf 1.10.0 and TensorFlow 2.15.1, from ONNX of operator set 12")


def through_tensorflow(onnx: bytes, environment_folder: Path, work: Path) -> bytes:
    """The .tflite file of an ONNX model, made in the environment; `work` is a folder for what lies between.

    Raises InputError where a step gives up, and where what it read or wrote is not the file of this conversion.
    """
    source, target = work / "network.onnx", work / "network.tflite"
    source.write_bytes(onnx)
    digest = hashlib.sha256(onnx).hexdigest()
    command = [*python_in(environment_folder), str(STEP), str(source), digest, str(target)]
    with in_time("onnx-tf and TensorFlow"):
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=quiet(), timeout=PATIENCE)
    facts = facts_of(done)
    if "error" in facts:
        raise InputError(f"the route onnx-tf cannot take the network: {in_words(str(facts['error']))}")
    content = target.read_bytes()
    if facts != {"onnx_sha256": digest, "tflite_sha256": hashlib.sha256(content).hexdigest()}:
        raise InputError("the file that came out of TensorFlow is not the one of this conversion (SHA-256); try again")
    return content


def facts_of(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    """What the step said on its last line, `error` where it said nothing."""
    try:
        facts = json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        facts = None
    if isinstance(facts, dict):
        return facts
    said = (done.stderr.strip().splitlines() or ["no word"])[-1]
    return {"error": f"the step ended with exit code {done.returncode}: {said}"}


def in_words(error: str) -> str:
    """A converter's message in one line, with the operators that it names."""
    operators = sorted(set(re.findall(r"'?(tf\.[A-Z]\w+)'? op is neither", error)))
    if operators:
        return f"TFLite has no built-in operator for TensorFlow's {', '.join(operators)}"
    return shortened(error)


def quiet() -> dict[str, str]:
    """The environment's variables: no GPU, no log of every step."""
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "TF_ENABLE_ONEDNN_OPTS": "0"}
