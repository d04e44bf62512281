"""The same bytes in two files, and the same picture in other bytes."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from edge.data.copies import same_bytes
from edge.data.near_copies import bits, near_copies, notes_on_near_copies, spectrum, turned
from edge.data.readers import open_photos
from edge.data.table import Photo
from edge.errors import InputError


def folder_with(tmp_path: Path, *files: str) -> Path:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"content of {name}")
    return tmp_path


def test_few_files_are_read_whole(tmp_path: Path) -> None:
    first, same, end, size = (tmp_path / name for name in "abcd")
    first.write_bytes(b"x" * 9000)
    same.write_bytes(b"x" * 9000)
    end.write_bytes(b"y" + b"x" * 8999)  # the last 4 KiB are equal
    size.write_bytes(b"x" * 9001)
    assert same_bytes([end, first, size, same]) == [[first, same]]


def test_a_photograph_in_two_classes_is_an_error(tmp_path: Path) -> None:
    folder_with(tmp_path, "mel/a.jpg", "mel/b.jpg", "nev/c.jpg")
    shutil.copy(tmp_path / "mel/a.jpg", tmp_path / "nev/x.jpg")
    with pytest.raises(
        InputError, match=r"1 photograph is in two classes, byte for byte: mel/a.jpg \(mel\) and nev/x.jpg"
    ):
        open_photos(tmp_path)


def test_a_copy_in_the_same_class_is_left_out(tmp_path: Path) -> None:
    """As a patient of its own it would be in training and unseen parts."""
    folder_with(tmp_path, "mel/a.jpg", "mel/b.jpg", "nev/c.jpg")
    shutil.copy(tmp_path / "mel/a.jpg", tmp_path / "mel/x.jpg")
    photos = open_photos(tmp_path)
    assert [photo.image_id for photo in photos.photos] == ["mel/a.jpg", "mel/b.jpg", "nev/c.jpg"]
    assert "left out: 1 further copies of a photograph, byte for byte: mel/x.jpg is mel/a.jpg" in photos.notes


def test_a_copy_of_another_patient_is_named(tmp_path: Path) -> None:
    folder_with(tmp_path, "mel/a.jpg", "nev/c.jpg")
    shutil.copy(tmp_path / "mel/a.jpg", tmp_path / "mel/x.jpg")
    (tmp_path / "patients.csv").write_text("file,patient\nmel/a.jpg,P1\nmel/x.jpg,P9\nnev/c.jpg,P2\n")
    assert any("listed for several patients, first for P1 and P9" in note for note in open_photos(tmp_path).notes)


def lesion(seed: int, side: int = 128) -> np.ndarray:
    """uint8 (side, side, 3): smooth noise, as skin with spots."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(40, 220, (12, 12, 3)).astype(np.float32)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def encoded(square: np.ndarray, quality: int) -> np.ndarray:
    memory = io.BytesIO()
    Image.fromarray(square).save(memory, "JPEG", quality=quality)
    return np.array(Image.open(memory))


def smaller(square: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.resize(square, (32, 32), interpolation=cv2.INTER_AREA))


CHANGES = {
    "encoded anew": lambda square: encoded(square, 40),
    "a quarter of the size": lambda square: cv2.resize(smaller(square), (128, 128)),
    "brighter": lambda square: np.clip(square * 1.15, 0, 255).astype(np.uint8),
    "cropped by 2 %": lambda square: cv2.resize(square[1:-1, 1:-1], (128, 128)),
    "turned": lambda square: np.rot90(square),
    "mirrored": lambda square: square[:, ::-1],
    "mirrored and turned": lambda square: np.rot90(square[:, ::-1], 3),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_the_same_picture_in_other_bytes(change: str) -> None:
    squares = [lesion(1), lesion(2), CHANGES[change](lesion(1)), lesion(3)]
    assert near_copies(squares) == [(0, 2)]


def test_pictures_without_contrast_are_like_no_other() -> None:
    assert near_copies([np.full((64, 64, 3), level, np.uint8) for level in (0, 90, 90)]) == []


def test_turned_spectra_are_those_of_turned_pictures() -> None:
    """cv2's own transform of each picture, turned and mirrored by numpy, is the oracle."""
    square = lesion(5)
    views = [square, square[:, ::-1], square[::-1], square[::-1, ::-1]]
    views += [view.transpose(1, 0, 2) for view in views]
    own = spectrum(square)
    assert own is not None
    for view, quick in zip(views, turned(own[None]), strict=True):
        direct = spectrum(view)
        assert direct is not None
        np.testing.assert_allclose(quick[0], direct, atol=0.02)
        assert (bits(quick) != bits(direct[None])).sum() <= 4  # coefficients beside the median


def test_near_copies_of_two_classes_and_two_patients_are_named(cache: Path) -> None:
    photos = [Photo(Path(name), name, label, patient, "own") for name, label, patient in
              [("a", "mel", "P1"), ("b", "nev", "P1"), ("c", "mel", "P2"), ("d", "mel", "P2")]]  # fmt: skip
    squares = [lesion(1), encoded(lesion(1), 60), lesion(2), lesion(3)]
    (note,) = notes_on_near_copies(photos, squares, 128)
    assert "1 pair of photographs probably shows the same picture in two classes: a (mel, P1) and b (nev, P1)" in note
    (note,) = notes_on_near_copies(photos, [lesion(1), lesion(2), encoded(lesion(1), 60), lesion(4)], 127)
    assert "the same picture of two patients: a (mel, P1) and c (mel, P2)" in note
    one_patient = [lesion(1), lesion(2), lesion(3), encoded(lesion(3), 60)]
    assert notes_on_near_copies(photos, one_patient, 126) == []


def test_pairs_are_kept_and_a_damaged_entry_is_made_anew(tmp_path: Path, cache: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name)
    photos = [Photo(tmp_path / name, name, name, name, "own") for name in "ab"]
    squares = [lesion(1), encoded(lesion(1), 60)]
    first = notes_on_near_copies(photos, squares, 128)
    (entry,) = cache.glob("*-near-*.npy")
    assert notes_on_near_copies(photos, [], 128) == first != []
    entry.write_bytes(b"damaged")
    assert notes_on_near_copies(photos, squares, 128) == first
    (tmp_path / "a").write_text("another file")
    assert notes_on_near_copies(photos, [lesion(1), lesion(2)], 128) == []
