"""Arrays -> numbers: what two sets of probabilities have in common, and how sure one can be of it.

NumPy only (SciPy's binomial tail where needed); no files, no models. Shapes: N images, K classes. Probabilities are
float64 (N, K), rows summing to about 1; classes are int (N,), 0..K-1. Every interval is 95 %, two-sided unless it says
otherwise. The predicted class is the first largest probability, as in `numpy.argmax` and in the apps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

Z95 = 1.959963984540054  # 97.5 % point of the normal distribution
BINS = 15  # of the reliability curve, as in Guo et al. 2017


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval. NaN where there is nothing to estimate it from."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Reliability:
    """Curve of confidence against correctness: one entry per bin of the highest probability, NaN where it is empty."""

    edges: Floats  # (BINS + 1,), 0..1
    counts: Ints  # (BINS,) images
    confidence: Floats  # (BINS,) mean highest probability
    correct: Floats  # (BINS,) share of images whose class is right
    error: float  # expected calibration error, 0..1


def read_back_logits(probabilities: Floats, floor: float = 1e-4) -> Floats:
    """(N, K) probabilities -> (N, K) logits with mean 0 per image: log max(p, floor) minus its mean over the classes.

    Softmax forgets a constant per image, so the centred logits are all that can be read back; the floor keeps classes
    of no weight (and the 16-bit zero) from drowning the rest.
    """
    logs = np.log(np.maximum(np.asarray(probabilities, np.float64), floor))
    return logs - logs.mean(axis=1, keepdims=True)


def sqnr_db(reference_logits: Floats, candidate_logits: Floats) -> Floats:
    """Signal to quantisation noise per image, (N,) in dB: 10 log10(sum ref^2 / sum (ref - cand)^2).

    +inf where both are equal; -inf where the reference is flat (no signal) and the candidate is not.
    """
    signal = np.square(reference_logits).sum(axis=1)
    noise = np.square(reference_logits - candidate_logits).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        decibels = 10.0 * np.log10(signal / noise)
    return np.where(noise == 0, np.inf, decibels)


def logit_difference(reference_logits: Floats, candidate_logits: Floats) -> Floats:
    """(N,) largest |difference| of a logit, in units of max(1, largest |reference logit| of that image)."""
    scale = np.maximum(1.0, np.abs(reference_logits).max(axis=1))
    return np.abs(reference_logits - candidate_logits).max(axis=1) / scale


def wilson(successes: int, trials: int) -> Estimate:
    """Share of successes with its score interval (Wilson 1927). Without trials: NaN in [0, 1]."""
    if not 0 <= successes <= trials:
        raise ValueError(f"expected 0 <= successes <= trials, got {successes} of {trials}")
    if trials == 0:
        return Estimate(math.nan, 0.0, 1.0)
    share, z2 = successes / trials, Z95**2
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z95 * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2)) / (1 + z2 / trials)
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    return Estimate(share, low, 1.0 if successes == trials else min(1.0, centre + half))


def median_interval(values: Floats) -> Estimate:
    """Median with the distribution-free interval between two order statistics (David & Nagaraja 2003, section 7.1).

    The ranks are the tightest symmetric pair whose coverage, from the binomial distribution with p = 1/2, is at least
    95 %. Fewer than 6 values have no such pair: the interval is the whole line. Infinite values are allowed.
    """
    from scipy.special import bdtr

    ordered = np.sort(np.asarray(values, np.float64))
    count = len(ordered)
    if count == 0:
        return Estimate(math.nan, -math.inf, math.inf)
    lower, upper = ordered[(count - 1) // 2], ordered[count // 2]
    value = float(lower) if lower == upper else float((lower + upper) / 2)
    tails = bdtr(np.arange(count // 2 + 1), count, 0.5)  # P(at most r of n values lie below the median)
    rank = int(np.count_nonzero(tails <= 0.025))  # so many values may be cut off at either end
    if rank == 0:
        return Estimate(value, -math.inf, math.inf)
    return Estimate(value, float(ordered[rank - 1]), float(ordered[count - rank]))


def percentile(values: Floats, percent: float) -> float:
    """Smallest value with at least `percent` of the values at or below it; never interpolates, so inf stays inf."""
    return float(np.percentile(values, percent, method="inverted_cdf"))


def reliability(probabilities: Floats, labels: Ints) -> Reliability:
    """Reliability curve and expected calibration error of the highest probability.

    15 bins of equal width, (0, 1/15], (1/15, 2/15], ...; the error is the mean over images of the gap between the
    confidence and the correctness of their bin (Naeini et al. 2015, Guo et al. 2017).
    """
    confidence = probabilities.max(axis=1)
    hit = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    edges = np.linspace(0.0, 1.0, BINS + 1)
    index = bin_of(confidence)
    counts = np.bincount(index, minlength=BINS).astype(np.int64)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(index, confidence, BINS) / counts
        mean_hit = np.bincount(index, hit, BINS) / counts
    filled = counts > 0
    gaps = np.abs(mean_confidence - mean_hit)[filled]
    error = float((gaps * counts[filled]).sum() / counts.sum()) if filled.any() else math.nan
    return Reliability(edges, counts, mean_confidence, mean_hit, error)


def bin_of(confidence: Floats) -> Ints:
    """(N,) bin of the reliability curve, 0..BINS - 1, of a highest probability (N,): (0, 1/15], (1/15, 2/15], ..."""
    edges = np.linspace(0.0, 1.0, BINS + 1)
    return np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, BINS - 1)


def balanced_accuracy(labels: Ints, predicted: Ints) -> float:
    """Mean over the classes that occur among the labels of the share of their images that were found; NaN without."""
    shares = [np.mean(predicted[labels == c] == c) for c in np.unique(labels)]
    return float(np.mean(shares)) if shares else math.nan


def confusion(labels: Ints, predicted: Ints, classes: int) -> Ints:
    """Photographs by class (row) and answer (column), int64 (K, K); both (N,) from 0 to `classes` - 1."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return counts


def sensitivities(labels: Ints, predicted: Ints, classes: int) -> tuple[Estimate, ...]:
    """Per class, the share of its images that were found, with Wilson intervals; NaN where a class has no images."""
    return tuple(
        wilson(int(np.sum((labels == c) & (predicted == c))), int(np.sum(labels == c))) for c in range(classes)
    )


def malignant_or_benign(labels: Ints, predicted: Ints, malignant: Sequence[bool | None]) -> tuple[Estimate, Estimate]:
    """Sensitivity and specificity for malignancy, with Wilson intervals; malignant is a prediction of such a class.

    `malignant`: by class, None where it is unknown. A photograph of such a class does not count, and an answer of such
    a class is neither malignant nor benign, so that it is right for no photograph that counts.
    """
    bad, good = (np.array([value == wanted for value in malignant], bool) for wanted in (True, False))
    return (
        wilson(int(np.sum(bad[labels] & bad[predicted])), int(np.sum(bad[labels]))),
        wilson(int(np.sum(good[labels] & good[predicted])), int(np.sum(good[labels]))),
    )


def mcnemar(reference_right: npt.NDArray[np.bool_], candidate_right: npt.NDArray[np.bool_]) -> tuple[int, int, float]:
    """Images lost (right -> wrong), images gained (wrong -> right), and the exact two-sided p-value.

    Under "no difference" a change is a loss or a gain with equal chance, so p = min(1, 2 P(X <= min)) with X binomial
    (lost + gained, 1/2) (McNemar 1947, in the exact form). No changes at all: 1.
    """
    from scipy.special import bdtr

    lost = int(np.sum(reference_right & ~candidate_right))
    gained = int(np.sum(~reference_right & candidate_right))
    if lost + gained == 0:
        return 0, 0, 1.0
    return lost, gained, min(1.0, 2.0 * float(bdtr(min(lost, gained), lost + gained, 0.5)))
