"""ONNX Runtime (.onnx), on this machine's processor: what apps on desktops, servers, phones and in browsers use.

Outputs are those of the runtime; times are this host's and never a phone's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import InputError, install
from edge.exporting import first_line
from edge.runtimes import Outputs, check_images, checked_answers

# As apps run a file, with the runtime's own rewrites of the graph, and without any: node by node as it is written.
MODES = ("onnxruntime", "onnxruntime-plain")
IMAGE, ANSWERS, PROBABILITIES, MASK = "image", "answers", "probabilities", "mask"  # the tensor contract's names
METADATA = "dermedge"  # key of the manifest's facts
MAX_BYTES = 512 * 2**20
QUIET = 4  # the runtime's own log: fatal errors alone; what fails is raised


class OnnxRuntime:
    """One .onnx file with the tensor contract: `image` float32 (1, S, S, 3) in, `probabilities` (1, K) out, and from
    some networks `mask` (1, S, S, 1). Some take `answers` (1, Q) as well."""

    def __init__(self, path: str | Path, *, mode: str = MODES[0], threads: int = 1, labels: Sequence[str] = ()) -> None:
        path = Path(path)
        if threads < 1:
            raise InputError(f"a file runs on at least one thread, got {threads}")
        if mode not in MODES:
            raise InputError(f"an .onnx file runs as {', '.join(MODES)}; got {mode!r}")
        content = read(path)
        check_installed()
        self.path, self.name, self.mode = path, path.name, mode
        self.session = opened(path, content, mode, threads)
        self.side, self.answer_places = inputs_of(path, self.session)
        self.classes, self.gives_mask = outputs_of(path, self.session, self.side)
        facts = own_facts(self.session.get_modelmeta().custom_metadata_map)
        self.recipe = facts.get("recipe")
        self.labels = codes_of(facts) or tuple(labels)

    def run(self, images_u8: np.ndarray, answers: np.ndarray | None = None) -> Outputs:
        """uint8 (N, S, S, 3) RGB -> probabilities, float64 (N, K), in the order of `labels`, and masks."""
        check_images(images_u8, self.side, self.name)
        return self.invoke(images_u8, answers)

    def run_floats(self, images: np.ndarray) -> Outputs:
        """The same for float32 (N, S, S, 3) of any numbers, with nothing answered."""
        check_images(images, self.side, self.name, dtype=np.float32)
        return self.invoke(images, None)

    def invoke(self, images: np.ndarray, answers: np.ndarray | None) -> Outputs:
        wanted = [PROBABILITIES, MASK] if self.gives_mask else [PROBABILITIES]
        rows, masks = [], []
        vectors = checked_answers(answers, len(images), self.answer_places, self.name)
        for image, vector in zip(images, vectors, strict=True):
            tensors = {IMAGE: np.ascontiguousarray(image[None], np.float32)}
            if self.answer_places:
                tensors[ANSWERS] = np.ascontiguousarray(vector[None])
            try:
                outputs = self.session.run(wanted, tensors)
            except Exception as error:  # the runtime has classes of its own, none of which is public
                raise InputError(
                    f"{self.path}: ONNX Runtime stops in it ({first_line(error)}); convert it again"
                ) from error
            rows.append(outputs[0][0])
            if self.gives_mask:
                masks.append(outputs[1][0, ..., 0])
        return Outputs(np.array(rows, np.float64), np.array(masks, np.float32) if self.gives_mask else None)

    def close(self) -> None:
        """Free the runtime's memory."""
        del self.session

    def shortcomings(self, *, recipe: str, side: int, labels: Sequence[str], answers: int = 0) -> list[str]:
        """What differs from the tensor contract and the recipe, in words; empty if nothing does."""
        wrong = []
        if self.answer_places != answers:
            wrong.append(f"takes answers of {self.answer_places} places, expected {answers}")
        if self.side != side:
            wrong.append(f"takes {self.side} x {self.side} pixels, expected {side} x {side}")
        if self.classes != len(labels):
            wrong.append(f"gives {self.classes} probabilities, expected {len(labels)}")
        if list(self.labels) != list(labels):
            wrong.append(f"class labels are {', '.join(self.labels)}, expected {', '.join(labels)}")
        if self.recipe != recipe:
            wrong.append(f"metadata says recipe {self.recipe!r}, expected {recipe!r}")
        return wrong


def missing(*, converting: bool = False) -> str | None:
    """Why .onnx files cannot be run (or written) here, in one line; None where they can."""
    import importlib.util

    names = ["onnxruntime", *(["onnx"] if converting else [])]
    if all(importlib.util.find_spec(name) for name in names):
        return None
    return f"{'writing' if converting else 'running'} .onnx files needs ONNX Runtime: {install('onnx')}"


def check_installed(*, converting: bool = False) -> None:
    """InputError that says what to install unless ONNX Runtime is here."""
    reason = missing(converting=converting)
    if reason:
        raise InputError(reason)


def read(path: Path) -> bytes:
    """The bytes of an .onnx file; InputError unless it is a file of bounded size.

    The runtime gets bytes and no path, so that a file cannot make it read another one beside it.
    """
    if not path.is_file():
        raise InputError(f"no .onnx file at {path}; `python convert/to_onnx.py` writes them")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path} is larger than {MAX_BYTES} bytes; expected a phone model")
    return path.read_bytes()


def opened(path: Path, content: bytes, mode: str, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = QUIET
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if mode == MODES[0] else level.ORT_DISABLE_ALL
    # its threads otherwise spin on the cores while others measure
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise InputError(f"{path}: ONNX Runtime cannot open it ({first_line(error)}); convert it again") from error


def inputs_of(path: Path, session: Any) -> tuple[int, int]:
    """The side of `image` in pixels, and the places of `answers`, 0 where there is no such input."""
    inputs = {entry.name: entry for entry in session.get_inputs()}
    image, answers = inputs.get(IMAGE), inputs.get(ANSWERS)
    shape = list(image.shape) if image else []
    second = list(answers.shape) if answers else [1, 0]
    if (
        len(inputs) != 1 + (answers is not None)
        or len(shape) != 4 or not isinstance(shape[1], int) or shape != [1, shape[1], shape[1], 3]
        or len(second) != 2 or second[0] != 1 or not isinstance(second[1], int)
        or any(entry.type != "tensor(float)" for entry in inputs.values())
    ):  # fmt: skip
        came = ", ".join(f"{entry.name} {entry.shape} {entry.type}" for entry in inputs.values())
        raise InputError(
            f"{path}: expected an input {IMAGE} (1, S, S, 3) of float32, beside it {ANSWERS} (1, Q) of float32 or "
            f"nothing; got {came or 'none'}"
        )
    return int(shape[1]), int(second[1])


def outputs_of(path: Path, session: Any, side: int) -> tuple[int, bool]:
    """How many probabilities there are, and whether a mask; InputError unless they are those of the contract."""
    outputs = {entry.name: list(entry.shape) for entry in session.get_outputs()}
    answer, mask = outputs.get(PROBABILITIES, []), outputs.get(MASK)
    if (
        len(outputs) != 1 + (mask is not None)
        or len(answer) != 2 or answer[0] != 1 or not isinstance(answer[1], int)
        or mask not in (None, [1, side, side, 1])
        or any(entry.type != "tensor(float)" for entry in session.get_outputs())
    ):  # fmt: skip
        came = ", ".join(f"{name} {shape}" for name, shape in outputs.items())
        raise InputError(
            f"{path}: expected an output {PROBABILITIES} (1, K) of float32, beside it {MASK} (1, {side}, {side}, 1) or "
            f"nothing; got {came or 'none'}"
        )
    return int(answer[1]), mask is not None


def own_facts(metadata: dict[str, str]) -> dict[str, Any]:
    """What conversion wrote into the file; what is damaged there counts as absent."""
    try:
        facts = json.loads(metadata.get(METADATA, "{}"))
    except (ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def codes_of(facts: dict[str, Any]) -> tuple[str, ...]:
    """Class codes in output order; none where the file has no names."""
    labels = facts.get("labels")
    entries = labels if isinstance(labels, list) else []
    return tuple(str(label["code"]) for label in entries if isinstance(label, dict) and "code" in label)
