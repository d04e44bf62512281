"""What prepare and train say of a set in which a picture is there twice in other bytes."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from dermedge.commands import prepare, train
from edge.data.readers import open_photos
from edge.errors import InputError
from train._cut import Cut
from train._leaks import check_leaks
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
    plan = SimpleNamespace(masks=False, skip_unreadable=False, recipe=SimpleNamespace(side=40, sides=(40,)))
    read_sets(plan, two_sets / "second", [])
    assert any(SAID in message for message in messages)


@pytest.mark.parametrize("together", [True, False])
def test_a_run_looks_at_its_own_split(together: bool, two_sets: Path, cache: Path, messages: list[str]) -> None:
    """Of a picture that is learned and unseen, a run says so before it trains."""
    photos = open_photos(two_sets / "second")
    others = {"person4", "person5"} if together else {"person4", "person11"}
    nobody = photos.where(lambda photo: False)
    cut = Cut(photos.where(lambda p: p.patient not in others), nobody, photos.where(lambda p: p.patient in others))
    check_leaks([cut], [photos], 40)
    if together:
        assert messages == ["the split has no photograph, patient or near-copy in two parts"]
    else:
        assert "parts 1 near-copies: ben/0.png and mal/23.png (train and unseen)" in messages[-1]
        assert "of 1 unseen photographs the same picture is learned" in messages[-1]
    whole = Cut(photos, nobody, cut.unseen)
    with pytest.raises(InputError, match="is in train and in unseen"):
        check_leaks([whole], [photos], 40)


def test_training_takes_one_set(two_sets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["--data", str(two_sets), "--out", str(two_sets / "run")]) == 2
    assert "holds 2 sets of photographs: first, second" in capsys.readouterr().err
