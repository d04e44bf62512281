"""For docs/mistakes.md: the table of `dermedge mistakes` as Markdown, its plot, and a sheet of pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.files import moved_into_place, write_text
from edge.questions.mistakes.section import agreement
from edge.questions.mistakes.tables import cells, forms_of, named
from edge.report.markdown import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from edge.questions.mistakes.measure import MistakesReport

PLOT, SHEET = "mistakes.svg", "mistakes.jpg"


def markdown(report: Mapping[str, Any]) -> str:
    """The table, without a final newline."""
    columns = ["mistake"]
    for form in forms_of(report):
        columns += [f"{form}: same class [95 %]", "largest \\|Δp\\| (median)", "balanced accuracy"]
    rows = []
    for mistake in report["mistakes"]:
        row = [f"{named(mistake, report)} (`{mistake['code']}`)"]
        for cost in mistake["forms"].values():
            c = cells(cost)
            row += [f"{c['agreement']} {c['agreement_interval']}", f"{c['largest']} ({c['median']})", c["change"]]
        rows.append(row)
    return table(columns, rows)


def write_figures(report: MistakesReport, folder: Path) -> None:
    """mistakes.svg, the plot of agreement, and mistakes.jpg, one photograph as the model gets it by every path."""
    plot = agreement(report.report).replace("<svg ", '<svg style="background:#fff;color:#1b1c20" ', 1)
    write_text(folder / PLOT, plot)
    pictures = [(name, decoded(address)) for name, address in report.pictures.items()]
    with moved_into_place(folder / SHEET) as path:
        sheet(pictures).savefig(path, dpi=100, pil_kwargs={"quality": 85})


def decoded(address: str) -> np.ndarray:
    """uint8 RGB of a data address."""
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGB"))


def sheet(pictures: Sequence[tuple[str, np.ndarray]], columns: int = 7) -> Figure:
    """Pictures in rows, each under its code; in the order given."""
    from matplotlib.figure import Figure

    rows = -(-len(pictures) // columns)
    drawn = Figure(figsize=(1.3 * columns, 1.5 * rows), layout="constrained")
    for axes in drawn.subplots(rows, columns, squeeze=False).flat:
        axes.axis("off")
    for axes, (code, picture) in zip(drawn.axes, pictures, strict=False):
        axes.imshow(picture, interpolation="nearest")
        axes.set_title(code, fontsize=8, parse_math=False)
    return drawn
