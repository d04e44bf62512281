"""Training without a command: objects in, objects out, nothing on the screen, and any network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dermedge.commands.train import main
from edge.checkpoint import Preprocess, load
from edge.data.readers import open_photos
from edge.errors import InputError
from edge.files import read_json, sha256
from edge.labels import PAD_UFES_20, Label
from edge.preprocess import PREPROCESS_VERSION
from edge.progress import Progress
from train._evaluate import evaluate
from train._options import Machine, Split
from train._overview import overview
from train._recipe import Recipe
from train._run import TrainingRun, train
from train._summary import summarise

ROOT = Path(__file__).resolve().parents[2]
SIDE = 32
RECIPE = Recipe(stages=((SIDE, 2),), batch=4)
OPTIONS = {"split": Split(folds=3, held_back=0.25), "machine": Machine(precision="32-true")}
FLAGS = ["--stages", f"{SIDE}x2", "--batch", "4", "--folds", "3", "--held-back", "0.25", "--precision", "32-true"]
REPORTS: list[Progress] = []
ROWS: list[dict] = []


@pytest.fixture(scope="module")
def run(folder_of_photographs, tmp_path_factory) -> TrainingRun:
    out = tmp_path_factory.mktemp("library")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERMEDGE_CACHE", str(out / "cache"))
        photos = open_photos(folder_of_photographs)
        return train(
            RECIPE, photos, folder=out / "run", **OPTIONS, on_progress=REPORTS.append, on_epoch=ROWS.append
        )  # fmt: skip


def test_a_run_returns_what_it_wrote(run: TrainingRun) -> None:
    written = load(run.checkpoint_path)
    assert run.checkpoint.sha256 == written.sha256 and run.metrics == written.metrics["unseen"]
    assert run.history == ROWS and len(ROWS) == 2 and run.fine_tuned is None
    assert {"reading set", "training"} <= {report.task for report in REPORTS}
    training = [report for report in REPORTS if report.task == "training"]
    assert training[-1].ended and [r.done for r in training[:-1]] == [1, 2, 3, 4, 5, 6] and training[0].total == 6


def test_a_run_has_a_page_of_its_own_figures(run: TrainingRun) -> None:
    page = run.write_page()
    assert page == run.folder / "report.html" and run.checkpoint.sha256 in page.read_text()
    written = read_json(run.folder / "training.json", expected="the page's figures")
    assert written["figures"] == run.metrics and written["checkpoint_sha256"] == run.checkpoint.sha256
    assert written["unseen_sha256"] == sha256(run.folder / "unseen.csv")
    assert sum(map(sum, written["confusion"])) == run.metrics["images"] == written["sets"][0]["unseen"]["photographs"]
    assert written["leaks"]["compared"] and written["sets"][0]["sha256"] == run.checkpoint.data[0]["sha256"]


def test_the_command_trains_the_same_network(run: TrainingRun, folder_of_photographs, tmp_path, capsys) -> None:
    assert main(["--data", str(folder_of_photographs), "--out", str(tmp_path / "run"), *FLAGS]) == 0
    ours, theirs = load(tmp_path / "run"), run.checkpoint
    assert all(torch.equal(ours.state[name], value) for name, value in theirs.state.items())
    timed = {"seconds": ours.recipe["seconds"]}  # differs from run to run
    assert ours.recipe == {**json.loads(json.dumps(theirs.recipe)), **timed}
    assert ours.temperature == theirs.temperature
    said = capsys.readouterr().out
    assert "epoch 1 side 32 loss" in said and "unseen patients: 8 photographs" in said and "checkpoint: " in said


class Plain(nn.Module):
    """A network that nobody here has a name for, and whose last layer is called otherwise."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 3, stride=2), nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.conv(x)).mean((2, 3)))


def test_a_network_of_ones_own_quietly_and_on_another_thread(folder_of_photographs, tmp_path, capfd) -> None:
    """As a notebook or a server would: no signal handlers, no output, the guide but no descriptors."""
    preprocess = Preprocess(PREPROCESS_VERSION, SIDE, (0.5,) * 3, (0.25,) * 3)
    recipe = replace(RECIPE, model="plain", descriptors=0.0)

    def trained() -> TrainingRun:
        return train(
            recipe, folder_of_photographs, folder=tmp_path / "run", create=Plain, preprocess=preprocess, **OPTIONS
        )

    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(trained).result()
    assert result.checkpoint.program and not result.checkpoint.state and result.checkpoint.model == "plain"
    assert set(result.checkpoint.network().state_dict()) == set(Plain(2).state_dict())
    assert result.checkpoint.preprocess == preprocess and 0 <= result.metrics["accuracy"] <= 1
    assert capfd.readouterr().out == ""


def test_descriptors_of_a_network_without_that_layer_are_refused_by_name(folder_of_photographs, tmp_path) -> None:
    preprocess = Preprocess(PREPROCESS_VERSION, SIDE)
    with pytest.raises(InputError, match=r"Plain has no linear layer called classifier.*`descriptors`.* set them to 0"):
        train(
            RECIPE, folder_of_photographs, folder=tmp_path / "run", create=Plain, preprocess=preprocess, **OPTIONS
        )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"create": Plain}, "`create` and `preprocess` go together"),
        ({"recipe": Recipe(model="hierattn_xl")}, "unknown model 'hierattn_xl'"),
        ({"recipe": Recipe(stages=())}, "`stages` is empty"),
        ({"recipe": Recipe(ema=float("nan"))}, "`ema` is between"),
        ({"split": Split(seed=-1)}, "`split_seed` is between"),
        ({"machine": Machine(precision="16-true")}, "`precision` is one of"),
        ({"machine": Machine(threads=0)}, "`threads` is between"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_options_are_refused_before_a_folder_is_made(tmp_path, changes, words) -> None:
    with pytest.raises(InputError, match=words):
        train(**{"recipe": RECIPE, "data": tmp_path / "nowhere", "folder": tmp_path / "run", **OPTIONS, **changes})
    assert not (tmp_path / "run").exists()


def test_a_set_without_classes_teaches_no_class(folder_of_photographs, tmp_path) -> None:
    photos = replace(open_photos(folder_of_photographs), classes=())
    with pytest.raises(InputError, match="has no classes"):
        train(RECIPE, photos, folder=tmp_path / "run", **OPTIONS)


def test_evaluate_and_overview_take_a_set(run: TrainingRun, folder_of_photographs, caplog) -> None:
    photos = open_photos(folder_of_photographs)
    renamed = tuple(replace(photo, label="MEL") for photo in photos.photos)
    other = replace(photos, name="other", classes=PAD_UFES_20, photos=renamed)
    (judged,) = evaluate(run.checkpoint, [other, photos]).sets
    assert judged.figures["accuracy"] == run.metrics["accuracy"] and len(judged.photos) == len(judged.logits) == 8
    with pytest.raises(InputError, match=r"checkpoint's classes \(ben, mal\)"):
        evaluate(run.checkpoint, other)
    seen = overview(photos, folds=3, side=SIDE)
    assert [(row.label.code, row.images, sum(row.by_fold)) for row in seen.classes] == [
        ("ben", 12, 12),
        ("mal", 12, 12),
    ]
    assert seen.patients == 12 and seen.sha256 == photos.sha256()


def test_threads_are_given_back(folder_of_photographs, tmp_path, monkeypatch) -> None:
    """What a caller has set for the rest of the program holds after a run."""
    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    before = torch.get_num_threads()
    with pytest.raises(InputError):
        train(RECIPE, tmp_path / "nowhere", folder=tmp_path / "run", machine=Machine(threads=3))
    assert asked == [3, before]


# Malignancy


def labels(*malignant: bool | None) -> tuple[Label, ...]:
    return tuple(
        Label(f"c{n}", f"class {n}", malignant=value)  # type: ignore[arg-type]  # None: nobody has said
        for n, value in enumerate(malignant)
    )


def summary(targets: list[int], answers: list[int], classes: tuple[Label, ...]) -> dict:
    patients = [f"p{n}" for n in range(len(targets))]
    return summarise(np.array(targets), patients, np.eye(len(classes))[answers] * 3, classes)


def test_malignant_against_benign_is_of_the_classes_of_which_it_is_known() -> None:
    """Of three malignant ones two are told, one is called unknown; of two benign ones one; the unknown are left out."""
    figures = summary([0, 0, 0, 1, 1, 2, 2], [0, 0, 2, 1, 2, 0, 1], labels(True, False, None))
    assert figures["malignancy_unknown"] == ["c2"]
    assert figures["malignant"]["sensitivity"]["value"] == pytest.approx(2 / 3)
    assert figures["malignant"]["specificity"]["value"] == pytest.approx(1 / 2)


@pytest.mark.parametrize("known", [(None, None, None), (True, None, None), (False, False, None), (True, True, True)])
def test_one_side_alone_gives_no_such_figure(known) -> None:
    figures = summary([0, 1, 2], [0, 1, 2], labels(*known))
    assert "malignant" not in figures
    assert figures.get("malignancy_unknown", []) == [f"c{n}" for n in range(3) if known[n] is None]


# More than one process


@pytest.mark.slow(reason="two training processes")
def test_under_torchrun_processes_share_the_work_and_one_speaks(folder_of_photographs, tmp_path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", str(ROOT / "train" / "train.py")]
    flags = ["--data", str(folder_of_photographs), "--out", str(tmp_path / "run"), *FLAGS]
    done = subprocess.run(
        [*command, *flags], capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    for words in ("photographs to learn from", "epoch 1 ", "epoch 2 ", "unseen patients:", "checkpoint: "):
        assert done.stdout.count(words) == 1, done.stdout
    assert not (tmp_path / "run" / "resume.safetensors").exists()  # a finished run needs none
    assert done.stdout.count("page: ") == 1 and (tmp_path / "run" / "report.html").is_file()
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]  # nothing half-written
    assert load(tmp_path / "run").recipe["stages"] == [[SIDE, 2]]


def test_only_the_first_process_is_on_the_screen(folder_of_photographs, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("RANK", "1")
    flags = ["--data", str(folder_of_photographs), "--out", str(tmp_path / "run"), *FLAGS]
    assert main([*flags, "--stages", f"{SIDE}x1"]) == 0
    assert capsys.readouterr().out == ""
