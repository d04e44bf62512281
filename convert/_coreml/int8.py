"""The scheme of the int8 package: the one kept with the checkpoint, or one measured on photographs now."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge import scheme as schemes
from edge.checkpoint import Checkpoint
from edge.data.selection import Photographs, calibration_set
from edge.data.squares import load_squares
from edge.runtimes.coreml.program import Program
from edge.runtimes.reference import Reference
from edge.scheme import Scheme

from .._aim import Aim
from .._kept import first, kept_scheme, measured_on
from .choose import NO_AIM, choose
from .imitate import Imitation
from .layers import Weighted

IMAGES = 192  # of training patients: two thirds give ranges, one third judges the choice


@dataclass(frozen=True)
class Int8Scheme:
    scheme: Scheme
    places: list[Weighted]  # the layers of the program that the scheme is of
    how: str  # in words


def scheme_for(
    checkpoint: Checkpoint,
    half,
    stored,
    *,
    data: Photographs,
    kept: Sequence[Path] = (),
    target: Path | None = None,
    skip_unreadable: bool = False,
    aim: Aim = NO_AIM,
) -> Int8Scheme:
    """The scheme of an fp16 program for iOS 17 (an MLModel); `stored` is the same with 8-bit weights.

    `kept`: weight files that may have a scheme beside them; one of exactly this program and checkpoint is used as it
    is, unless `aim` asks for more 8-bit products. Otherwise it is measured on photographs of training patients from
    `data` (or drawn images) and written beside `target`. Raises Unreachable if no choice can pass the gate.
    """
    with tempfile.TemporaryDirectory() as folder:
        fp16, int8 = (opened(model, Path(folder, name)) for name, model in (("fp16", half), ("int8", stored)))
    key = program_key(fp16.model.program)
    scheme = first(kept_scheme(path.with_suffix(schemes.COREML_SUFFIX), checkpoint.sha256, key) for path in kept)
    if scheme is not None and not (aim.binding and scheme.measured["macs_8bit"] < aim.share):
        return Int8Scheme(scheme, fp16.layers, "scheme as kept with the checkpoint")
    photos = calibration_set(checkpoint, data, limit=IMAGES, skip_missing=skip_unreadable)
    photos, squares = load_squares(photos, checkpoint.preprocess.side, skip_unreadable=skip_unreadable)
    squares = squares[np.random.default_rng(0).permutation(len(squares))]  # sets mixed in both parts
    calibrating, judging = np.split(squares, [len(squares) * 2 // 3])
    facts = {"model": checkpoint.model, "checkpoint_sha256": checkpoint.sha256, "graph": key, "data": photos.name}
    scheme = choose(fp16, int8, calibrating, judging, Reference(checkpoint).run(judging), facts=facts, aim=aim)
    if target:
        schemes.save(target.with_suffix(schemes.COREML_SUFFIX), scheme)
    return Int8Scheme(scheme, fp16.layers, measured_on(photos))


def opened(model, path: Path) -> Imitation:
    """An MLModel, saved and opened by our runtime, which reads packages from disk."""
    path = path.with_suffix(".mlpackage")
    model.save(str(path))
    return Imitation(path)


def program_key(program: Program) -> str:
    """SHA-256 of a program's operations, names and shapes. Weights are not in it: the checkpoint's own covers them."""
    plain = [
        [operation.kind, operation.name, [[o.name, o.shape] for o in operation.outputs]]
        for operation in program.operations
    ]
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()
