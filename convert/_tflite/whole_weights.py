"""Weights for a chain in 8 bits: the same network in float, in a form that loses less where all of it is in 8 bits.

One channel is split and channels are scaled (`split.py`, `equalise.py`) before the weights are rounded, so that a chain
has a rounding of its own, kept beside the checkpoint as the other is.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.exporting import first_line
from edge.scheme import Range

from .. import _kept_arrays
from .._kept_rounding import MEAN, Rounding
from .alone import noise_of
from .choose import answers
from .equalise import Factors, equalised, factors_for
from .layer_inputs import moments_of
from .rounding import rounded, rounding_for
from .split import Splits, split, splits_for
from .whole import Chain

log = logging.getLogger("dermedge")

KEPT = ".whole.rounding.npz"  # ending of the file beside a checkpoint that keeps them
FACTOR, SPLIT = "factors of ", "split of "  # begin the names of arrays; the rest is the map


@dataclass(frozen=True)
class WholeWeights:
    splits: Splits
    factors: Factors
    rounding: Rounding  # of the file with both

    def floats(self, content: bytes) -> bytes:
        """The float file with its channels split and scaled; its answers are those of `content` but for rounding."""
        return equalised(split(content, self.splits), self.factors)

    def on_grid(self, content: bytes) -> bytes:
        """The same with its weights on the 8-bit grid."""
        return rounded(self.floats(content), self.rounding)


def whole_weights_for(content: bytes, ranges: Mapping[str, Range], images: np.ndarray) -> WholeWeights:
    """The weights of a float file, measured on uint8 images (N, S, S, 3); `ranges`: of its tensors."""
    splits = splits_for(content, ranges, images)
    content = split(content, splits)
    factors = factors_for(content, images)
    content = equalised(content, factors)
    return WholeWeights(splits, factors, rounding_for(content, moments_of(content, images)))


def nearest(
    candidates: Sequence[WholeWeights], content: bytes, calibrating: np.ndarray, judging: np.ndarray
) -> tuple[WholeWeights, dict[str, Range]]:
    """The weights whose chain answers most like the float file on `judging`, and the ranges from `calibrating`.

    Both are uint8 images (N, S, S, 3). Scaling channels helps where maps lose most in 8 bits; where weights do, as in
    some networks with ReLU, it does harm. The last where no chain can be written. Ranges are each map's own, or alike
    where maps are added: two choices, so that the images which gave the ranges may help to tell.
    """
    least, best = np.inf, None
    for weights in candidates:
        ranges = Chain(weights.floats(content)).ranges(calibrating)
        noise = noise_of_chain(weights, ranges, content, judging)
        if best is None or noise < least or noise == np.inf == least:
            least, best = noise, (weights, ranges)
    assert best is not None
    weights, own = best
    alike = Chain(weights.floats(content)).with_sums_alike(own)
    if alike == own or least == np.inf:
        return best
    every = np.concatenate([calibrating, judging])
    return weights, min(own, alike, key=lambda ranges: noise_of_chain(weights, ranges, content, every))


def noise_of_chain(weights: WholeWeights, ranges: Mapping[str, Range], content: bytes, images: np.ndarray) -> float:
    """Of a chain's logits, as `noise_of` has it; infinite where the quantiser cannot write it."""
    try:
        outputs, _ = answers(Chain(weights.on_grid(content)).written(ranges), images)
    except (ValueError, KeyError, RuntimeError) as error:  # of the quantiser, at an operator of some network
        log.info(f"no chain in 8 bits, as ai-edge-quantizer stops: {first_line(error)}")
        return np.inf
    return noise_of(answers(content, images)[0], outputs)


def save(path: Path, weights: WholeWeights, *, checkpoint_sha256: str, key: str) -> None:
    arrays = {**weights.rounding.steps, **{MEAN + name: values for name, values in weights.rounding.means.items()}}
    arrays |= {FACTOR + name: values for name, values in weights.factors.items()}
    arrays |= {SPLIT + name: values for name, values in weights.splits.items()}
    _kept_arrays.save(path, arrays, checkpoint_sha256=checkpoint_sha256, key=key)


def load(path: Path, *, checkpoint_sha256: str, key: str) -> WholeWeights | None:
    """What is kept for this checkpoint and graph, or None; InputError if the file is no such thing."""
    arrays = _kept_arrays.load(path, checkpoint_sha256=checkpoint_sha256, key=key)
    if arrays is None:
        return None
    parts: dict[str, dict[str, np.ndarray]] = {beginning: {} for beginning in (MEAN, FACTOR, SPLIT, "")}
    for name, values in arrays.items():
        beginning = next(start for start in parts if name.startswith(start))
        parts[beginning][name.removeprefix(beginning)] = values
    return WholeWeights(parts[SPLIT], parts[FACTOR], Rounding(parts[""], parts[MEAN]))
