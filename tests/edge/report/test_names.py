"""Names on a plot lie on no other name, on no mark and on no line: by matplotlib's own measure of the text."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from edge.report.names import put_names

MODELS = (
    "hierattn_xs",
    "hierattn_xs_ppcr",
    "mobilenetv2",
    "mobilenetv2_tf",
    "efficientnet_b0_tf",
    "hifuse_tiny_compact",
)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("scale", ["linear", "log"])
def test_no_name_lies_on_another(seed, scale):
    rng = np.random.default_rng(seed)
    heaps = rng.uniform(1, 20, (5, 2))
    spots = [heaps[number % 5] * rng.uniform(0.95, 1.05, 2) for number in range(30)]  # models that are nearly alike
    marks = [(MODELS[number % len(MODELS)], *map(float, spot)) for number, spot in enumerate(spots)]
    figure = Figure(figsize=(7.5, 5.2), layout="constrained")
    canvas, axes = FigureCanvasAgg(figure), figure.subplots()
    axes.set(xscale=scale, yscale=scale, xlabel="time")
    axes.plot([x for _, x, _ in marks], [y for _, _, y in marks], "o", markersize=5)
    steps = [(2.0, 18.0), (9.0, 6.0), (15.0, 2.0)]
    axes.plot([x for x, _ in steps], [y for _, y in steps], drawstyle="steps-post")
    axes.margins(0.16)
    figure.draw_without_rendering()
    put_names(axes, marks, 6, [steps])
    canvas.draw()
    names = [text for text in axes.get_children() if isinstance(text, Annotation)]
    assert len(names) == 30
    extents = [Text.get_window_extent(name) for name in names]  # of the letters, without the line to the mark
    assert not [1 for one, other in combinations(extents, 2) if one.overlaps(other)]
    middles = axes.transData.transform([(x, y) for _, x, y in marks])
    assert not [1 for extent in extents for x, y in middles if extent.contains(x, y)]
    level = axes.transData.transform(np.linspace(steps[0], (steps[1][0], steps[0][1]), 200))
    assert not [1 for extent in extents for x, y in level if extent.contains(x, y)]
