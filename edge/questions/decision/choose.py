"""Photographs' numbers -> the limits and the threshold that a manifest carries. Arrays only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from edge.decision import CHECKS, Measurements
from edge.errors import InputError
from edge.metrics.statistics import Floats

FEWEST_PHOTOS = 40  # for limits; and never fewer than make one photograph of the share
FEWEST_ANSWERS = 20  # for the threshold
DECIMALS = 10_000  # the threshold is kept to four


def limits_of(measurements: Sequence[Measurements], share: float) -> dict[str, int]:
    """The limit of each check that sends back at most `share` of these photographs (0 to 0.5).

    The limit is a photograph's own value, and a value equal to it is good: of N photographs the floor(share N) most
    extreme ones, or fewer where values are equal, lie beyond.
    """
    if not 0 < share < 0.5:
        raise InputError(f"the share of good photographs that a check may send back is between 0 and 0.5, got {share}")
    fewest = fewest_for(share)
    if len(measurements) < fewest:
        raise InputError(
            f"limits that send back a share of {share:g} come from at least {fewest} photographs of training patients, "
            f"got {len(measurements)}; {way_out(len(measurements))}"
        )
    beyond = math.floor(share * len(measurements))
    limits = {}
    for name, (kind, _) in CHECKS.items():
        ordered = sorted((asdict(photo)[name] for photo in measurements), reverse=kind == "max")
        limits[name] = ordered[beyond]
    return limits


def fewest_for(share: float) -> int:
    """Photographs of which a share is at least one."""
    return max(FEWEST_PHOTOS, math.ceil(1 / share - 1e-9))


def way_out(photographs: int) -> str:
    """What somebody with so few training photographs can do."""
    advice = "give `photos` all that the checkpoint was trained on, or train on more"
    if photographs < FEWEST_PHOTOS:
        return f"{advice}: without limits no photograph is sent back"
    share = math.ceil(1000 / photographs) / 1000
    return (
        f"{advice}, or take `alarm_share` {share:g}: the {len(CHECKS)} checks together then send back up to "
        f"{len(CHECKS) * share:.1%} of good photographs"
    )


def threshold_of(largest: Floats, coverage: float) -> float:
    """The threshold that lets at least `coverage` (0..1) of these largest probabilities pass; four decimals, down."""
    if not 0 < coverage <= 1:
        raise InputError(f"coverage is more than 0 and at most 1, got {coverage}")
    if len(largest) < FEWEST_ANSWERS:
        raise InputError(
            f"the threshold comes from at least {FEWEST_ANSWERS} photographs of patients held back from training, "
            f"got {len(largest)}; give `photos` their photographs, or train again with more of them held back, as with "
            "`dermedge train --held-back 0.2`"
        )
    # 1e-9: 0.1 of 30 photographs are 3, not the 2 that (1 - 0.9) * 30 rounds down to
    below = math.floor((1 - coverage) * len(largest) + 1e-9)
    return math.floor(float(np.sort(largest)[below]) * DECIMALS) / DECIMALS
