"""Which photographs of data sets the matrix runs files on: none that is an augmented copy, none of whom it knows."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

import dermedge
from edge.data.table import Photo, PhotoSet, PreparedFolds
from edge.errors import InputError
from edge.labels import Label
from edge.questions.matrix import pictures

CLASSES = (Label("mel", "melanoma", malignant=True), Label("nv", "naevus", malignant=False))
NAMES = [f"{code}/{number}.jpg" for code in ("mel", "nv") for number in range(4)]


@pytest.fixture
def balanced() -> PhotoSet:
    """Four photographs of each class, of as many patients, and a copy of one of them."""
    images = [*NAMES, "mel/0.copy001.jpg"]
    photos = tuple(Photo(Path(name), name, name[: name.index("/")], name.split(".")[0], "clinic") for name in images)
    folds = PreparedFolds((frozenset(images),), (frozenset(),), frozenset(images[-1:]), sound=True)
    return PhotoSet("clinic", CLASSES, photos, prepared=folds)


def test_augmented_copies_are_no_pictures_and_that_nobody_knows_is_said(balanced: PhotoSet, tmp_path: Path) -> None:
    chosen = pictures.photographs_in(balanced, 100, [tmp_path])
    assert sorted(map(str, chosen.paths)) == sorted(NAMES)
    assert chosen.note.startswith("8 photographs of 8 patients; who taught it is not known")


def test_whom_one_of_our_networks_saw_is_left_out(
    balanced: PhotoSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def built(folder: Path) -> SimpleNamespace:
        saw = {"clinic": {"patients": ["mel/0", {"a": "nv/1", "b": "nv/2"}[folder.name]], "images": []}}
        return SimpleNamespace(
            checkpoint=SimpleNamespace(trained=saw, held_back={}, unseen={}, program=None, patients_unknown=False)
        )

    monkeypatch.setattr(pictures, "open_build", built)
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text("{}")
    chosen = pictures.photographs_in(balanced, 100, [tmp_path / "a"])
    assert {str(path) for path in chosen.paths} == {*NAMES} - {"mel/0.jpg", "nv/1.jpg"}
    assert chosen.note.startswith("6 photographs of 6 patients that no network of a saw")
    both = pictures.photographs_in(balanced, 100, [tmp_path / "a", tmp_path / "b", tmp_path])
    assert {str(path) for path in both.paths} == {*NAMES} - {"mel/0.jpg", "nv/1.jpg", "nv/2.jpg"}
    assert "no network of a, b saw; which of them taught the other networks is not known" in both.note
    assert len(pictures.photographs_in(balanced, 2, [tmp_path / "a"]).paths) == 2


def test_sets_of_which_nobody_is_left_are_refused(balanced: PhotoSet, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no photograph is left to look at"):
        pictures.photographs_in(balanced.where(lambda _: False), 8, [tmp_path])


def test_pictures_and_data_sets_are_not_both_taken(balanced: PhotoSet, tmp_path: Path) -> None:
    (tmp_path / "a.tflite").write_bytes(b"")
    with pytest.raises(InputError, match="give `images`, any folder with pictures, or `photos`, data sets"):
        dermedge.matrix(tmp_path / "a.tflite", tmp_path, photos=balanced)
