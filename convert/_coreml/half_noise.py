"""Finds the few results of a program that float16 is too coarse for, by what rounding them does to the answer.

A result may have float16's usual 70 dB and still spoil the answer: where each channel hardly varies around a number far
from zero, and later layers take that number off and raise the rest (the first convolution of EfficientNet-Lite: 54 dB
in the answer from that one result). The float32 program runs with every result rounded; if the answer keeps the limit,
nothing stays float32. Else the results that cost most stay float32, one after the other, and with them the operations
that read them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from edge.progress import track
from edge.runtimes import Outputs, joined
from edge.runtimes.coreml.classifier import torch_threads

from .._fidelity import sqnr
from .half_ranges import names_of
from .imitate import Imitation

CLASSIFY = "classify"
BLOCK = 12  # results that are rounded at once, to find where it is worth trying each alone
MOST = 8  # results that may stay float32: with more the Neural Engine would hardly compute anything


def too_coarse(path: Path, images: np.ndarray, limit_db: float, *, float32: Collection[str] = ()) -> frozenset[str]:
    """Names of results of a float32 classifier package that stay float32 so that the median SQNR keeps `limit_db`.

    `images`: uint8 (N, S, S, 3). `float32`: results that stay so anyway. If MOST results are not enough, the names of
    those that were tried; empty if not even that is nearer.
    """
    trial = Rounding(path, images, float32)
    with torch_threads(1):
        before = trial.fidelity(trial.names)
        if before >= limit_db:
            return frozenset()
        kept: list[str] = []
        after = before
        for name in trial.costliest(10 ** (-limit_db / 10)):
            kept.append(name)
            after = trial.fidelity(set(trial.names) - set(kept))
            if after >= limit_db:
                break
    return frozenset({*kept, *trial.readers(kept)}) if after > before else frozenset()


class Rounding:
    """A float32 package, and its values for a few images, to be run on from any operation with results rounded."""

    def __init__(self, path: Path, images: np.ndarray, float32: Collection[str]) -> None:
        self.package = Imitation(path)
        self.starts = [self.package.starting_values(image) for image in images]
        self.calls = [
            (number, call)
            for number, call in enumerate(self.package.model.calls)
            if not call.operation.kind.startswith(("const", CLASSIFY))
        ]
        self.values: list[dict[str, Any]] = []
        with torch_threads(1):
            self.wanted = joined([self.run(start, set(), keep=True) for start in self.starts])
        self.names = [
            output.name
            for _, call in self.calls
            for output in call.operation.outputs
            if output.is_float and output.name not in {self.package.answer, *float32}
            and isinstance(self.values[0].get(output.name), Tensor)
        ]  # fmt: skip

    def run(self, start: dict[str, Any], half: Collection[str], *, first: int = 0, keep: bool = False) -> Outputs:
        """Outputs for one image from call `first` on, with the results named in `half` rounded to float16."""
        values = dict(start)
        for call in self.package.model.calls[first:]:
            if call.operation.kind == CLASSIFY:  # its table of answers can have the name of the answers themselves
                continue
            for output, result in zip(call.operation.outputs, call.run(values), strict=True):
                values[output.name] = result.half().float() if output.name in half else result
        if keep:
            self.values.append(values)
        mask = None if self.package.mask is None else values[self.package.mask].float().numpy()[:, 0]
        return Outputs(values[self.package.answer].reshape(1, -1).double().numpy(), mask)

    def fidelity(self, half: Collection[str]) -> float:
        """Median SQNR in dB."""
        return float(np.median(sqnr(self.wanted, joined([self.run(start, half) for start in self.starts]))))

    def noise(self, half: Collection[str]) -> float:
        """Noise over signal of the answer, the mean over the images; run from the first of these results on."""
        first = min(number for number, call in self.calls if {o.name for o in call.operation.outputs} & set(half))
        outputs = joined([self.run(values, half, first=first) for values in self.values])
        return float((10 ** (-sqnr(self.wanted, outputs) / 10)).mean())

    def costliest(self, allowed: float) -> list[str]:
        """The results whose rounding costs most, at most MOST, the costliest first; of the blocks that matter."""
        blocks = [self.names[start : start + BLOCK] for start in range(0, len(self.names), BLOCK)]
        noises = [self.noise(block) for block in track(blocks, "fp16: what rounding costs", len(blocks))]
        order = sorted(range(len(blocks)), key=lambda n: -noises[n])
        left, looked_into = sum(noises), []
        for n in order:
            if left <= allowed / 2:
                break
            looked_into += blocks[n]
            left -= noises[n]
        alone = {name: self.noise([name]) for name in track(looked_into, "fp16: each alone", len(looked_into))}
        return sorted(alone, key=lambda name: -alone[name])[:MOST]

    def readers(self, names: Iterable[str]) -> set[str]:
        """The results of the operations that read these."""
        wanted = set(names)
        return {
            output.name
            for _, call in self.calls
            if wanted & set(names_of(call.operation))
            for output in call.operation.outputs
        }
