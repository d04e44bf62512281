"""Two lots of answers to the same pictures -> what a row of the matrix says of them."""

from __future__ import annotations

from typing import Any

import numpy as np

SAME, DIFFERS, REFUSED, NOT_SET_UP, REPORTED = "same", "differs", "refused", "not set up", "reported"


NOT_FINITE = "its answers are not finite numbers"
BASE_NOT_FINITE = "the answers that it is held against are not finite numbers"
NO_FINITE_LIMIT = "no finite limit can be derived"


def compared(wanted: np.ndarray, numbers: np.ndarray, limits: np.ndarray | None) -> dict[str, Any]:
    """`wanted` and what is compared with it: numbers (N, K), as `as_kind` gives them.

    `limits`: the largest difference that rounding explains, for each picture; None: no verdict. Where one is not
    finite, the other pictures alone can say that the answers differ, and nothing that they are the same.
    """
    broken = [~np.isfinite(values).all(axis=1) for values in (wanted, numbers)]
    if broken[0].any() or broken[1].any():
        return not_finite(*broken)
    apart = np.abs(numbers - wanted).max(axis=1)
    row: dict[str, Any] = {
        "agreement": float((numbers.argmax(axis=1) == wanted.argmax(axis=1)).mean()),
        "largest": float(apart.max()),
        "limit": None,
        "times_limit": None,
        "image": int(apart.argmax()),
        "state": REPORTED,
        "why": "",
    }
    if limits is None:
        return row
    finite = np.isfinite(limits)
    times = np.where(finite, apart / np.maximum(np.where(finite, limits, 1.0), 1e-30), 0.0)
    worst = int(times.argmax())
    if times[worst] <= 1 and not finite.all():
        return row | {"why": NO_FINITE_LIMIT}
    return row | {
        "limit": float(limits[worst]),
        "times_limit": float(times[worst]),
        "image": worst,
        "state": DIFFERS if times[worst] > 1 else SAME,
    }


def not_finite(wanted: np.ndarray, numbers: np.ndarray) -> dict[str, Any]:
    """The row where NaN or infinite numbers came, for each picture, (N,) of booleans; where the pictures are the same
    ones on both sides, nothing can be compared."""
    alone = wanted != numbers
    return {
        "agreement": 0.0,
        "largest": None,
        "limit": None,
        "times_limit": None,
        "image": int((alone if alone.any() else wanted).argmax()),
        "state": DIFFERS if alone.any() else REPORTED,
        "why": NOT_FINITE if (numbers & alone).any() else BASE_NOT_FINITE,
    }
