"""Learning class and mask: views keep both together, the loss knows who has a mask, and a short run finds lesions."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from dermedge.commands.train import main
from edge.checkpoint import Preprocess
from edge.data.table import Photo, PhotoSet
from edge.errors import InputError
from edge.labels import PAD_UFES_20
from edge.models import create_model
from train import _masks
from train._augment import augment, augment_both
from train._batches import NO_MASK, Squares, Views, blended
from train._folds import masks_figures
from train._loss import mask_loss
from train._masks import MaskScore, figures_by_set, mask_figures, mask_scores, read_scores, write_scores
from train._objective import Batch, Classify
from train._recipe import Recipe

SIDE = 48


def picture_of_a_mask(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A white shape without symmetry on black, as photograph and as mask, with the margin of a cached square."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((60, 60), np.uint8)
    cv2.fillPoly(mask, [rng.integers(10, 50, (5, 2)).astype(np.int32)], 255)
    return np.repeat(mask[..., None], 3, axis=2), mask


def test_the_mask_goes_where_the_photograph_goes() -> None:
    overlaps = []
    for seed in range(40):
        picture, mask = picture_of_a_mask(seed)
        view, moved = augment_both(picture, mask, SIDE, np.random.default_rng(seed))
        assert set(np.unique(moved)) <= {0, 255}
        bright = view.mean(axis=2)
        found = bright > (bright.min() + bright.max()) / 2
        both = (found & (moved > 0)).sum()
        overlaps.append(2 * both / max(1, found.sum() + (moved > 0).sum()))
    assert np.median(overlaps) > 0.95 and min(overlaps) > 0.6  # blur and low resolution soften some


def test_the_photograph_looks_the_same_with_and_without_a_mask() -> None:
    picture, mask = picture_of_a_mask(0)
    for strength in (0.0, 0.7):
        alone = augment(picture, SIDE, np.random.default_rng(5), strength=strength)
        view, _ = augment_both(picture, mask, SIDE, np.random.default_rng(5), strength=strength)
        np.testing.assert_array_equal(alone, view)


def squares(known: list[bool]) -> Squares:
    pictures, masks = zip(*(picture_of_a_mask(n) for n in range(len(known))), strict=True)
    count = len(known)
    return Squares(
        np.array(pictures), np.arange(count) % 2, np.zeros(count, np.int64), np.array(masks), np.array(known)
    )


def test_views_carry_masks_and_say_where_there_is_none() -> None:
    views = Views(squares([True, False]), SIDE, 2, seed=0, strength=1.0)
    with_one, without = views[0, 0][4], views[0, 1][4]
    assert with_one.dtype == torch.float32 and set(with_one.unique().tolist()) == {0.0, 1.0}
    assert (without == NO_MASK).all() and without.shape == (SIDE, SIDE)


def test_a_blend_has_the_blend_of_the_masks_and_none_where_one_is_unknown() -> None:
    a, b = np.zeros((2, 2), np.float32), np.ones((2, 2), np.float32)
    np.testing.assert_allclose(blended(a, b, 0.25), 0.75)
    assert (blended(a, np.full_like(a, NO_MASK), 0.5) == NO_MASK).all()
    assert blended(None, None, 0.5) is None


def test_the_loss_of_a_mask_worked_out_by_hand() -> None:
    """Of four pixels with logit 0 (one half) two are lesion: soft Dice 2 * 1 / (1 + 2), cross entropy log 2."""
    wanted = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    value = mask_loss(torch.zeros(1, 1, 2, 2), wanted)
    assert float(value) == pytest.approx(1 - 2 / 3 + np.log(2), abs=1e-4)
    sure = torch.where(wanted > 0, 30.0, -30.0)[:, None]
    assert float(mask_loss(sure, wanted)) == pytest.approx(0.0, abs=1e-4)


def test_photographs_without_a_mask_do_not_count() -> None:
    torch.manual_seed(0)
    logits, wanted = torch.randn(3, 1, 4, 4), torch.rand(3, 4, 4).round()
    wanted[1] = NO_MASK
    assert mask_loss(logits, wanted) == pytest.approx(float(mask_loss(logits[[0, 2]], wanted[[0, 2]])))
    assert float(mask_loss(logits, torch.full((3, 4, 4), NO_MASK))) == 0


def batch(masks: torch.Tensor | None) -> Batch:
    torch.manual_seed(1)
    return Batch(
        torch.rand(4, 3, 32, 32), torch.eye(2)[[0, 1, 0, 1]], torch.zeros(4, 2), torch.empty(4, 0), None, masks
    )


@pytest.mark.parametrize("weight", [0.25, 2.0])
def test_without_masks_only_the_class_teaches_and_with_them_both(weight: float) -> None:
    """L = mask + weight * class; with a loss of one kind alone, the other kind's last layer gets no gradient."""
    torch.manual_seed(0)
    objective = Classify(Recipe(model="resformer_lite", descriptors=0, guide=0, label_smoothing=0, class_weight=weight))
    learner = objective.learner(create_model("resformer_lite", 2)).eval()
    known = torch.rand(4, 32, 32).round()
    class_alone = objective.value(learner, batch(torch.full((4, 32, 32), NO_MASK)))
    class_alone.backward()
    assert not learner.net.mask.weight.grad.any() and learner.net.classifier.weight.grad.any()
    logits, mask = learner.net(batch(None).images)
    wanted = nn.functional.cross_entropy(logits, batch(None).wanted)
    assert class_alone.item() == pytest.approx(weight * wanted.item(), rel=1e-5)
    both = objective.value(learner, batch(known))
    assert both.item() == pytest.approx(weight * wanted.item() + mask_loss(mask, known).item(), rel=1e-5)


def test_figures_of_masks_leave_out_photographs_without_one(tmp_path: Path, monkeypatch) -> None:
    names = ["whole", "half", "none"]
    for name in names:
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((32, 32, 3), 90, np.uint8))
    drawn = np.zeros((32, 32), np.uint8)
    drawn[8:24, 8:24] = 255
    for name in names[:2]:
        cv2.imwrite(str(tmp_path / f"{name}_segmentation.png"), drawn)
    answers = np.repeat((drawn > 0).astype(np.float32)[None], 2, axis=0)
    answers[1, :, 16:] = 0  # half of it: Dice 2 * 8 / (8 + 16)
    monkeypatch.setattr(_masks, "predict_masks", lambda net, images, preprocess: answers[: len(images)])
    photos = PhotoSet(
        "pictures",
        PAD_UFES_20,
        tuple(
            Photo(path, name, "MEL", name, "isic", mask=mask if mask.is_file() else None)
            for name in names
            for path, mask in [(tmp_path / f"{name}.png", tmp_path / f"{name}_segmentation.png")]
        ),
    )
    preprocess = Preprocess("area-2", 32, (0, 0, 0), (1, 1, 1))
    scores = mask_scores(nn.Identity(), photos, preprocess)
    figures = figures_by_set(scores)["pictures"]
    assert (figures["images"], figures["patients"]) == (2, 2)
    assert figures["dice_mean"] == pytest.approx((1 + 2 / 3) / 2)
    assert (figures["dice_mean_low"], figures["dice_mean_high"]) == pytest.approx((2 / 3, 1))
    assert figures["iou_mean"] == pytest.approx(0.75)
    assert mask_scores(nn.Identity(), photos.where(lambda photo: photo.mask is None), preprocess) == []
    write_scores(tmp_path / "scores.csv", scores)
    assert read_scores(tmp_path / "scores.csv") == scores
    (tmp_path / "scores.csv").write_text("image,dice\nwhole,1\n")
    with pytest.raises(InputError, match="no table of masks"):
        read_scores(tmp_path / "scores.csv")


def test_masks_of_all_folds_are_pooled_by_set(tmp_path: Path) -> None:
    scores = [MaskScore("a", f"{n}", f"{n}", 0.1 * n, 0.5, 1.0) for n in range(4)]
    for fold, own in enumerate((scores[:2], [*scores[2:], MaskScore("b", "0", "0", 1.0, 1.0, 0.0)])):
        (tmp_path / f"fold-{fold}").mkdir()
        write_scores(tmp_path / f"fold-{fold}" / "unseen_masks.csv", own)
    figures = masks_figures(tmp_path, 2)
    assert {name: own["images"] for name, own in figures.items()} == {"a": 4, "b": 1}
    assert figures["a"]["dice_mean"] == pytest.approx(0.15)
    write_scores(tmp_path / "fold-1" / "unseen_masks.csv", scores[1:])
    with pytest.raises(InputError, match="1 is unseen in two folds"):
        masks_figures(tmp_path, 2)


def test_one_patient_says_nothing_of_the_spread() -> None:
    figures = mask_figures([MaskScore("s", name, "p", dice, dice, 1.0) for name, dice in (("a", 0.5), ("b", 1.0))])
    assert (figures["dice_mean"], figures["dice_mean_low"], figures["dice_mean_high"]) == (0.75, 0, 1)


def test_a_mask_network_without_any_mask_is_refused(tmp_path: Path, capsys) -> None:
    for code in ("A", "B"):
        (tmp_path / "set" / code).mkdir(parents=True)
        for number in range(12):
            picture = np.random.default_rng(number + 100 * (code == "B")).integers(0, 256, (40, 40, 3), np.uint8)
            cv2.imwrite(str(tmp_path / "set" / code / f"{code}{number}.png"), picture)
    flags = ["--model", "resformer_lite", "--data", str(tmp_path / "set"), "--out", str(tmp_path / "run")]
    assert main([*flags, "--stages", "32x1"]) == 2
    assert "none of the photographs has one" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow(reason="trains until it has learnt something")
@pytest.mark.filterwarnings("ignore:Recall is ill-defined")  # thirteen held-back photographs lack a class
def test_a_short_run_finds_lesions_and_learns_classes(small_sample: Path, tmp_path: Path) -> None:
    """Sixteen epochs at 64 pixels; the whole picture as lesion would have a Dice of about 0.25."""
    flags = ["--model", "resformer_lite", "--data", str(small_sample), "--out", str(tmp_path / "run")]
    short = ["--stages", "64x16", "--descriptors", "0", "--guide", "0", "--ema", "0.9", "--precision", "32-true"]
    assert main([*flags, *short]) == 0
    metrics = json.loads((tmp_path / "run" / "checkpoint.json").read_text())["metrics"]["unseen"]
    assert metrics["masks"]["synthetic sample"]["dice_mean"] > 0.5
    rows = list(csv.DictReader((tmp_path / "run" / "history.csv").read_text().splitlines()))
    assert float(rows[-1]["held_back_dice"]) > float(rows[0]["held_back_dice"] or 0) + 0.2
    assert float(rows[-1]["loss"]) < 0.8 * float(rows[0]["loss"])
