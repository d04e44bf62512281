"""The calibration that travels with a checkpoint, so that a clone without photographs gives the same int8 file.

`<stem>.calibration.json` beside the weights: for each float graph (by `graph_key`) the range of every tensor on
photographs of training patients.
"""

from __future__ import annotations

import math
from pathlib import Path

from edge.errors import InputError
from edge.files import read_json, write_json

from ._tflite import Ranges

SCHEMA = "dermedge/calibration/1"


def beside(checkpoint: Path) -> Path:
    return checkpoint.with_suffix(".calibration.json")


def load(path: Path, *, checkpoint_sha256: str, key: str) -> Ranges | None:
    """The ranges for this checkpoint and graph, or None; InputError if the file is malformed."""
    if not path.is_file():
        return None
    stored = read_json(path, what=f"calibrated ranges ({SCHEMA})")
    if stored.get("schema") != SCHEMA:
        raise InputError(
            f"{path}: expected schema {SCHEMA}, got {stored.get('schema')!r}; remove it or calibrate again"
        )
    if stored.get("checkpoint_sha256") != checkpoint_sha256 or stored.get("graph") != key:
        return None
    ranges = {}
    for name, pair in stored.get("ranges", {}).items():
        if not (
            isinstance(pair, list) and len(pair) == 2 and all(math.isfinite(v) for v in pair) and pair[0] <= pair[1]
        ):
            raise InputError(f"{path}: {name}: expected [smallest, largest], got {pair!r}")
        ranges[name] = (float(pair[0]), float(pair[1]))
    return ranges


def save(path: Path, ranges: Ranges, *, checkpoint_sha256: str, key: str, images: int, data: str) -> None:
    """Write the ranges, rounded to what float32 can tell apart."""
    write_json(
        path,
        {
            "schema": SCHEMA,
            "checkpoint_sha256": checkpoint_sha256,
            "graph": key,
            "images": images,
            "data": data,
            "ranges": {name: [float(f"{low:.9g}"), float(f"{high:.9g}")] for name, (low, high) in ranges.items()},
        },
    )
