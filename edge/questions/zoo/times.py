"""How long an image takes, as a multiple of the yardstick's time in the same rounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge import artifact
from edge.files import read_json, sha256, write_json
from edge.questions.zoo.plan import YARDSTICK, YARDSTICK_RECIPE
from edge.questions.zoo.rounds import timed

TIMES = "times.json"


def ratios(model: str, out: Path, *, rounds: int) -> dict[str, dict[str, float]]:
    """File name -> {"ms", "ratio"} of a model's .tflite files, one thread. Kept in the folder, by the files' digests.

    The yardstick runs in every round beside the model's files, so that a machine that slows down slows both; the
    ratio is the median over the rounds.
    """
    folder = out / model
    yardstick = out / YARDSTICK / f"{YARDSTICK}-{YARDSTICK_RECIPE}.tflite"
    files = [entry for entry in artifact.read(folder).files if entry.format == "tflite"]
    if not files or not yardstick.exists():
        return {}
    identity = {"rounds": rounds, "yardstick": sha256(yardstick), **{e.file: e.sha256 for e in files}}
    kept = folder / TIMES
    if kept.is_file():
        earlier = read_json(kept, expected="times that the zoo has measured")
        if earlier.get("identity") == identity:
            return earlier["times"]
    paths = {"": yardstick} | {entry.file: folder / entry.file for entry in files}
    measured = {name: np.array(took.milliseconds) for name, took in timed(paths, 1, rounds).items()}
    times = {
        name: {"ms": float(np.median(took)), "ratio": float(np.median(took / measured[""]))}
        for name, took in measured.items()
        if name
    }
    write_json(kept, {"identity": identity, "times": times})
    return times
