"""MediaPipe Tasks on this machine, in a locked environment: what it makes of a .tflite by the file's own metadata."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.environments import Environment, environment, folder_of, is_set_up, python_in
from edge.environments import set_up as set_up_environment
from edge.errors import InputError
from edge.patience import PROBE_S, in_time
from edge.runtimes import check_images

from . import not_set_up

LOCK = "mediapipe-1.2.3"
WORKER = Path(__file__).with_name("mediapipe_worker.py")
REFUSED = 3  # exit code of the worker
ANSWER_S = 600  # seconds for all images of a call


@dataclass(frozen=True)
class Classified:
    """What ImageClassifier says of N images."""

    codes: tuple[str, ...]  # category names, in output order
    names: tuple[str, ...]  # display names in English, in output order
    probabilities: np.ndarray  # float64 (N, K)


def wanted() -> Environment:
    return environment(LOCK)


def set_up() -> Path:
    """Make the environment where it is not there yet; its folder. InputError as `edge.environments.set_up`."""
    return set_up_environment(wanted(), starts)


def starts(folder: Path) -> None:
    """InputError unless MediaPipe's tasks can be imported."""
    command = [*python_in(folder), "-c", "from mediapipe.tasks.python import vision"]
    with in_time(f"the import of the environment {LOCK}"):
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=PROBE_S)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise InputError(f"the environment {LOCK} does not start here: {said[:300]}")


def classify(path: Path, images_u8: np.ndarray) -> Classified:
    """By ImageClassifier: uint8 (N, S, S, 3) RGB of the file's own side, which MediaPipe then does not resize.

    Raises InputError where MediaPipe is not set up, and, with its words, where it refuses the file.
    """
    said, scores = ask("classify", path, images_u8)
    codes, names = tuple(map(str, said["codes"])), tuple(map(str, said["names"]))
    return Classified(codes, names, scores.astype(np.float64).reshape(len(images_u8), len(codes)))


def segment(path: Path, images_u8: np.ndarray) -> np.ndarray:
    """By ImageSegmenter: the confidence mask of each picture, float32 (N, S, S)."""
    _, masks = ask("segment", path, images_u8)
    return masks.reshape(images_u8.shape[:3])


def ask(task: str, path: Path, images_u8: np.ndarray) -> tuple[dict, np.ndarray]:
    """What the worker says on its first line, and the float32 numbers behind it."""
    check_images(images_u8, images_u8.shape[1] if images_u8.ndim > 1 else 0, path.name)
    if not is_set_up(wanted()):
        raise not_set_up(folder_of(wanted()), "MediaPipe", "dermedge setup mediapipe")
    with tempfile.TemporaryDirectory(prefix="dermedge-") as work:
        pictures = Path(work) / "pictures.npy"
        np.save(pictures, images_u8, allow_pickle=False)
        command = [*python_in(folder_of(wanted())), str(WORKER), task, str(path.resolve()), str(pictures)]
        with in_time("MediaPipe"):
            done = subprocess.run(command, capture_output=True, timeout=ANSWER_S)
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        said = next((line for line in reversed(lines) if line.startswith("worker: ")), lines[-1] if lines else "")
        verb = "does not open it" if done.returncode == REFUSED else "broke"
        raise InputError(f"{path.name}: MediaPipe {verb}: {said.removeprefix('worker: ')[:400] or 'it gave no reason'}")
    head, _, numbers = done.stdout.partition(b"\n")
    return json.loads(head), np.frombuffer(numbers, np.float32)
