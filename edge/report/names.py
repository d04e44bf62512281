"""Names beside the marks of a plot, none on another name or on a mark."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from edge.report.plots import GREY, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Box = tuple[float, float, float, float]  # left, bottom, right, top; points of the page

LETTER, LINE = 0.62, 1.15  # width of a letter and height of a line, in the size of the font
MARK = 4.0  # points from the middle of a mark to its edge, and a little
NEAR = 9.0  # points; a name that is farther away gets a line to its mark
RINGS = range(1, 14)
DIRECTIONS = 16


def put_names(
    axes: Axes,
    marks: Sequence[tuple[str, float, float]],
    size: float,
    lines: Sequence[Sequence[tuple[float, float]]] = (),
) -> None:
    """Write (name, x, y) beside each mark, in letters of `size` points, and on none of the `lines`, steps of (x, y).

    The axes have to have their final place and limits. A name for which there is no room stands right of its mark.
    """
    scale = 72 / axes.figure.dpi
    middles = [(x * scale, y * scale) for x, y in axes.transData.transform([(x, y) for _, x, y in marks])]
    frame = axes.get_window_extent()
    page = (frame.x0 * scale, frame.y0 * scale, axes.figure.bbox.width * scale, frame.y1 * scale)
    taken: list[Box] = [(x - MARK, y - MARK, x + MARK, y + MARK) for x, y in middles]
    for corners in lines:
        taken += along([(x * scale, y * scale) for x, y in axes.transData.transform(corners)])
    for (name, x, y), middle in zip(marks, middles, strict=True):
        wide, high = len(name) * size * LETTER, size * LINE
        box = next((b for b in places(middle, wide, high) if within(b, page) and not any(on_each(b, taken))), None)
        box = box or (middle[0] + MARK, middle[1], middle[0] + MARK + wide, middle[1] + high)
        taken.append(box)
        away = max(box[0] - middle[0], middle[0] - box[2], box[1] - middle[1], middle[1] - box[3])
        line = {"arrowstyle": "-", "color": GREY, "linewidth": 0.4, "shrinkA": 0, "shrinkB": 2} if away > NEAR else None
        text = axes.annotate(
            name, (x, y), (box[0] - middle[0], box[1] - middle[1]), textcoords="offset points", fontsize=size,
            color=INK, va="bottom", ha="left", arrowprops=line, annotation_clip=False,
        )  # fmt: skip
        text.set_in_layout(False)  # or the axes would move, and the names with them


def places(middle: tuple[float, float], wide: float, high: float) -> Iterator[Box]:
    """Where a name of this size may stand, the best place first: to the right, then around, then farther away."""
    x, y = middle
    for ring in RINGS:
        reach = MARK + 1 + (ring - 1) * high
        for number in range(DIRECTIONS):
            turn = (number + 1) // 2 * (-1) ** number * 2 * math.pi / DIRECTIONS  # 0, one to either side, two …
            right, up = math.cos(turn), math.sin(turn)
            left = x + right * reach - (0 if right > 0.3 else wide if right < -0.3 else wide / 2)
            bottom = y + up * reach - (0 if up > 0.3 else high if up < -0.3 else high / 2)
            yield left, bottom, left + wide, bottom + high


def along(corners: Sequence[tuple[float, float]]) -> Iterator[Box]:
    """The parts of a line of steps: level to the next x, then up or down."""
    for (x, y), (next_x, next_y) in pairwise(corners):
        yield x, y - 1, next_x, y + 1
        yield next_x - 1, min(y, next_y), next_x + 1, max(y, next_y)


def within(box: Box, page: Box) -> bool:
    return box[0] >= page[0] and box[1] >= page[1] and box[2] <= page[2] and box[3] <= page[3]


def on_each(box: Box, others: Sequence[Box]) -> Iterator[bool]:
    """Whether a box lies on each of the others."""
    return (box[0] < o[2] and o[0] < box[2] and box[1] < o[3] and o[1] < box[3] for o in others)
