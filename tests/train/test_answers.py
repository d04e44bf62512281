"""Answers beside a trained network: the picture's part stays as it is, bit for bit; every way there gives the same."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import dermedge
from dermedge.commands.fit_answers import main as fit_answers_main
from dermedge.commands.train import main as train_main
from edge.checkpoint import load
from edge.data.readers import open_photos
from edge.errors import InputError
from edge.nine_questions import QUESTIONS
from edge.questionnaire import length_of
from train._answer_figures import KINDS
from train._folder import WITH_ANSWERS
from train._folds import answers_figures

SIDE, Q = 32, length_of(QUESTIONS)
SPLIT = ["--folds", "3", "--held-back", "0.25", "--precision", "32-true"]
FLAGS = ["--stages", f"{SIDE}x1", "--batch", "4", "--descriptors", "0", "--guide", "0", *SPLIT]


@pytest.fixture(scope="module")
def photographs(folder_of_photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 24 photographs of 12 people, of whom those with class `mal` say that it bleeds."""
    folder = shutil.copytree(folder_of_photographs, tmp_path_factory.mktemp("answers") / "set")
    rows = ["file,age,bleeds,region"]
    rows += [f"{('ben', 'mal')[i % 2]}/{i}.png,{20 + 3 * i},{'yes' if i % 2 else 'no'},{'back' if i < 8 else ''}"
             for i in range(24)]  # fmt: skip
    (folder / "answers.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def runs(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same training, without answers and with them."""
    out = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERMEDGE_CACHE", str(out / "cache"))
        for name, more in (("plain", []), ("answers", ["--answers"])):
            assert train_main(["--data", str(photographs), "--out", str(out / name), *FLAGS, *more]) == 0
    return out / "plain", out / "answers"


@torch.no_grad()
def test_the_picture_alone_is_the_network_trained_without_answers(runs: tuple[Path, Path]) -> None:
    plain, both = (load(folder) for folder in runs)
    assert plain.state.keys() == both.state.keys() and plain.temperature == both.temperature
    assert all(torch.equal(value, both.state[name]) for name, value in plain.state.items())
    picture = torch.rand(1, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(0)) * 255
    alone = plain.deployed(layout="NHWC")(picture)
    assert torch.equal(both.deployed(layout="NHWC")(picture), alone)
    assert torch.equal(both.deployed(layout="NHWC", answers=True)(picture, torch.zeros(1, Q)), alone)
    assert (runs[0] / "unseen.csv").read_bytes() == (runs[1] / "unseen.csv").read_bytes()
    assert plain.metrics["unseen"] == both.metrics["unseen"] and plain.answers_weight is None


def test_what_a_run_with_answers_leaves(runs: tuple[Path, Path]) -> None:
    checkpoint = load(runs[1])
    weight = checkpoint.answers_weight
    assert weight is not None and checkpoint.questions == QUESTIONS
    (bleeds,) = (question for question in QUESTIONS if question.id == "bleeds")
    yes, no = weight[:, bleeds.offset], weight[:, bleeds.offset + 1]
    assert yes[1] > 0 > yes[0] and no[0] > 0 > no[1]
    (itches,) = (question for question in QUESTIONS if question.id == "itches")
    assert not weight[:, itches.offset : itches.offset + 2].any()  # nobody was asked
    figures = checkpoint.metrics["answers"]
    assert set(figures["kinds"]) == set(KINDS) and figures["kinds"]["answers"]["balanced_accuracy"]["value"] == 1
    assert set(figures["cases"]) == set(figures["points"]) == {"none", "some", "all"}
    assert checkpoint.recipe["answers"]["answered"]["bleeds"] == 1 and json.dumps(figures)
    with (runs[1] / WITH_ANSWERS).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8 and {f"{kind}_{code}" for kind in KINDS for code in ("ben", "mal")} < set(rows[0])


def test_afterwards_gives_the_same_as_with_training(
    runs: tuple[Path, Path], photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "added" / "xs"
    command = ["--checkpoint", str(runs[0]), "--data", str(photographs), "--out", str(out)]
    assert fit_answers_main(command) == 0
    assert "image and answers" in capsys.readouterr().out
    added, together = load(out), load(runs[1])
    torch.testing.assert_close(added.answers_weight, together.answers_weight, rtol=1e-4, atol=1e-6)
    assert (added.trained, added.held_back, added.unseen) == (together.trained, together.held_back, together.unseen)
    assert fit_answers_main(command) == 2 and "exists" in capsys.readouterr().err
    assert fit_answers_main([*command, "--force"]) == 0


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 5, stride=4), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x).relu().mean((2, 3))).softmax(-1)


def test_a_network_from_elsewhere_takes_answers(photographs: Path, tmp_path: Path, messages: list[str]) -> None:
    torch.manual_seed(0)
    own = dermedge.wrap(Own().eval(), ["ben", "mal"], side=SIDE, mean=(0.5,) * 3, std=(0.25,) * 3, name="own",
                        malignant=[False, True])  # fmt: skip
    fitted = dermedge.fit_answers(own, photographs, folds=3, held_back=0.25)
    assert "which of them trained it is unknown" in " ".join(messages)
    assert fitted.checkpoint.lists_no_patients and not fitted.checkpoint.trained
    (listed,) = fitted.checkpoint.recipe["answers"]["fitted_on"].values()
    assert listed["images"] and not set(listed["patients"]) & set(fitted.unseen.patients)
    back = load(dermedge.save(fitted.checkpoint, tmp_path / "own"))
    assert torch.equal(back.answers_weight, fitted.checkpoint.answers_weight)  # type: ignore[arg-type]
    assert fitted.figures["kinds"]["answers"]["balanced_accuracy"]["value"] == 1


def test_a_set_without_answers_is_refused_before_anything_is_trained(
    folder_of_photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--data", str(folder_of_photographs), "--out", str(tmp_path / "run"), *FLAGS, "--answers"]
    assert train_main(command) == 2
    assert "no photograph has an answer to learn from" in capsys.readouterr().err
    assert not (tmp_path / "run" / "history.csv").exists()


def test_a_part_without_patients_is_refused(runs: tuple[Path, Path], photographs: Path) -> None:
    checkpoint = load(runs[0])
    with pytest.raises(InputError, match="no patient of set is held back"):
        dermedge.fit_answers(replace(checkpoint, held_back={}), photographs)


def test_folds_are_pooled(photographs: Path, tmp_path: Path) -> None:
    """Two folds, each photograph unseen in one; a fold that was trained without answers is named."""
    photos = open_photos(photographs)
    columns = [f"{kind}_{code}" for kind in KINDS for code in photos.codes]
    for fold in range(2):
        (tmp_path / f"fold-{fold}").mkdir()
        with (tmp_path / f"fold-{fold}" / WITH_ANSWERS).open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["image", "patient", "label", *columns])
            for photo in photos.photos[fold::2]:
                right = np.array([code == photo.label for code in photos.codes], float)
                rows = [right if kind == "both" else 1 - right if kind == "blanks" else right * 0 for kind in KINDS]
                writer.writerow([photo.image_id, photo.patient, photo.label, *np.concatenate(rows)])
    figures = answers_figures(photos, tmp_path, 2)
    values = {kind: figures[kind]["balanced_accuracy"]["value"] for kind in KINDS}
    assert values == {"image": 0.5, "answers": 0.5, "blanks": 0, "both": 1, "some": 0.5}
    assert figures["both"]["malignant_auc"]["value"] == 1 and figures["image"]["malignant_auc"]["value"] == 0.5
    (tmp_path / "fold-1" / WITH_ANSWERS).unlink()
    with pytest.raises(InputError, match="fold 1 was trained without `answers`"):
        answers_figures(photos, tmp_path, 2)
