"""The commands around a training run: look the data over, cross-validate, evaluate, write the card."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import ship
from dermedge.commands import cross_validate, evaluate, prepare, train
from edge import checkpoint
from edge.errors import InputError
from train import _fold_runs, _folder, _folds
from train._fold_runs import FoldRun

FLAGS = ["--stages", "32x1", "--batch", "4", "--folds", "3", "--held-back", "0.25", "--precision", "32-true"]


@pytest.fixture(scope="module")
def validated(folder_of_photographs, tmp_path_factory) -> Path:
    """A whole cross-validation, every fold a process of its own, from a folder with a package of the same name."""
    out = tmp_path_factory.mktemp("cv") / "cv"
    for package in ("dermedge", "edge", "train"):
        (out.parent / package).mkdir()
        (out.parent / package / "__init__.py").write_text("raise SystemExit('this is another package')")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(out.parent)
        patch.setenv("DERMEDGE_CACHE", str(out.parent / "cache"))
        assert (
            cross_validate.main(["--data", str(folder_of_photographs), "--out", str(out), *FLAGS, "--jobs", "2"]) == 0
        )
    return out


@pytest.mark.slow(reason="needs a whole cross-validation")
def test_every_photograph_is_judged_once_by_a_model_that_never_saw_it(validated, folder_of_photographs):
    found = json.loads((validated / "cross_validation.json").read_text())
    assert found["out_of_fold"]["images"] == 24
    assert found["out_of_fold"]["patients"] == 12
    seen: set[str] = set()
    for fold in range(3):
        held = checkpoint.load(validated / f"fold-{fold}" / "checkpoint.safetensors")
        unseen = set(held.unseen["set"]["patients"])
        assert not unseen & (set(held.trained["set"]["patients"]) | set(held.held_back["set"]["patients"]))
        assert not unseen & seen
        seen |= unseen
    assert len(seen) == 12
    for name in ("forest on 16x16 RGB", "forest on file size and geometry"):
        assert 0 <= found["baselines"][name]["balanced_accuracy"]["value"] <= 1
    assert found["baselines"]["forest on 16x16 RGB"]["balanced_accuracy"]["value"] > 0.9  # colour tells these apart


@pytest.mark.parametrize("command", [train.main, cross_validate.main], ids=["train", "cross-validate"])
@pytest.mark.parametrize(
    "wrong",
    [
        ["--stages", "nonsense"], ["--stages", "33x1"], ["--batch", "1"], ["--ema", "2"], ["--threads", "0"],
        ["--workers", "-1"], ["--folds", "1"], ["--held-back", "0.9"], ["--init", "no.safetensors"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_slip_in_the_flags_is_named_before_photographs_are_looked_for(command, wrong, tmp_path, capsys):
    """Reading a large set takes minutes; here the folder is empty, and that is not what is complained of."""
    (tmp_path / "nowhere").mkdir()
    assert command(["--data", str(tmp_path / "nowhere"), "--out", str(tmp_path / "run"), *wrong]) == 2
    said = capsys.readouterr().err
    assert (wrong[0] in said or wrong[1] in said) and "nowhere" not in said


@pytest.mark.slow(reason="needs a whole cross-validation")
def test_finished_folds_are_not_trained_again(validated, folder_of_photographs, monkeypatch, capsys):
    def refuse(*args, **kwargs):
        raise AssertionError("a finished fold was trained again")

    monkeypatch.setattr(_fold_runs.subprocess, "Popen", refuse)
    assert cross_validate.main(["--data", str(folder_of_photographs), "--out", str(validated), *FLAGS]) == 0


def ended_with(command: list[str], code: int) -> SimpleNamespace:
    return SimpleNamespace(args=command, wait=lambda: code, poll=lambda: code)


def test_a_stopped_cross_validation_stops_its_folds(tmp_path, monkeypatch):
    """SIGTERM reaches the first process alone; a fold may train for hours."""
    begun = subprocess.Popen

    def sleeper(command, **_):
        return begun([sys.executable, "-c", "import time; time.sleep(60)"])

    def interrupted(ended, *_):
        while not children:
            time.sleep(0.01)
        raise KeyboardInterrupt
        yield from ended

    children: list[subprocess.Popen] = []
    monkeypatch.setattr(_fold_runs, "GRACE_S", 0.0)
    monkeypatch.setattr(
        _fold_runs.subprocess, "Popen", lambda *a, **k: children.append(sleeper(*a, **k)) or children[-1]
    )
    monkeypatch.setattr(_fold_runs, "track", interrupted)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        _fold_runs.train_folds([FoldRun(str(k), (), tmp_path / str(k)) for k in range(2)], [{}])
    assert time.monotonic() - began < 30
    assert [child.returncode for child in children] == [-signal.SIGTERM]


def test_folds_that_stop_give_their_exit_code(folder_of_photographs, tmp_path, monkeypatch, capsys):
    """Interrupted or broken: which ones, where their output is, and that the same command goes on."""

    def stop(command, **_):
        return ended_with(command, 0 if command[command.index("--fold") + 1] == "0" else 130)

    monkeypatch.setattr(_fold_runs.subprocess, "Popen", stop)
    out = tmp_path / "cv"
    assert cross_validate.main(["--data", str(folder_of_photographs), "--out", str(out), *FLAGS]) == 130
    said = capsys.readouterr().out
    assert "fold 0: finished" in said and "fold(s) [1, 2] did not finish; see" in said and "fold-1.log" in said


@pytest.mark.slow(reason="needs a whole cross-validation")
def test_a_photograph_that_is_unseen_twice_is_an_error(validated, folder_of_photographs, tmp_path):
    """Folds that were cut with different seeds must not be pooled."""
    from edge.data.readers import open_photos

    for fold in range(3):
        (tmp_path / f"fold-{fold}").mkdir()
        source = 0 if fold == 2 else fold
        (tmp_path / f"fold-{fold}" / "unseen.csv").write_text((validated / f"fold-{source}" / "unseen.csv").read_text())
    with pytest.raises(InputError, match="unseen in two folds"):
        _folds.pooled(open_photos(folder_of_photographs), tmp_path, 3, "unseen.csv", ["logit"])


@pytest.mark.slow(reason="needs a whole cross-validation")
def test_a_fold_is_shipped_with_the_figures_of_all(validated, folder_of_photographs, tmp_path):
    figures = validated / "cross_validation.json"
    arguments = ["--cross-validation", str(figures), "--data", str(folder_of_photographs), "--out", str(tmp_path)]
    assert ship.main([str(validated / "fold-0"), *arguments]) == 0
    text = (tmp_path / "hierattn_xs.md").read_text()
    found = json.loads(figures.read_text())["out_of_fold"]["balanced_accuracy"]
    assert f"| **balanced accuracy** | {found['value']:.3f} | {found['low']:.3f} to {found['high']:.3f} |" in text
    assert "Out of fold: 24 photographs of 12 patients" in text and "by the one of 3 models" in text
    assert "dermedge cross-validate --model hierattn_xs --data set --stages 32x1 --batch 4" in text
    assert checkpoint.load(tmp_path / "hierattn_xs.safetensors").sha256 in text
    assert "Not a medical device" in text


@pytest.mark.slow(reason="needs a whole cross-validation")
def test_evaluate_leaves_seen_patients_out(validated, folder_of_photographs, tmp_path):
    weights = validated / "fold-1" / "checkpoint.safetensors"
    arguments = ["--checkpoint", str(weights), "--data", str(folder_of_photographs), "--out", str(tmp_path)]
    assert evaluate.main(arguments) == 0
    found = json.loads((tmp_path / "evaluation.json").read_text())["sets"]["set"]
    expected = checkpoint.load(weights)
    assert found["images"] == len(expected.unseen["set"]["images"])
    # the same numbers as at the end of the training run: the checkpoint on disk is the model that was judged
    assert found["accuracy"] == pytest.approx(expected.metrics["unseen"]["accuracy"])


@pytest.mark.slow(reason="needs a whole cross-validation")
def test_weights_that_saw_a_patient_cannot_be_started_from(validated, folder_of_photographs, tmp_path, capsys):

    weights = validated / "fold-0" / "checkpoint.safetensors"
    arguments = ["--data", str(folder_of_photographs), "--out", str(tmp_path / "run"), *FLAGS, "--init", str(weights)]
    assert train.main([*arguments, "--fold", "1"]) == 2
    assert "--init" in capsys.readouterr().err
    assert train.main([*arguments, "--fold", "0"]) == 0
    again = checkpoint.load(tmp_path / "run")
    assert set(again.trained["set"]["patients"]) == set(checkpoint.load(weights).trained["set"]["patients"])


def test_prepare_says_what_is_there(folder_of_photographs, capsys):
    assert prepare.main(["--data", str(folder_of_photographs), "--side", "32", "--folds", "3"]) == 0
    shown = capsys.readouterr().out
    assert "24 photographs, 12 patients" in shown
    assert "ben" in shown and "mal" in shown


@pytest.mark.parametrize("side", ["0", "5000"])
def test_prepare_refuses_a_side_that_no_model_has(folder_of_photographs, side, capsys):
    assert prepare.main(["--data", str(folder_of_photographs), "--side", side]) == 2
    assert "side of a square is 1 to" in capsys.readouterr().err


def test_prepare_wants_one_of_two_flags(capsys):
    assert prepare.main([]) == 2
    assert "--data" in capsys.readouterr().err


def test_force_removes_nothing_but_a_run(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    for name in _folder.RUN_FILES:
        (tmp_path / name).write_text("")
    (tmp_path / "tensorboard").mkdir()
    _folder.remove_run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_summary_agrees_with_scikit_learn(rng):
    from scipy.special import softmax
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score

    from edge.labels import PAD_UFES_20
    from train._summary import summarise

    targets = np.concatenate([np.arange(6), rng.integers(0, 6, 60)])
    logits = rng.normal(size=(66, 6)) + 2 * np.eye(6)[targets]
    found = summarise(targets, [f"p{i // 2}" for i in range(66)], logits, PAD_UFES_20)
    assert found["balanced_accuracy"]["value"] == pytest.approx(balanced_accuracy_score(targets, logits.argmax(1)))
    malignant = np.array([label.malignant for label in PAD_UFES_20])
    told = malignant[logits.argmax(1)]
    assert found["malignant"]["sensitivity"]["value"] == pytest.approx(told[malignant[targets]].mean())
    assert found["malignant"]["specificity"]["value"] == pytest.approx((~told[~malignant[targets]]).mean())
    scores = softmax(logits, axis=1)[:, malignant].sum(axis=1)
    assert found["malignant"]["auc"]["value"] == pytest.approx(roc_auc_score(malignant[targets], scores))


def test_a_fold_of_a_cross_validation_is_refused_by_name(folder_of_photographs, tmp_path, capsys):
    """It was taken and not heeded: every fold was trained."""
    arguments = ["--data", str(folder_of_photographs), "--out", str(tmp_path / "cv"), *FLAGS, "--fold", "2"]
    assert cross_validate.main(arguments) == 2
    assert "--out <out>/fold-2" in capsys.readouterr().err and not (tmp_path / "cv").exists()
