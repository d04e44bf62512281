"""Settings of a training as a file: what a run keeps is what was asked for, and trains the same again."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import dermedge
from dermedge._api.settings import text_of
from dermedge.commands._settings import read_flags
from dermedge.commands.cross_validate import main as cross_validate
from dermedge.commands.train import machine_of, main, parser, recipe_of, split_of
from edge.errors import InputError

FLAGS = ["--model", "mnasnet", "--stages", "32x1,64x2", "--batch", "6", "--learning-rate", "1e-3", "--augment", "0.25"]
FLAGS += ["--folds", "4", "--fold", "2", "--split-seed", "9", "--batch-norm", "own", "--precision", "32-true"]
FLAGS += ["--threads", "2", "--answers", "--mixup", "0"]


def config(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_kept_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    more = ["--data", 'a "b"\\ü', "--also", "c", "--also", "d", "--init", "imagenet", "--teacher", "e.safetensors"]
    args = read_flags([*FLAGS, *more], parser())
    text = text_of(vars(args))
    stated = tomllib.loads(text)  # of the standard library
    assert stated["recipe"]["learning_rate"] == 1e-3
    assert stated["split"] == {"folds": 4, "fold": 2, "held_back": 0.1, "seed": 9}
    assert stated["data"] == str(tmp_path / 'a "b"\\ü') and stated["also"] == [str(tmp_path / name) for name in "cd"]
    again = read_flags(["--config", str(config(tmp_path, text))], parser())
    assert (recipe_of(again), split_of(again), machine_of(again)) == (recipe_of(args), split_of(args), machine_of(args))
    assert again.also == [tmp_path / "c", tmp_path / "d"] and again.init == "imagenet" and again.answers
    assert text_of(vars(again)) == text
    own = text_of(vars(read_flags(["--model", "nets/net.py:build", "--data", "a"], parser())))
    assert tomllib.loads(own)["model"] == f"{tmp_path / 'nets' / 'net.py'}:build"


def test_flags_count_for_more_than_the_file(tmp_path: Path) -> None:
    path = config(tmp_path, 'data = "a"\nalso = ["b", "c"]\n[recipe]\nbatch = 6\nlearning_rate = 1\nmixup = 0.5\n')
    args = read_flags(["--config", str(path), "--batch", "16", "--also", "d"], parser())
    assert args.batch == 16  # though that is the usual value
    assert args.also == [Path("d")] and args.data == Path("a") and args.mixup == 0.5
    assert args.learning_rate == 1.0 and isinstance(args.learning_rate, float)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[recipe]\nlearnin_rate = 1", r"\[recipe\] has no key 'learnin_rate' \(did you mean learning_rate\?\)"),
        ("[recip]\nbatch = 1", r"no table is called \[recip\] \(did you mean recipe\?\)"),
        ("batch = 4", "its top has no key 'batch'"),
        ("out = 'x'", "its top has no key 'out'"),
        ("schema = 'dermedge/train/2'", "expected 'dermedge/train/1'"),
        ("recipe = 3", "its top has no key 'recipe'"),
        ("[data]\na = 1", "--data is a text"),
        ("[recipe]\nbatch = 4.0", "--batch is a whole number, got 4.0"),
        ("[recipe]\nbatch = true", "--batch is a whole number"),
        ("[recipe]\nmixup = nan", "--mixup is a number, got nan"),
        ("[recipe]\nmixup = '1'", "--mixup is a number"),
        ("[recipe]\nmixup = {a = 1}", "--mixup is a number"),
        ("answers = 1", "--answers is true or false"),
        ("also = 'x'", "--also is a list of texts"),
        ("data = 3", "--data is a text"),
        ("[machine]\nprecision = '8-true'", "--precision is one of auto"),
        ("[recipe\n", "is no TOML file"),
        ("a = " + "[" * 5000, "is no TOML file"),
        ("# " + "x" * 2**18, "has more than 262144 bytes"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_flags(["--config", str(config(tmp_path, text))], parser())


def test_a_file_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(tmp_path / "no.toml")]) == 2
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    assert main(["--config", str(tmp_path / "bytes.toml")]) == 2
    said = capsys.readouterr().err
    assert "cannot read" in said and "is no TOML file" in said and "Traceback" not in said
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "required: --data" in capsys.readouterr().err


def test_settings_are_printed_without_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FLAGS, "--data", str(tmp_path / "nowhere"), "--print-config"]) == 0
    stated = tomllib.loads(capsys.readouterr().out)
    assert stated["model"] == "mnasnet" and stated["recipe"]["stages"] == "32x1,64x2"
    assert main(["--data", str(tmp_path), "--batch", "1", "--print-config"]) == 2  # what no training could take


def test_a_run_keeps_its_settings_and_they_train_the_same(
    folder_of_photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--stages", "32x1", "--batch", "4", "--folds", "3", "--held-back", "0.25", "--precision", "32-true"]
    assert main(["--data", str(folder_of_photographs), "--out", str(tmp_path / "one"), *flags]) == 0
    assert "settings: --data" in capsys.readouterr().out
    kept = tmp_path / "one" / "run.toml"
    assert main(["--config", str(kept), "--out", str(tmp_path / "two")]) == 0
    weights = [(tmp_path / name / "checkpoint.safetensors").read_bytes() for name in ("one", "two")]
    assert weights[0] == weights[1] and (tmp_path / "two" / "run.toml").read_text() == kept.read_text()


@pytest.mark.slow(reason="trains by a program of its own")
def test_a_run_of_a_program_keeps_its_settings(
    folder_of_photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder_of_photographs.parent)
    options = {"stages": [(32, 1)], "batch": 4, "folds": 3, "fold": 1, "held_back": 0.25, "split_seed": 3, "threads": 1}
    run = dermedge.train("mnasnet", folder_of_photographs.name, out=tmp_path / "one", precision="32-true", **options)
    kept = tmp_path / "one" / "run.toml"
    assert tomllib.loads(kept.read_text())["data"] == str(folder_of_photographs)
    monkeypatch.chdir(tmp_path)
    assert main(["--config", str(kept), "--out", str(tmp_path / "two")]) == 0
    assert (tmp_path / "two" / "checkpoint.safetensors").read_bytes() == run.checkpoint_path.read_bytes()
    assert (tmp_path / "two" / "run.toml").read_text() == kept.read_text()


def test_what_only_a_program_has_is_refused_by_name(
    folder_of_photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from torch import nn

    def build(classes: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))

    photos = dermedge.open_photos(folder_of_photographs)
    usual = {"stages": "32x1", "batch": 4, "folds": 3, "held_back": 0.25, "mean": [0, 0.5, 1], "std": [0.5] * 3}
    dermedge.train(build, photos, out=tmp_path, name="mine", threads=1, **usual)
    stated = tomllib.loads((tmp_path / "run.toml").read_text())
    assert (stated["mean"], stated["std"]) == ("0.0,0.5,1.0", "0.5,0.5,0.5")
    again = ["--config", str(tmp_path / "run.toml"), "--out", str(tmp_path / "again")]
    assert main(again) == 2
    assert f"{photos.name}, a set of {len(photos)} photographs handed over in Python" in words(capsys)
    assert main([*again, "--data", str(folder_of_photographs)]) == 2
    assert "<mine, a network handed over in Python>" in words(capsys)


def words(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def test_a_cross_validation_takes_the_file_of_a_fold(
    folder_of_photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Asked(Exception):
        """What a cross-validation was asked for."""

    def ask(recipe: object, data: Path, **more: object) -> None:
        raise Asked(data, more["split"], more["jobs"])

    monkeypatch.setattr("train._folds.cross_validate", ask)
    path = config(tmp_path, f'data = "{folder_of_photographs}"\n[split]\nfold = 2\nfolds = 3\n')
    with pytest.raises(Asked) as asked:
        cross_validate(["--config", str(path), "--jobs", "2"])
    data, split, jobs = asked.value.args
    assert data == folder_of_photographs and (split.folds, split.fold, jobs) == (3, 0, 2)
