"""Squares: each photograph is decoded once, and never an old one served for a new file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge.data import squares
from edge.data.readers import open_photos
from edge.data.squares import cache_folder, load_squares
from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.preprocess import to_input

SIDE = 32


@pytest.fixture
def photos(tmp_path, rng) -> PhotoSet:
    """Six PNG photographs, 60x40, of two classes."""
    for number in range(6):
        path = tmp_path / "set" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 60, 3), np.uint8)).save(path)
    return open_photos(tmp_path / "set")


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """The names of the files that were decoded, as they are."""
    names, read = [], squares.read_photo

    def counted(path: Path) -> np.ndarray:
        names.append(path.name)
        return read(path)

    monkeypatch.setattr(squares, "read_photo", counted)
    return names


def entries(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.rglob("*")) if cache.is_dir() else []


def test_squares_are_the_preprocessed_photographs(photos):
    same, images = load_squares(photos, SIDE)
    assert same == photos
    assert images.shape == (6, SIDE, SIDE, 3) and images.dtype == np.uint8
    for photo, image in zip(photos.photos, images, strict=True):
        np.testing.assert_array_equal(image, to_input(np.array(Image.open(photo.path)), SIDE))


def test_second_time_from_the_cache(photos, decoded, cache):
    first = np.array(load_squares(photos, SIDE)[1])
    assert len(decoded) == 6 and len(entries(cache)) == 1
    same, again = load_squares(photos, SIDE)
    assert len(decoded) == 6
    assert same == photos
    np.testing.assert_array_equal(again, first)


@pytest.mark.parametrize("time", ["fresh", "cached"])
def test_squares_cannot_be_changed(photos, time):
    """The array may be the cache itself, so it is read-only both times: code that writes fails at once."""
    if time == "cached":
        load_squares(photos, SIDE)
    with pytest.raises(ValueError, match="read-only"):
        load_squares(photos, SIDE)[1][0, 0, 0, 0] = 1


def test_other_sides_and_parts_are_other_entries(photos, decoded, cache):
    load_squares(photos, SIDE)
    load_squares(photos, 2 * SIDE)
    part, images = load_squares(photos.where(lambda p: p.label == "b"), SIDE)
    assert len(decoded) == 6 + 6 + 3 and len(entries(cache)) == 3
    np.testing.assert_array_equal(images[0], to_input(np.array(Image.open(part.photos[0].path)), SIDE))


@pytest.mark.parametrize("change", ["content", "time"])
def test_changed_file_is_read_again(photos, decoded, change):
    load_squares(photos, SIDE)
    path = photos.photos[2].path
    if change == "content":
        Image.fromarray(np.zeros((50, 50, 3), np.uint8)).save(path)
    else:  # as long as before: only the clock tells
        os.utime(path, ns=(1, 1))
    images = load_squares(photos, SIDE)[1]
    assert len(decoded) == 12
    assert images[2].any() == (change == "time")


@pytest.mark.parametrize("version", ["PREPROCESS_VERSION", "READING"])
def test_new_preprocessing_is_another_entry(photos, decoded, monkeypatch, version):
    load_squares(photos, SIDE)
    monkeypatch.setattr(squares, version, "other")
    load_squares(photos, SIDE)
    assert len(decoded) == 12


def test_order_is_part_of_the_key(photos):
    from dataclasses import replace

    images = np.array(load_squares(photos, SIDE)[1])
    turned = load_squares(replace(photos, photos=photos.photos[::-1]), SIDE)[1]
    np.testing.assert_array_equal(turned, images[::-1])


def test_no_cache(photos, decoded, cache):
    for _ in range(2):
        load_squares(photos, SIDE, cache=False)
    assert len(decoded) == 12 and not entries(cache)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"not an array"], ids=["empty", "cut off", "something else"])
def test_broken_entry_is_made_anew(photos, decoded, cache, content):
    """A disk that lost the end of a file must not stop training until someone finds and deletes it."""
    load_squares(photos, SIDE)
    (cache / entries(cache)[0]).write_bytes(content)
    assert load_squares(photos, SIDE)[1].shape == (6, SIDE, SIDE, 3)
    assert len(decoded) == 12


def test_pickle_in_the_cache_is_not_opened(photos, cache):
    load_squares(photos, SIDE)
    np.save(cache / entries(cache)[0], np.array([{}], dtype=object), allow_pickle=True)
    assert load_squares(photos, SIDE)[1].dtype == np.uint8


def test_unreadable_photograph_is_named(photos, cache):
    photos.photos[1].path.write_bytes(b"\x89PNG cut off")
    photos.photos[4].path.write_bytes(b"")
    with pytest.raises(InputError) as caught:
        load_squares(photos, SIDE)
    for word in ("2 of 6", photos.photos[1].image_id, "`skip_unreadable`"):
        assert word in str(caught.value)
    assert not entries(cache)


def test_skip_unreadable(photos, cache, messages):
    broken = photos.photos[1]
    broken.path.write_bytes(b"\x89PNG cut off")
    kept, images = load_squares(photos, SIDE, skip_unreadable=True)
    assert [p.image_id for p in kept.photos] == [p.image_id for p in photos.photos if p != broken]
    assert len(images) == 5
    for photo, image in zip(kept.photos, images, strict=True):  # none is in another's place
        np.testing.assert_array_equal(image, to_input(np.array(Image.open(photo.path)), SIDE))
    assert any(broken.image_id in note for note in kept.notes)
    assert len(messages) == 1 and broken.image_id in messages[0]
    assert not entries(cache)


def test_nothing_readable_is_an_error_all_the_same(photos):
    for photo in photos.photos:
        photo.path.write_bytes(b"")
    with pytest.raises(InputError, match="6 of 6"):
        load_squares(photos, SIDE, skip_unreadable=True)


def test_vanished_photograph(photos):
    """Deleted since the folder was read."""
    photos.photos[3].path.unlink()
    with pytest.raises(InputError, match=photos.photos[3].image_id):
        load_squares(photos, SIDE)


def test_empty_set(photos):
    with pytest.raises(InputError, match="no photographs"):
        load_squares(photos.where(lambda p: False), SIDE)


def test_cache_folder(monkeypatch, tmp_path, cache):
    assert cache_folder() == cache
    monkeypatch.delenv("DERMEDGE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "dermedge"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "dermedge"
