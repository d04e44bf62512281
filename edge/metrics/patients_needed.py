"""How many patients would turn "inconclusive" into an answer: rough, and stated as such."""

from __future__ import annotations

import math

from edge.metrics.clustered import FEWEST_FOR_A_MEDIAN

MOST = 100_000_000  # beyond this an answer is "none"


def patients_needed(
    patients: int, value: float, low: float, high: float, limit: float, *, proportion: bool
) -> int | None:
    """Patients until the bound of a figure that stays at `value` lies on one side of `limit`.

    All like the `patients` that were seen, with as many views each. The distance of a bound from the value shrinks with
    the root of the number of patients. `proportion`: the figure counts cases, so that it is a share of them or a
    difference of shares. Where nothing changed in such a one, so that the value lies at an end of its interval or a
    difference is 0 with bounds alike, the exact bound is 1 minus a root of its tail, and is scaled as such. None: no
    number would do, because the value sits on the limit, or nothing was measured.
    """
    if math.isnan(value) or value == limit:
        return None
    reach, apart = (high - value if value < limit else value - low), abs(limit - value)
    if math.isinf(reach) or math.isinf(value):
        return max(patients + 1, FEWEST_FOR_A_MEDIAN)
    nothing_changed = proportion and (value in (low, high) or (value == 0 and high == -low))
    if nothing_changed and max(reach, apart) < 1:
        ratio = math.log1p(-reach) / math.log1p(-apart)
    else:
        ratio = (reach / apart) ** 2
    needed = patients * ratio
    return None if needed > MOST else max(patients + 1, math.ceil(needed))
