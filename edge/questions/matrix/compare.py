"""Two lots of answers to the same pictures -> what a row of the matrix says of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge.runtimes.foreign import probabilities_of

SAME, DIFFERS, REFUSED, NOT_SET_UP, REPORTED = "same", "differs", "refused", "not set up", "reported"


def compared(wanted: np.ndarray, vectors: np.ndarray, limits: np.ndarray | None) -> dict[str, Any]:
    """`wanted`: numbers (N, K) as `probabilities_of` gives them; `vectors`: what is compared, as a runtime gives it.

    `limits`: the largest difference that rounding explains, for each picture; None: no verdict.
    """
    numbers, _ = probabilities_of(vectors)
    finite = np.isfinite(numbers).all()
    apart = np.abs(numbers - wanted).max(axis=1) if finite else np.full(len(wanted), np.inf)
    agreement = float((numbers.argmax(axis=1) == wanted.argmax(axis=1)).mean()) if finite else 0.0
    row: dict[str, Any] = {
        "agreement": agreement,
        "largest": float(apart.max()) if finite else None,
        "limit": None,
        "times_limit": None,
        "image": int(apart.argmax()),
        "state": REPORTED,
        "why": "" if finite else "its answers are not finite numbers",
    }
    if not finite:
        return row | {"state": DIFFERS}
    if limits is None:
        return row
    worst = int((apart / np.maximum(limits, 1e-30)).argmax())
    times = float(apart[worst] / max(limits[worst], 1e-30))
    return row | {
        "limit": float(limits[worst]),
        "times_limit": times,
        "image": worst,
        "state": DIFFERS if times > 1 else SAME,
    }
