"""What prepare and train say of a set in which a picture is there twice in other bytes."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from dermedge.commands import prepare, train
from train._run import read_sets


@pytest.fixture
def two_sets(tmp_path: Path, folder_of_photographs: Path) -> Path:
    """Two sets of class folders in one folder; in the second a picture of another patient and class, in other bytes."""
    folder = tmp_path / "both"
    for name in ("first", "second"):
        shutil.copytree(folder_of_photographs, folder / name)
    with Image.open(folder / "second" / "ben" / "0.png") as picture:
        turned = Image.fromarray(np.rot90(np.asarray(picture)))
    turned.save(folder / "second" / "mal" / "23.png", compress_level=1)
    return folder


SAID = "the same picture in two classes: ben/0.png (ben, person0) and mal/23.png (mal, person11)"


def test_prepare_shows_every_set_and_names_them(two_sets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare.main(["--data", str(two_sets), "--side", "40", "--folds", "3"]) == 0
    shown = capsys.readouterr().out
    assert "first: 24 photographs" in shown and "second: 24 photographs" in shown
    assert SAID in shown and shown.count("the same picture") == 1
    assert "yes" in shown  # the column that says which classes are malignant


def test_training_names_them(two_sets: Path, messages: list[str]) -> None:
    plan = SimpleNamespace(masks=False, skip_unreadable=False, recipe=SimpleNamespace(side=40))
    read_sets(plan, two_sets / "second", [])
    assert any(SAID in message for message in messages)


def test_training_takes_one_set(two_sets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["--data", str(two_sets), "--out", str(two_sets / "run")]) == 2
    assert "holds 2 sets of photographs: first, second" in capsys.readouterr().err
