"""How many images would turn "inconclusive" into an answer: rough, and stated as such.

All assume that the images to come are like those that were seen. None: no number would do, because what was measured
sits on the limit.
"""

from __future__ import annotations

import math

from edge.metrics.statistics import Z95

MOST = 100_000_000  # beyond this an answer is "none"
SMALLEST_FOR_A_MEDIAN = 6  # 2 / 2^6 < 5 %: the fewest values whose extremes enclose the median with 95 %


def images_for_share(share: float, limit: float) -> int | None:
    """Images until the Wilson interval of a share that stays as it is lies on one side of `limit`, both in 0..1.

    The interval excludes the limit when the score test does: (share - limit)^2 >= Z95^2 limit (1 - limit) / images.
    """
    if share == limit:
        return None
    images = math.ceil(Z95**2 * limit * (1 - limit) / (share - limit) ** 2)
    return None if images > MOST else max(1, images)


def images_for_median(share_within: float) -> int | None:
    """Images until the interval of the median excludes a limit that `share_within` (0..1) of the values keep.

    The interval excludes the limit when the number of values beyond it differs from one half by more than chance, which
    is (Z95 / 2)^2 / (share - 1/2)^2 values by the normal approximation, and never fewer than six.
    """
    if share_within == 0.5:
        return None
    images = math.ceil((Z95 / 2) ** 2 / (share_within - 0.5) ** 2)
    return None if images > MOST else max(SMALLEST_FOR_A_MEDIAN, images)


def images_for_drop(images: int, value: float, low: float, high: float, limit: float) -> int | None:
    """Images until the bound of a drop that stays at `value` lies on one side of `limit`.

    The distance of a bound shrinks with the root of the number of images, with the number itself where nothing changed.
    """
    if value == limit or math.isnan(value):
        return None
    reach = high - value if value < limit else value - low
    ratio = reach / abs(limit - value)
    needed = images * ratio if value == 0 and high == -low else images * ratio**2
    return None if needed > MOST else max(images + 1, math.ceil(needed))
