"""Plots of a run: labels that can be read, whatever the classes are called and however many there are."""

from __future__ import annotations

from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from train._plots import confusion_figure, curves_plot, late

NAMES = ("melanoma", "basal_cell_carcinoma", "seborrhoeic_keratosis", "naevus", "squamous_cell_carcinoma", "x" * 64)


@pytest.mark.slow(reason="draws many pages")
@pytest.mark.parametrize(
    "codes",
    [("ben", "mal"), NAMES, NAMES[:2], tuple(f"class_{number}" for number in range(40))],
    ids=["two", "long", "two long", "forty"],
)
def test_no_label_of_a_confusion_matrix_lies_on_another_or_is_cut_off(codes, rng):
    places = rng.integers(0, len(codes), 200)
    title = "hierattn_xs, 200 photographs of unseen patients of a set with a rather long name"
    figure = confusion_figure(places, places, codes, title=title)
    figure.canvas.draw()
    (axes,) = figure.axes
    shown = [label for label in [*axes.get_yticklabels(), figure._suptitle] if label.get_text()]
    boxes = [label.get_window_extent() for label in shown]
    assert not [1 for one, other in combinations(boxes, 2) if one.overlaps(other)]
    beneath = axes.get_xticklabels()
    if beneath[0].get_rotation() == 0:
        boxes += (flat := [label.get_window_extent() for label in beneath])
        assert not [1 for one, other in combinations(flat, 2) if one.overlaps(other)]
    else:  # turned by 45 degrees: lines of text that are farther apart than they are high
        columns = axes.transData.transform([(0, 0), (1, 0)])
        high = beneath[0].get_fontsize() * figure.dpi / 72
        assert (columns[1, 0] - columns[0, 0]) * np.sin(np.pi / 4) > high
        boxes += [label.get_window_extent() for label in beneath]
    page = figure.bbox
    assert all(box.x0 >= page.x0 - 1 and box.y0 >= page.y0 - 1 for box in boxes)
    assert all(box.x1 <= page.x1 + 1 and box.y1 <= page.y1 + 1 for box in boxes)
    plt.close(figure)


def test_a_thousand_classes_make_a_picture_of_bounded_size(rng):
    places = rng.integers(0, 1001, 2000)
    figure = confusion_figure(places, places, tuple(f"n{number:08d}" for number in range(1001)), title="ImageNet")
    assert max(figure.get_size_inches()) * figure.dpi < 4000
    plt.close(figure)


def test_curves_of_a_run_whose_pictures_grow_at_the_end(tmp_path):
    rows = [
        {"epoch": epoch, "side": 64 if epoch < 9 else 128, "loss": 1 / epoch, "held_back_loss": 1.0,
         "held_back_balanced_accuracy": 0.5}
        for epoch in range(1, 11)
    ]  # fmt: skip
    curves_plot(rows, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as image:
        assert min(image.size) > 300
    assert late(rows[7], rows) and not late(rows[0], rows)
