"""Names of files that are no text, or hold line breaks: they are named, and every id is text."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge.data.readers import open_photos
from edge.data.squares import load_squares


@pytest.fixture
def oddly_named(tmp_path) -> Path:
    for code in ("ben", "mal"):
        (tmp_path / "set" / code).mkdir(parents=True)
        for number, name in enumerate((b"caf\xe9", b"one\ntwo", "e\u0301te\u0301".encode())):
            pixels = np.full((16, 16, 3), 40 * number + 10 * len(code + code[0]), np.uint8)
            pixels[0, 0] = 0 if code == "ben" else 255
            path = tmp_path / "set" / code / os.fsdecode(name + b".png")
            Image.fromarray(pixels).save(path)
    return tmp_path / "set"


def test_ids_are_text_and_squares_are_read(oddly_named):
    photos = open_photos(oddly_named)
    assert {photo.image_id for photo in photos.photos if photo.label == "ben"} == {"ben/one two.png", "ben/été.png"}
    assert any("2 names that are not UTF-8" in note for note in photos.notes)
    for _ in range(2):  # then from the cache
        readable, squares = load_squares(photos, 8)
        assert len(readable) == len(squares) == 4


def test_a_folder_whose_name_is_no_text(oddly_named):
    """It is part of every path, and so of the cache's keys."""
    folder = oddly_named.rename(oddly_named.with_name(os.fsdecode(b"caf\xe9")))
    _, squares = load_squares(open_photos(folder), 8)
    assert len(squares) == 4
