"""A set is judged by class codes, in whatever order it has them, and as parity judges it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from edge.checkpoint import Checkpoint, Preprocess
from edge.data.readers import open_photos
from edge.data.selection import judging_set
from edge.errors import InputError
from edge.labels import Label
from edge.preprocess import PREPROCESS_VERSION
from train._evaluate import evaluate


class Colours(nn.Module):
    """Red pictures are `mal`, others `ben`, whatever their places among the classes."""

    def __init__(self, codes: tuple[str, ...]) -> None:
        super().__init__()
        self.codes, self.scale = codes, nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        red = images.mean(dim=(2, 3))[:, 0] - images.mean(dim=(2, 3))[:, 2]
        scores = {"mal": red, "ben": -red}
        return torch.stack([scores.get(code, torch.full_like(red, -9)) for code in self.codes], dim=1) * self.scale


def checkpoint_for(*codes: str) -> Checkpoint:
    labels = tuple(Label(code, f"the name of {code}", malignant=None) for code in codes)
    return Checkpoint("hierattn_xs", labels, Preprocess(PREPROCESS_VERSION, 32), {}, live=Colours(codes))


@pytest.mark.parametrize("codes", [("ben", "mal"), ("mal", "ben"), ("x", "mal", "ben", "y")], ids=",".join)
def test_order_names_and_further_classes_do_not_matter(codes, folder_of_photographs, messages):
    photos = open_photos(folder_of_photographs)
    (judged,) = evaluate(checkpoint_for(*codes), photos).sets
    assert judged.figures["images"] == 24 == len(judging_set(checkpoint_for(*codes), photos))
    assert judged.figures["sensitivity"]["mal"]["images"] == 12
    assert judged.figures["accuracy"] in {0.0, 1.0}  # colour tells them apart
    assert judged.figures["accuracy"] == evaluate(checkpoint_for("ben", "mal"), photos).sets[0].figures["accuracy"]
    assert judged.figures.get("without_photographs", []) == [code for code in codes if code in {"x", "y"}]


def test_photographs_of_another_class_are_left_out_and_named(folder_of_photographs, messages):
    (judged,) = evaluate(checkpoint_for("mal", "x"), open_photos(folder_of_photographs)).sets
    assert judged.figures["images"] == 12 and judged.figures["without_photographs"] == ["x"]
    assert any(
        "12 photographs of classes that the checkpoint does not have" in line and "ben" in line for line in messages
    )
    assert any(
        "no class ben" in note
        for note in judging_set(checkpoint_for("mal", "x"), open_photos(folder_of_photographs)).notes
    )
    with pytest.raises(InputError, match="no photographs with the checkpoint's classes"):
        evaluate(checkpoint_for("x", "y"), open_photos(folder_of_photographs))
