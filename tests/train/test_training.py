"""Training: views, order, loss and schedule by hand; a run that is stopped goes on as if it never was."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from scipy.special import softmax

from dermedge.commands.train import machine_of, main, parser, recipe_of, split_of
from dermedge.console import Terminated
from edge.checkpoint import Checkpoint, Preprocess, load
from edge.data.table import Photo, PhotoSet
from edge.errors import InputError
from edge.labels import PAD_UFES_20
from edge.locks import refused_company
from edge.metrics.temperature import fit_temperature
from train import _trainer
from train._augment import MARGIN, augment, colour
from train._batches import Order, Squares, Views, loader
from train._cut import by_domain, cut_photos
from train._descriptors import DESCRIPTORS, describe
from train._flags import flags_of
from train._guide import fit_guide
from train._loss import chances, contrast, distance, log_priors, loss
from train._options import Machine, Split
from train._recipe import Recipe, parse_stages
from train._schedule import average, learning_rate
from train._start import preprocess_for
from train._state import load as load_state
from train._stop import Abandoned, Interrupted, StopRequest
from train._trainer import Trainer
from train._training_data import TrainingData

ROOT = Path(__file__).resolve().parents[2]
SIDE = 32


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# Augmentation


@pytest.fixture
def picture(rng) -> np.ndarray:
    """A square with no symmetry, as large as the cached ones are."""
    side = round(SIDE * MARGIN)
    y, x = np.mgrid[0:side, 0:side] / side
    smooth = np.stack([x, y, (x + y) / 2], axis=-1) * 200
    return (smooth + rng.integers(0, 55, (side, side, 3))).astype(np.uint8)


def test_same_seed_same_view(picture):
    views = [augment(picture, SIDE, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(views[0], views[1])
    assert (views[0] != views[2]).any()


def test_views_are_uint8_squares_that_vary(picture):
    before = picture.copy()
    views = [augment(picture, SIDE, np.random.default_rng(seed)) for seed in range(60)]  # every branch is taken
    assert all(view.shape == (SIDE, SIDE, 3) and view.dtype == np.uint8 for view in views)
    assert len({view.tobytes() for view in views}) == 60
    np.testing.assert_array_equal(picture, before)
    assert all(view.std() > 5 for view in views)  # none is washed out


def test_strength_0_is_the_plain_central_view():
    """Against Pillow's resize of a smooth picture; a mirrored, turned or channel-swapped view is 20 levels off."""
    side = round(SIDE * MARGIN)
    y, x = np.mgrid[0:side, 0:side] / side
    smooth = (np.stack([x, y, (x + y) / 2], axis=-1) * 200).astype(np.uint8)
    view = augment(smooth, SIDE, np.random.default_rng(0), strength=0.0)
    plain = np.array(Image.fromarray(smooth).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    assert np.abs(view.astype(int) - plain).max() <= 2
    np.testing.assert_array_equal(view, augment(smooth, SIDE, np.random.default_rng(9), strength=0.0))


def test_colour_is_its_formula_in_float64(picture):
    """Gamma, gain by channel, contrast about the mean, light, saturation about the grey of BT.601."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = (picture / 255) ** np.exp(rng.uniform(-0.3, 0.3)) * np.exp(rng.uniform(-0.08, 0.08, 3))
        x = (x - x.mean()) * np.exp(rng.uniform(-0.3, 0.3)) + x.mean() + rng.uniform(-0.08, 0.08)
        grey = (x @ [0.299, 0.587, 0.114])[..., None]
        wanted = (grey + (x - grey) * np.exp(rng.uniform(-0.35, 0.35))).clip(0, 1) * 255
        found = colour(picture, np.random.default_rng(seed), 1.0)
        assert np.abs(found - wanted).max() <= 0.501  # rounded


def test_colours_keep_their_channels(picture):
    """The detour over JPEG goes through OpenCV's BGR and must come back."""
    red = np.zeros_like(picture)
    red[..., 0] = 200
    views = np.array([augment(red, SIDE, np.random.default_rng(seed)) for seed in range(40)], float)
    assert (views[..., 0].mean((1, 2)) > views[..., 2].mean((1, 2)) + 50).all()


# Batches


def order(count: int = 50, batch: int = 4, *, epoch: int = 3, rank: int = 0, world: int = 1, start: int = 0, **more):
    return list(Order(count, batch, epoch=epoch, seed=7, rank=rank, world=world, start=start, **more))


@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_image_at_most_once_per_epoch(world):
    dealt = [order(world=world, rank=rank) for rank in range(world)]
    assert len({len(part) for part in dealt}) == 1  # no process waits for another for ever
    assert all(len(batch) == 4 for part in dealt for batch in part)
    seen = Counter(item for part in dealt for batch in part for item in batch)
    assert set(seen.values()) == {1}
    assert len(seen) == 50 // (4 * world) * 4 * world
    assert {epoch for epoch, _ in seen} == {3}
    assert all(0 <= index < 50 for _, index in seen)


def test_every_image_is_seen_over_the_epochs():
    seen = {index for epoch in range(12) for batch in order(epoch=epoch) for _, index in batch}
    assert seen == set(range(50))


def test_epochs_differ_and_repeat():
    assert order(epoch=1) == order(epoch=1)
    assert [i for b in order(epoch=1) for _, i in b] != [i for b in order(epoch=2) for _, i in b]


@pytest.mark.parametrize("start", [0, 1, 7, 12])
@pytest.mark.parametrize(("world", "rank"), [(1, 0), (2, 1)])
def test_start_is_the_tail_of_the_whole(start, world, rank):
    whole = order(100, world=world, rank=rank)
    tail = Order(100, 4, epoch=3, seed=7, rank=rank, world=world, start=start)
    assert list(tail) == whole[start:]
    assert len(tail) == len(whole) - start


def test_fewer_images_than_a_batch_still_make_one():
    (batch,) = order(3, 4)
    assert len(batch) == 4 and {index for _, index in batch} == {0, 1, 2}


def random_squares(rng: np.random.Generator, count: int = 12, classes: int = 3, side: int = SIDE) -> Squares:
    margin = round(side * MARGIN)
    images = rng.integers(0, 256, (count, margin, margin, 3), np.uint8)
    return Squares(images, np.arange(count) % classes, np.zeros(count, np.int64))


def test_a_view_depends_on_seed_epoch_and_index_alone(rng):
    squares = random_squares(rng)
    views, again, other = (Views(squares, SIDE, 3, seed=seed, strength=1.0, mixup=0.5) for seed in (0, 0, 1))
    image, wanted, domain, descriptors, mask, number = views[2, 5]
    assert number not in {views[2, 6][5], views[1, 5][5], views[5, 2][5]}
    assert mask.shape == (0,)  # no masks are learned
    assert image.shape == (3, SIDE, SIDE) and image.dtype == torch.uint8 and domain == 0
    assert wanted.shape == (3,) and len(descriptors) == 0
    views[0, 0]  # what was drawn before does not matter
    assert torch.equal(views[2, 5][0], image) and torch.equal(again[2, 5][0], image)
    assert not any(torch.equal(v, image) for v in (views[3, 5][0], views[2, 6][0], other[2, 5][0]))


def test_two_views_of_a_photograph_stand_in_one_batch(rng):
    pairs = [order(20, 4, views=2, world=2, rank=rank) for rank in range(2)]
    assert [len(part) for part in pairs] == [5, 5]
    for batch in pairs[0] + pairs[1]:
        assert [index for _, index in batch[:2]] == [index for _, index in batch[2:]]
        assert {epoch for epoch, _ in batch[:2]} == {3} and 3 not in {epoch for epoch, _ in batch[2:]}
    alone = Order(20, 8, epoch=3, seed=7, rank=0, world=1, start=0, views=2)
    shared = [Order(20, 4, epoch=3, seed=7, rank=rank, world=2, start=0, views=2) for rank in range(2)]
    for step, batch in enumerate(alone):  # a sample has the same place, whoever has it
        places = dict(zip(alone.places(step), batch, strict=True))
        own = [pair for part in shared for pair in zip(part.places(step), list(part)[step], strict=True)]
        assert dict(own) == places and len(places) == 8
    squares = random_squares(rng)
    for variants in (0, 2, 5):
        views = Views(squares, SIDE, 3, seed=0, strength=1.0, variants=variants)
        batch = next(iter(Order(12, 4, epoch=1, seed=0, rank=0, world=1, start=0, views=2)))
        first, second = (views[item][0] for item in batch[::2])
        assert batch[0][1] == batch[2][1] and not torch.equal(first, second)


def test_loader_keeps_images_and_labels_together(rng):
    squares = random_squares(rng)
    views = Views(squares, SIDE, 3, seed=0, strength=1.0)
    batches = list(loader(views, Order(12, 4, epoch=1, seed=0, rank=0, world=1, start=1), workers=0))
    wanted = list(Order(12, 4, epoch=1, seed=0, rank=0, world=1, start=1))
    assert len(batches) == 2
    for (images, targets, *_), items in zip(batches, wanted, strict=True):
        assert targets.tolist() == [[float(index % 3 == k) for k in range(3)] for _, index in items]
        assert all(torch.equal(image, views[item][0]) for image, item in zip(images, items, strict=True))


def test_blended_views_by_hand():
    """Black and white photographs of class 0 and 1, grey ones of class 2 in another data set, which never blend."""
    margin = round(SIDE * MARGIN)
    brightness, targets, domains = np.array([0, 255, 128, 128]), np.array([0, 1, 2, 2]), np.array([0, 0, 1, 1])
    images = np.broadcast_to(brightness[:, None, None, None], (4, margin, margin, 3)).astype(np.uint8)
    views = Views(Squares(images, targets, domains), SIDE, 3, seed=0, strength=0.0, mixup=1.0)
    shares = []
    for epoch in range(30):
        image, wanted, *_ = views[epoch, 0]
        assert float(wanted.sum()) == pytest.approx(1.0) and wanted[2] == 0
        assert abs(float(image.float().mean()) - 255 * float(wanted[1])) <= 0.5
        shares.append(float(wanted[0]))
        assert views[epoch, 2][1].tolist() == [0, 0, 1] and bool((views[epoch, 2][0] == 128).all())
    assert min(shares) < 0.5 < max(shares) and len({round(share, 3) for share in shares if share < 1}) > 0


def test_kept_variants_are_drawn_once(rng, monkeypatch):
    drawn = []
    monkeypatch.setattr("train._batches.augment", lambda *a, **k: drawn.append(1) or augment(*a, **k))
    fresh, kept = (Views(random_squares(rng), SIDE, 3, seed=0, strength=1.0, variants=v) for v in (0, 2))
    kept = replace(kept, squares=fresh.squares)
    for epoch in range(6):
        assert torch.equal(kept[epoch, 5][0], fresh[epoch % 2, 5][0])
    assert len(drawn) == 6 + 2


# Descriptors and the guide


def test_descriptors_know_colour_texture_and_place(rng):
    """What changes in the photograph changes the descriptors that are about it, and no others."""
    noise = rng.integers(100, 140, (128, 128, 3)).astype(np.uint8)
    y, x = np.mgrid[0:128, 0:128] - 63.5
    middle = np.hypot(x, y) < 14
    dark = np.where(middle[..., None], noise // 3, noise)
    plain, spotted = describe(noise), describe(dark)
    assert plain.shape == (DESCRIPTORS,) and plain.dtype == np.float32 and np.isfinite(plain).all()
    np.testing.assert_allclose(plain[:3], spotted[:3], atol=0.5)  # the skin is the outer ring
    lightness_of_the_middle = 3
    assert spotted[lightness_of_the_middle] < plain[lightness_of_the_middle] - 15
    turned = describe(np.rot90(dark).copy())
    assert np.abs(turned - spotted).mean() < 0.1 * np.abs(spotted - describe(cv2.blur(dark, (9, 9)))).mean()
    double = cv2.resize(dark, (256, 256), interpolation=cv2.INTER_NEAREST)
    np.testing.assert_allclose(describe(double), spotted, atol=1e-3)  # one scale, whatever the side


@pytest.mark.parametrize("value", [0, 128, 255])
def test_descriptors_of_an_empty_photograph_are_finite(value):
    assert np.isfinite(describe(np.full((64, 64, 3), value, np.uint8))).all()


@pytest.mark.parametrize("classes", [2, 3])
def test_guide_tells_colours_apart(rng, classes):
    colours = np.array([[200, 120, 110], [90, 60, 50], [150, 150, 90]])[:classes]
    targets = np.arange(30) % classes
    noise = rng.integers(-20, 20, (30, 2, 64, 64, 3))
    views = (colours[targets][:, None, None, None] + noise).astype(np.uint8)
    guide = fit_guide(views[:20], targets[:20], classes + 1)
    scaled = np.array([guide.scaled(view[0]) for view in views[20:]])
    answers = scaled @ guide.weight + guide.bias
    assert answers.shape == (10, classes + 1) and (answers.argmax(1) == targets[20:]).all()  # the class without a
    assert abs(scaled.mean()) < 0.3 and np.abs(scaled).max() <= 5  # photograph never wins
    turned = scaled @ guide.weight[:, ::-1] + guide.bias[::-1]
    np.testing.assert_allclose(softmax(turned, 1)[:, ::-1], softmax(answers, 1), atol=1e-6)


def test_distance_is_the_divergence(rng):
    p, q = softmax(rng.normal(size=(5, 4)), axis=1), softmax(rng.normal(size=(5, 4)), axis=1)
    wanted = (q * np.log(q / p)).sum(1).mean()
    got = distance(torch.tensor(np.log(p) + 3), torch.tensor(np.log(q) - 1).float())
    assert float(got) == pytest.approx(wanted, abs=1e-5)
    assert float(distance(torch.tensor(np.log(p)), torch.tensor(np.log(p)).float())) == pytest.approx(0, abs=1e-6)


# Loss


def test_log_priors_per_data_set():
    targets, domains = np.array([0, 0, 0, 1, 2, 2]), np.array([0, 0, 0, 0, 1, 1])
    shares = np.exp(log_priors(targets, domains, 3).numpy())
    # a class that a set lacks counts as one image: 3, 1, 1 of 5, and 1, 1, 2 of 4
    np.testing.assert_allclose(shares, [[3 / 5, 1 / 5, 1 / 5], [1 / 4, 1 / 4, 2 / 4]], rtol=1e-6)


@pytest.mark.parametrize(
    ("evenness", "classes"), [(0.0, (4 / 6, 1 / 6, 1 / 6)), (1.0, (1 / 3, 1 / 3, 1 / 3)), (0.5, (2 / 4, 1 / 4, 1 / 4))]
)
def test_draws_as_even_as_wanted(evenness, classes):
    """Four, one and one photographs in one data set, two of the second class in another; a share of 6 / 8 and 2 / 8."""
    targets, domains = np.array([0, 0, 0, 0, 1, 2, 1, 1]), np.array([0] * 6 + [1] * 2)
    found = chances(targets, domains, evenness)
    own = [found[:6][targets[:6] == k].sum() for k in range(3)]
    np.testing.assert_allclose(own, np.array(classes) * 6 / 8)
    np.testing.assert_allclose(found[6:], 1 / 8)
    priors = np.exp(log_priors(targets[:6], domains[:6], 3, evenness).numpy())
    np.testing.assert_allclose(priors[0], classes, rtol=1e-6)  # what the adjustment takes out is what was drawn
    drawn = [i for epoch in range(500) for batch in order(8, 4, epoch=epoch, chances=found) for _, i in batch]
    np.testing.assert_allclose(np.bincount(drawn, minlength=8) / len(drawn), found, atol=0.02)


def test_contrast_by_hand(rng):
    """Equation 2 of arXiv:2004.11362 in loops: who has no likes or no class is left out."""
    points, classes = rng.normal(size=(7, 5)), [0, 1, 0, 2, -1, 1, 0]
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    known, terms = [n for n in range(7) if classes[n] >= 0], []
    for i in known:
        likes = [j for j in known if j != i and classes[j] == classes[i]]
        below = sum(math.exp(unit[i] @ unit[j] / 0.07) for j in known if j != i)
        if likes:
            terms.append(-np.mean([math.log(math.exp(unit[i] @ unit[j] / 0.07) / below) for j in likes]))
    shares = torch.eye(3)[torch.tensor(classes)] * (torch.tensor(classes) >= 0)[:, None]
    own = torch.tensor(points, requires_grad=True)
    value = contrast(own, shares)
    assert value.item() == pytest.approx(np.mean(terms), rel=1e-6) and len(terms) == 5
    value.backward()
    assert bool(own.grad.isfinite().all()) and own.grad[4].abs().max() == 0
    alone = torch.randn(2, 5, requires_grad=True)
    contrast(alone, torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])).backward()  # one sample has nobody beside it
    assert alone.grad.abs().max() == 0
    assert contrast(alone, torch.eye(3)[:2]).item() == 0  # nobody of its class


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_by_hand(rng, smoothing):
    logits, shares = rng.normal(size=(4, 3)), rng.dirichlet(np.ones(3), 4)
    adjustment = np.log(np.array([[0.7, 0.2, 0.1]] * 4))
    total = 0.0
    for i in range(4):
        p = softmax(logits[i] + adjustment[i])
        for k in range(3):
            wanted = (1 - smoothing) * shares[i, k] + smoothing * math.exp(adjustment[i, k])
            total -= wanted * math.log(p[k])
    got = loss(
        torch.tensor(logits), torch.tensor(shares).float(), torch.tensor(adjustment).float(), smoothing=smoothing
    )
    assert float(got) == pytest.approx(total / 4, abs=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_logit_adjustment_removes_the_frequencies(smoothing):
    """Where the photographs say nothing, the best answer is: all classes alike, although 90 % are of one."""
    targets = np.array([0] * 90 + [1] * 9 + [2])
    priors = log_priors(targets, np.zeros(100, int), 3)
    answer = torch.zeros(3, requires_grad=True)
    optimiser = torch.optim.LBFGS([answer], max_iter=100)

    def closure():
        optimiser.zero_grad()
        wanted = torch.eye(3)[torch.tensor(targets)]
        value = loss(answer.expand(100, 3), wanted, priors.expand(100, 3), smoothing=smoothing)
        value.backward()
        return value

    optimiser.step(closure)
    np.testing.assert_allclose(torch.softmax(answer, 0).detach(), [1 / 3] * 3, atol=0.01)


# Schedule, average, temperature, recipe


def test_learning_rate():
    recipe = Recipe(learning_rate=1.0, warmup=0.1, final_rate=0.01)
    assert learning_rate(recipe, 0.05) == pytest.approx(0.5)  # linear from zero
    assert learning_rate(recipe, 0.1) == pytest.approx(1.0)
    assert learning_rate(recipe, 0.55) == pytest.approx(0.01 + 0.99 / 2)  # half of the cosine
    assert learning_rate(recipe, 1.0) == pytest.approx(0.01)
    rates = [learning_rate(recipe, share) for share in np.linspace(0.1, 1, 200)]
    assert all(a >= b for a, b in pairwise(rates))
    assert learning_rate(replace(recipe, warmup=0.0), 0.0) == 1.0


def test_average_starts_short_and_ends_long():
    blend = average(0.9)
    old, new = torch.tensor([0.0]), torch.tensor([1.0])
    assert float(blend(old, new, 0)) == pytest.approx(0.9)  # (1 + 0) / (10 + 0) of the random beginning stays
    assert float(blend(old, new, 10_000)) == pytest.approx(0.1)
    assert int(blend(torch.tensor(3), torch.tensor(7), 5)) == 7  # counters are not averaged


@pytest.mark.parametrize("true", [0.5, 1.0, 2.5])
def test_temperature_is_recovered(rng, true):
    """Labels are drawn from softmax(logits); a network that says true * logits is made honest by T = true."""
    logits = rng.normal(0, 2, (20_000, 4))
    chances = softmax(logits, axis=1)
    targets = (rng.random((20_000, 1)) > chances.cumsum(1)).sum(1).clip(max=3)
    assert fit_temperature(true * logits, targets) == pytest.approx(true, rel=0.04)


def test_temperature_stays_within_limits():
    """Held-back photographs that are all right would ask for certainty."""
    assert fit_temperature(np.eye(3)[[0, 1, 2]] * 5, np.array([0, 1, 2])) == pytest.approx(0.2, rel=0.01)
    assert fit_temperature(np.eye(3)[[0, 1, 2]] * 5, np.array([1, 2, 0])) == pytest.approx(5.0, rel=0.01)


def test_stages():
    assert parse_stages("128x60,256x20") == ((128, 60), (256, 20))
    recipe = Recipe(stages=((32, 2), (64, 1)))
    assert [recipe.side_at(epoch) for epoch in range(3)] == [32, 32, 64]
    assert (recipe.side, recipe.epochs) == (64, 3)
    # 2 epochs of a quarter of the pixels and one of all: a third of the run is small
    assert [recipe.share_done(e) for e in (0, 1, 2, 2.5, 3)] == pytest.approx([0, 1 / 6, 1 / 3, 2 / 3, 1])


@pytest.mark.parametrize("text", ["", "128", "128x", "x3", "100x3", "0x3", "32x0", "2048x1", "32x1,", "32X1", "-32x1"])
def test_bad_stages(text):
    with pytest.raises(InputError, match="`stages`"):
        parse_stages(text)


def test_flags_are_the_recipe():
    """A default that the options have and a flag has not would be a third place for it."""
    args = parser().parse_args(["--data", "x"])
    assert recipe_of(args) == Recipe() and split_of(args) == Split() and machine_of(args) == Machine()


def test_flags_of_options_are_read_back_as_these_options():
    """A cross-validation starts its folds by their flags: an option without one would be lost there."""
    recipe = Recipe(
        "mnasnet",
        ((32, 2), (64, 1)),
        6,
        1e-3,
        0.02,
        0.06,
        0.04,
        0.1,
        0.9,
        0.2,
        0.3,
        2.0,
        1.5,
        4.0,
        2.5,
        0.5,
        3,
        0.9,
        0.7,
        11,
        "frozen",
        1.0,
        0.3,
    )
    usual = asdict(Recipe())
    assert not [name for name, value in asdict(recipe).items() if value == usual[name]]
    split, machine = Split(4, 2, 0.25, 9), Machine("32-true", 1, 2)
    more = {"data": Path("a b"), "folder": Path("out"), "also": [Path("c"), Path("d")], "init": Path("e")}
    args = parser().parse_args(flags_of(recipe, split, machine, **more, teachers=[Path("t")], skip_unreadable=True))
    assert (recipe_of(args), split_of(args), machine_of(args)) == (recipe, split, machine)
    assert [args.data, args.out, args.also, args.init] == list(more.values()) and args.skip_unreadable
    assert args.teacher == [Path("t")]


# The three parts


@pytest.fixture
def photos(rng) -> PhotoSet:
    patients = rng.integers(0, 60, 150)
    labels = rng.choice(["BCC", "NEV", "ACK"], 150, p=[0.5, 0.3, 0.2])
    return PhotoSet(
        "set",
        PAD_UFES_20,
        tuple(Photo(Path(f"{i}.jpg"), f"{i}.jpg", str(labels[i]), f"P{p}", "set") for i, p in enumerate(patients)),
    )


def test_three_parts_share_no_patient(photos):
    part = cut_photos(photos, Split(fold=2))
    parts = (part.train, part.held_back, part.unseen)
    patients = [set(p.patients) for p in parts]
    assert sum(map(len, patients)) == len(set.union(*patients)) == len(set(photos.patients))
    assert sum(map(len, parts)) == len(photos)
    assert len(part.unseen) == pytest.approx(30, abs=8) and len(part.held_back) == pytest.approx(12, abs=5)
    assert part == cut_photos(photos, Split(fold=2))
    (listed,) = by_domain([part.unseen]).values()
    assert listed["patients"] == sorted(patients[2])


def test_every_photograph_is_unseen_in_one_fold(photos):
    seen = Counter(p.image_id for k in range(5) for p in cut_photos(photos, Split(fold=k)).unseen.photos)
    assert set(seen.values()) == {1} and len(seen) == len(photos)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fold": 5}, "`fold`"),
        ({"fold": -1}, "`fold`"),
        ({"held_back": 0.0}, "`held_back`"),
        ({"held_back": 0.9}, "`held_back`"),
    ],
)
def test_bad_cuts(photos, changes, words):
    with pytest.raises(InputError, match=words):
        cut_photos(photos, Split(**changes))


def test_class_with_nothing_left_to_learn(photos):
    """All melanomas are of one patient: in that patient's fold none is left."""
    photo = photos.photos[0]
    alone = tuple(replace(photo, image_id=f"m{i}", label="MEL", patient="M") for i in range(3))
    whole = replace(photos, photos=photos.photos + alone)
    outcomes = []
    for fold in range(5):
        try:
            outcomes.append(cut_photos(whole, Split(fold=fold)).train.counts["MEL"])
        except InputError as error:
            assert "no photograph of MEL is left" in str(error)
            outcomes.append("refused")
    assert 0 not in outcomes and "refused" in outcomes


# The loop


TINY = Recipe(
    stages=((SIDE, 3),), batch=4, ema=0.9, learning_rate=1e-3, mixup=0.2, descriptors=1.0, guide=1.0, variants=2
)
STEPS = 9  # three epochs of 12 images


class Run:
    """A tiny training in a folder; `stop_after` steps it is interrupted as by Ctrl-C."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        rng = np.random.default_rng(5)
        self.squares = random_squares(rng)
        self.held_back = rng.integers(0, 256, (6, SIDE, SIDE, 3), np.uint8), np.arange(6) % 3

    def __call__(self, folder: Path, *, stop_after: int | None = None, recipe: Recipe = TINY, resume: bool = False):
        class StopsItself(StopRequest):
            steps = 0

            @property
            def asked(self) -> bool:  # the loop looks once per step
                StopsItself.steps += 1
                return StopsItself.steps == stop_after

        with self.monkeypatch.context() as patch:
            if stop_after is not None:
                patch.setattr(_trainer, "StopRequest", StopsItself)
            data = TrainingData(3, lambda side: self.squares, lambda side: self.held_back)
            machine = Machine(precision="32-true")
            trainer = Trainer(recipe, Preprocess("v", SIDE), data, folder=folder, machine=machine)
            fitted = trainer.fit(resume=resume)
            return fitted.state, fitted.history, fitted.precision


@pytest.fixture
def train(monkeypatch) -> Run:
    return Run(monkeypatch)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("whole")
        return Run(patch)(folder), folder


def answers(history: list[dict]) -> list[dict]:
    """What a history says of the weights: all but the speed, and the rate, which has a test of its own."""
    others = {"images_per_second", "seconds", "learning_rate"}
    return [{k: v for k, v in row.items() if k not in others} for row in history]


@pytest.mark.parametrize(
    "stop_after", [1, 4, 3, STEPS], ids=["first step", "mid-epoch", "end of an epoch", "last step"]
)
def test_resumed_run_is_the_uninterrupted_one(uninterrupted, train, tmp_path, stop_after):
    (expected, history, _), _ = uninterrupted
    with pytest.raises(Interrupted, match="stopped in epoch"):
        train(tmp_path, stop_after=stop_after)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["resume.safetensors"]
    state, resumed, _ = train(tmp_path, resume=True)
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], value) for key, value in expected.items())
    assert answers(resumed) == answers(history)
    rows = rows_of(tmp_path / "history.csv")
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]


@pytest.mark.parametrize("stop_after", [4, 3])
def test_history_of_a_resumed_run_has_the_same_rates(uninterrupted, train, tmp_path, stop_after):
    (_, history, _), _ = uninterrupted
    with pytest.raises(Interrupted):
        train(tmp_path, stop_after=stop_after)
    _, resumed, _ = train(tmp_path, resume=True)
    assert [row["learning_rate"] for row in resumed] == [row["learning_rate"] for row in history]
    assert history[0]["learning_rate"] == pytest.approx(learning_rate(TINY, 3 / STEPS))


def test_stopped_twice(uninterrupted, train, tmp_path):
    (expected, _, _), _ = uninterrupted
    for resume in (False, True):
        with pytest.raises(Interrupted):
            train(tmp_path, stop_after=2, resume=resume)
    state, *_ = train(tmp_path, resume=True)
    assert all(torch.equal(state[key], value) for key, value in expected.items())


def test_what_is_not_restored_is_noticed(uninterrupted, train, tmp_path, monkeypatch):
    """Without the optimiser's moments the weights come out otherwise: the comparison above can fail."""
    (expected, _, _), _ = uninterrupted
    with pytest.raises(Interrupted):
        train(tmp_path, stop_after=4)
    monkeypatch.setattr(_trainer, "restore_optimiser", lambda *_: None)
    state, *_ = train(tmp_path, resume=True)
    assert not all(torch.equal(state[key], value) for key, value in expected.items())


def test_training_is_repeatable_and_depends_on_the_seed(uninterrupted, train, tmp_path):
    (expected, _, _), _ = uninterrupted
    state, *_ = train(tmp_path / "other", recipe=replace(TINY, seed=1))
    assert not torch.equal(state["classifier.weight"], expected["classifier.weight"])
    state, *_ = train(tmp_path / "same")
    assert all(torch.equal(state[key], value) for key, value in expected.items())


def test_state_is_no_pickle(uninterrupted):
    _, folder = uninterrupted
    with safe_open(folder / "resume.safetensors", framework="pt") as file:
        header = file.metadata()
        groups = {key.split("/")[0] for key in file.keys()}  # noqa: SIM118 - not a dict
    assert groups == {"net", "averaged", "optimiser"}
    assert json.loads(header["facts"])["progress"]["epoch"] == 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"learning_rate": 2e-3}, "learning_rate"),
        ({"seed": 4, "batch": 6}, "batch.*seed"),
        ({"stages": ((SIDE, 4),)}, "stages"),
    ],
)
def test_resume_with_other_flags(uninterrupted, train, tmp_path, changes, words):
    _, folder = uninterrupted
    (tmp_path / "resume.safetensors").write_bytes((folder / "resume.safetensors").read_bytes())
    with pytest.raises(InputError, match=f"other settings.*{words}.*repeat those"):
        train(tmp_path, recipe=replace(TINY, **changes), resume=True)


@pytest.mark.parametrize("content", [None, b"", b"cut", "half", "foreign"])
def test_resume_from_something_else(uninterrupted, train, tmp_path, content):
    _, folder = uninterrupted
    whole = (folder / "resume.safetensors").read_bytes()
    path = tmp_path / "resume.safetensors"
    if content == "foreign":
        from safetensors.torch import save_file

        save_file({"a": torch.ones(1)}, path)
    elif content is not None:
        path.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    with pytest.raises(InputError, match=r"resume\.safetensors"):
        train(tmp_path, resume=True)


def test_diverged_training_says_so(train, tmp_path):
    with pytest.raises(InputError, match=r"the loss became nan.*`learning_rate`"):
        train(tmp_path, recipe=replace(TINY, learning_rate=1e20, warmup=0.0, weight_decay=1e20))


@pytest.mark.parametrize(
    ("weight", "falls_to"),
    [(0.0, 0.5), pytest.param(1.0, 0.75, marks=pytest.mark.slow(reason="trains a second time"))],
    ids=["class", "class and descriptors"],
)
def test_it_learns(tmp_path, train, weight, falls_to):
    """Red, green and blue squares: the loss falls from that of guessing."""
    colours = np.zeros((12, 40, 40, 3), np.uint8)
    for i in range(12):
        colours[i, ..., i % 3] = 220
    train.squares = replace(train.squares, images=colours)
    recipe = replace(
        TINY, stages=((SIDE, 25),), mixup=0.0, label_smoothing=0.0, augment=0.0, descriptors=weight, guide=weight
    )
    _, history, used = train(tmp_path, recipe=recipe)
    losses = [row["loss"] for row in history]
    assert losses[0] > 0.8 and np.mean(losses[-3:]) < losses[0] * falls_to
    assert used == "32-true"


# The command


def flags(data: Path, out: Path, *more: str, stages: str = f"{SIDE}x2") -> list[str]:
    fixed = ["--stages", stages, "--batch", "4", "--folds", "3", "--held-back", "0.25", "--precision", "32-true"]
    return ["--data", str(data), "--out", str(out), *fixed, *more]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def trained(folder_of_photographs, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "mine"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERMEDGE_CACHE", str(out.parent / "cache"))
        assert main(flags(folder_of_photographs, out)) == 0
    return out


def test_what_a_run_leaves(trained, folder_of_photographs):
    names = {path.name for path in trained.iterdir()}
    assert names >= {"checkpoint.safetensors", "checkpoint.json", "history.csv", "unseen.csv", "tensorboard"}
    assert names >= {"curves.png", "confusion.png"}
    assert not [name for name in names if name.startswith(".")]
    assert "resume.safetensors" not in names  # of an interrupted run alone
    assert list((trained / "tensorboard").iterdir())
    for plot in ("curves.png", "confusion.png"):
        with Image.open(trained / plot) as image:
            assert min(image.size) > 200 and len(image.convert("RGB").getcolors(1 << 24)) > 10
    rows = rows_of(trained / "history.csv")
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert {"loss", "held_back_loss", "held_back_balanced_accuracy", "images_per_second", "seconds"} <= rows[-1].keys()


def test_checkpoint_says_who_was_seen(trained, folder_of_photographs):
    checkpoint = load(trained)
    assert [label.code for label in checkpoint.labels] == ["ben", "mal"]
    assert checkpoint.preprocess.side == SIDE
    parts = [part["set"] for part in (checkpoint.trained, checkpoint.held_back, checkpoint.unseen)]
    for kind, number in (("patients", 12), ("images", 24)):
        assert sum(len(part[kind]) for part in parts) == number == len({name for part in parts for name in part[kind]})
    patient_of = {row["file"]: row["patient"] for row in rows_of(folder_of_photographs / "patients.csv")}
    for part in parts:
        assert sorted({patient_of[image] for image in part["images"]}) == part["patients"]
    assert checkpoint.recipe["stages"] == [[SIDE, 2]] and checkpoint.recipe["fold"] == 0
    assert len(checkpoint.data[0]["sha256"]) == 64
    assert 0 <= checkpoint.metrics["unseen"]["balanced_accuracy"]["value"] <= 1


def test_answers_are_those_of_the_checkpoint(trained, folder_of_photographs):
    """unseen.csv against the checkpoint as someone else would load and run it."""
    checkpoint = load(trained)
    net = checkpoint.network()
    rows = rows_of(trained / "unseen.csv")
    assert sorted(row["image"] for row in rows) == checkpoint.unseen["set"]["images"]
    from edge.capture import read_photo
    from edge.preprocess import to_input

    for row in rows:
        x = torch.from_numpy(to_input(read_photo(folder_of_photographs / row["image"]), SIDE)).permute(2, 0, 1)[None]
        with torch.inference_mode():
            logits = net(x.float() / 255)[0] / checkpoint.temperature
        assert [float(row["logit_ben"]), float(row["logit_mal"])] == pytest.approx(logits.tolist(), abs=1e-4)
        assert row["label"] == row["image"].split("/")[0]


def test_a_run_is_not_overwritten(trained, folder_of_photographs, capsys):
    before = contents(trained)
    assert main(flags(folder_of_photographs, trained)) == 2
    said = capsys.readouterr().err
    assert str(trained) in said and "--resume" in said and "--force" in said
    assert contents(trained) == before


def test_a_finished_run_has_nothing_to_resume(trained, folder_of_photographs, capsys):
    assert main(flags(folder_of_photographs, trained, "--resume")) == 2
    assert "holds a finished run" in capsys.readouterr().err


def test_a_batch_beyond_the_set_is_refused(folder_of_photographs, tmp_path, capsys):
    assert main(flags(folder_of_photographs, tmp_path / "run", "--batch", "100000")) == 2
    assert "--batch 100000 is more than the" in capsys.readouterr().err


@pytest.mark.parametrize(("seconds", "said"), [(12, "10 s"), (89, "90 s"), (300, "5 min"), (7000, "1.9 h")])
def test_durations_in_words(seconds, said):
    assert _trainer.in_words(seconds) == said


def test_the_time_to_go_is_told_once_and_counts_pixels(train, tmp_path, monkeypatch, messages):
    """Steps of 8 seconds: of 9 steps two are timed before it is told, after the first, and six are left."""
    ticks = iter(range(0, 10_000, 8))
    monkeypatch.setattr(_trainer.time, "monotonic", lambda: next(ticks) / 1)
    train(tmp_path / "run")
    told = [line for line in messages if "to go" in line]
    assert len(told) == 1 and told[0].startswith("about ")


def test_force_replaces_a_run(trained, folder_of_photographs, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    assert main(flags(folder_of_photographs, tmp_path / "run", "--force", stages="32x1")) == 0
    assert load(tmp_path / "run").recipe["stages"] == [[32, 1]]


@pytest.mark.parametrize("slip", ["--data", "--init"])
def test_force_does_not_cost_a_run_when_something_is_wrong(trained, folder_of_photographs, tmp_path, slip):
    """A slip on the command line must not have deleted the run of last night."""
    shutil.copytree(trained, tmp_path / "run")
    wrong = {"--data": ["--data", str(tmp_path / "no")], "--init": ["--init", str(tmp_path / "no.safetensors")]}
    assert main(flags(folder_of_photographs, tmp_path / "run", "--force", *wrong[slip])) == 2
    assert contents(tmp_path / "run") == contents(trained)


def test_bad_flags_leave_nothing(folder_of_photographs, tmp_path, capsys):
    for more in (["--batch", "1"], ["--stages", "33x1"], ["--fold", "9"], ["--init", str(tmp_path / "no.safetensors")]):
        assert main(flags(folder_of_photographs, tmp_path / "out", *more)) == 2
        assert more[0].lstrip("-") in capsys.readouterr().err.replace("checkpoint", "init")
        assert not (tmp_path / "out").exists() or not contents(tmp_path / "out")


@pytest.mark.parametrize(
    "more",
    [["--mixup", "-1"], ["--learning-rate", "nan"], ["--ema", "2"], ["--augment", "-1"], ["--threads", "-3"]],
    ids=" ".join,
)
def test_numbers_out_of_range(folder_of_photographs, tmp_path, capsys, more):
    assert main(flags(folder_of_photographs, tmp_path / "out", *more, stages="32x1")) == 2
    assert more[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    "more", [["--fold", "1"], ["--split-seed", "5"], ["--folds", "4"], ["--held-back", "0.5"]], ids=" ".join
)
def test_resume_on_another_split_is_refused(folder_of_photographs, tmp_path, monkeypatch, more):
    """The weights know patients that the other fold calls unseen: every figure after it would be a lie."""
    interrupt(monkeypatch, 3)
    out = tmp_path / "out"
    assert main(flags(folder_of_photographs, out, stages="32x3")) == 130
    monkeypatch.setattr(_trainer, "StopRequest", StopRequest)
    assert main(flags(folder_of_photographs, out, "--resume", *more, stages="32x3")) == 2
    assert not (out / "checkpoint.json").exists()


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    class StopsItself(StopRequest):
        steps = 0

        @property
        def asked(self) -> bool:
            StopsItself.steps += 1
            return StopsItself.steps >= after

    monkeypatch.setattr(_trainer, "StopRequest", StopsItself)


def test_init_from_a_model_that_saw_the_unseen_is_refused(trained, folder_of_photographs, tmp_path, capsys):
    init = ["--init", str(trained / "checkpoint.safetensors")]
    assert main(flags(folder_of_photographs, tmp_path / "other", *init, "--fold", "1", stages="32x1")) == 2
    assert "--init learned from" in capsys.readouterr().err
    assert main(flags(folder_of_photographs, tmp_path / "same", *init, stages="32x1")) == 0
    checkpoint, first = load(tmp_path / "same"), load(trained)
    assert checkpoint.trained == first.trained and checkpoint.unseen == first.unseen


def test_unreadable_photograph(folder_of_photographs, tmp_path, capsys):
    data = tmp_path / "set"
    shutil.copytree(folder_of_photographs, data)
    (data / "ben" / "0.png").write_bytes(b"broken")
    assert main(flags(data, tmp_path / "out")) == 2
    assert "ben/0.png" in capsys.readouterr().err
    assert not (tmp_path / "out").exists() or not contents(tmp_path / "out")
    assert main(flags(data, tmp_path / "out", "--skip-unreadable", stages="32x1")) == 0
    checkpoint = load(tmp_path / "out")
    assert not [
        1
        for part in (checkpoint.trained, checkpoint.held_back, checkpoint.unseen)
        if "ben/0.png" in part["set"]["images"]
    ]


def test_a_second_run_in_the_same_folder_is_refused(folder_of_photographs, tmp_path, capsys):
    """Both would end well, and leave the weights of one with the history of the other."""
    with refused_company(tmp_path / "out", "training"):
        assert main(flags(folder_of_photographs, tmp_path / "out")) == 2
    assert "another process is training in" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_a_stop_after_the_last_epoch_says_how_to_go_on(
    folder_of_photographs, tmp_path, capsys, monkeypatch, stop, code
):
    def stopped(*_: object) -> None:
        (tmp_path / "out" / "resume.safetensors").touch()
        raise stop

    monkeypatch.setattr("train._run.fit", lambda *_, **__: None)
    monkeypatch.setattr("train._run.judge_and_write", stopped)
    assert main(flags(folder_of_photographs, tmp_path / "out")) == code
    assert "ed; the same command with --resume goes on from the last epoch" in capsys.readouterr().err


def test_second_ctrl_c_ends_without_saving():
    assert issubclass(Interrupted, KeyboardInterrupt)
    before = signal.getsignal(signal.SIGINT)  # a background process of a shell ignores it
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.asked
        with pytest.raises(Abandoned):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_abandoned_run_keeps_the_state_of_its_last_finished_epoch(train, tmp_path, monkeypatch):
    """The second Ctrl-C may come in the middle of a step, when the weights are neither here nor there."""

    class StopsAtOnce(StopRequest):
        steps = 0

        @property
        def asked(self) -> bool:
            StopsAtOnce.steps += 1
            if StopsAtOnce.steps == 5:
                raise Abandoned
            return False

    monkeypatch.setattr(_trainer, "StopRequest", StopsAtOnce)
    with pytest.raises(KeyboardInterrupt) as stopped:
        train(tmp_path)
    assert stopped.type is Abandoned
    _, facts = load_state(tmp_path / "resume.safetensors")
    assert (facts["progress"]["epoch"], facts["progress"]["step"]) == (1, 0)


@pytest.mark.slow(reason="trains in a process of its own, twice")
def test_ctrl_c(folder_of_photographs, tmp_path, cache):
    """A real process and a real signal, once a first epoch is over; the same command with --resume ends it."""
    out = tmp_path / "out"
    command = [sys.executable, str(ROOT / "train" / "train.py"), *flags(folder_of_photographs, out, stages="32x20")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path
    ) as process:
        deadline = time.monotonic() + 120
        while not (out / "resume.safetensors").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "--resume" in said and "Traceback" not in said
    assert (out / "resume.safetensors").is_file()
    assert not (out / "checkpoint.json").exists() and not list(out.glob(".unfinished*"))
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(rows_of(out / "history.csv")) == 20
    assert load(out).recipe["stages"] == [[32, 20]]


@pytest.mark.parametrize(
    ("model", "start", "expected"),
    [
        ("hierattn_xs", None, (0.0, 0.0, 0.0)),
        ("mnasnet", None, (0.485, 0.456, 0.406)),
        ("mnasnet", "mnasnet", (0.5, 0.4, 0.3)),  # weights of the same family go on with the colours they know
        ("mnasnet", "hierattn_xs", (0.485, 0.456, 0.406)),
    ],
)
def test_a_new_checkpoint_has_its_familys_normalisation(model, start, expected):
    recipe = replace(Recipe(), model=model)
    given = Checkpoint(start, PAD_UFES_20, Preprocess("v", 64, (0.5, 0.4, 0.3), (0.2,) * 3), {}) if start else None
    found = preprocess_for(recipe, given)
    assert found.mean == expected and found.side == recipe.side
    assert (found.std == (0.2,) * 3) == (model == start)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_exit_code_tells_which_signal_stopped_a_run(number, code):
    with StopRequest() as stop:
        os.kill(os.getpid(), number)
    assert stop.asked and 128 + Interrupted("stopped", stop.number).number == code
