"""Two .tflite files of one network, by the direct road and by onnx-tf: operator by operator and number by number."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from edge.errors import InputError
from edge.metrics import statistics as st
from edge.runtimes.inside import Inside, look_inside
from edge.runtimes.litert import LiteRT
from edge.runtimes.timing import time_ratio

from .._tflite.audit import audit

LAYERS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL", "TRANSPOSE_CONV"}
SAME = 1e-4  # of a value's largest magnitude; what float32 loses in another order of sums is far below
LOOKED_INTO = 2  # images whose inner values are compared
EQUAL_DB = 200.0  # of answers that are the same, or all but


@dataclass(frozen=True)
class Comparison:
    """Each pair is (direct, onnx-tf)."""

    bytes: tuple[int, int]
    operators: Mapping[str, tuple[int, int]]  # operator -> how many
    layout_bytes: tuple[int, int]  # that TRANSPOSE and RESHAPE move for one picture
    xnnpack_pieces: tuple[int | None, int | None]
    time_ratio: float  # of onnx-tf to direct, medians of this host, one thread, both files in turn
    largest_delta_p: float  # between the two files
    sqnr_db_median: float  # of the logits of onnx-tf against those of direct
    layers: int  # results of layers in the direct file
    layers_found: int  # those of them that the other file computes too, to SAME
    first_not_found: str | None  # the operator and its tensor, in the direct file's order

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def compared(direct: Path, old: Path, images: np.ndarray) -> Comparison:
    """Run both files on uint8 `images` (N, S, S, 3). InputError where they take other sides or give other classes."""
    audits = audit(direct), audit(old)
    names = sorted(audits[0].operators.keys() | audits[1].operators.keys())
    with ExitStack() as opened:
        files = opened.enter_context(closing(LiteRT(direct))), opened.enter_context(closing(LiteRT(old)))
        if (files[0].side, files[0].classes) != (files[1].side, files[1].classes):
            raise InputError(
                f"{direct.name} and {old.name} are not of one network: {files[0].side} pixels and {files[0].classes} "
                f"classes against {files[1].side} and {files[1].classes}"
            )
        answers = [runtime.run(images).probabilities for runtime in files]
        direct_file, old_file = files
        ratio = time_ratio(old_file, direct_file, images, own_process=True)
    logits = [st.read_back_logits(probabilities) for probabilities in answers]
    noise = np.minimum(st.sqnr_db(logits[0], logits[1]), EQUAL_DB)
    inner = [look_inside(path, "tflite", images[:LOOKED_INTO]) for path in (direct, old)]
    layers, missing = layers_not_found(*inner)
    return Comparison(
        bytes=(direct.stat().st_size, old.stat().st_size),
        operators={name: (audits[0].operators.get(name, 0), audits[1].operators.get(name, 0)) for name in names},
        layout_bytes=(audits[0].layout_bytes, audits[1].layout_bytes),
        xnnpack_pieces=(audits[0].xnnpack_partitions, audits[1].xnnpack_partitions),
        time_ratio=ratio,
        largest_delta_p=float(np.abs(answers[0] - answers[1]).max()),
        sqnr_db_median=float(np.median(noise)),
        layers=layers,
        layers_found=layers - len(missing),
        first_not_found=missing[0] if missing else None,
    )


def layers_not_found(direct: Inside, old: Inside) -> tuple[int, list[str]]:
    """How many results layers have in `direct`, and those whose numbers no value of `old` has, in whatever shape.

    A layer with its activation inside is found by what comes out of it. The order of the numbers is left out of
    account, because the roads keep maps and tokens in different orders: sorted, both are the same numbers or they are
    not.
    """
    sizes: dict[int, list[np.ndarray]] = {}
    for values in old.values.values():
        flat = np.sort(np.stack([value.ravel() for value in values]).astype(np.float64), axis=1)
        sizes.setdefault(flat.shape[1], []).append(flat)
    count, missing = 0, []
    for op in direct.ops:
        if op.kind not in LAYERS:
            continue
        count += 1
        flat = np.sort(np.stack([v.ravel() for v in direct.values[op.outputs[0]]]).astype(np.float64), axis=1)
        near = SAME * max(float(np.abs(flat).max()), 1e-6)
        if not any(np.abs(flat - other).max() <= near for other in sizes.get(flat.shape[1], [])):
            missing.append(f"{op.kind} ({op.name})")
    return count, missing
