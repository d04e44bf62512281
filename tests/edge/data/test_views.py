"""Views: the photograph itself first, then what a phone would have taken; the same wherever they are made."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from edge.data import views
from edge.data.readers import open_photos
from edge.data.squares import load_squares
from edge.data.table import PhotoSet
from edge.data.views import load_views, rng_of, usual_views, view_of
from edge.errors import InputError

SIDE = 32


@pytest.fixture
def photos(tmp_path) -> PhotoSet:
    """Four photographs of 120 x 90 pixels, a bright spot off the centre of a dark ground."""
    for number in range(4):
        rgb = np.full((90, 120, 3), 60, np.uint8)
        rgb[30 + 5 * number : 50 + 5 * number, 50:70] = (180, 140, 120)
        path = tmp_path / "set" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rgb).save(path)
    return open_photos(tmp_path / "set")


def test_the_first_view_is_the_photograph_and_no_two_are_alike(photos):
    same, drawn = load_views(photos, SIDE, 5)
    assert same == photos and drawn.shape == (5, 4, SIDE, SIDE, 3) and drawn.dtype == np.uint8
    np.testing.assert_array_equal(drawn[0], load_squares(photos, SIDE)[1])
    for photo in range(4):
        assert len({drawn[v, photo].tobytes() for v in range(5)}) == 5


def test_the_views_of_a_photograph_depend_on_nothing_but_its_id(photos, monkeypatch):
    drawn = np.array(load_views(photos, SIDE, 3)[1])
    few = photos.where(lambda photo: photo in photos.photos[2:])
    np.testing.assert_array_equal(load_views(few, SIDE, 3, cache=False)[1], drawn[:, 2:])
    np.testing.assert_array_equal(load_views(photos, SIDE, 5, cache=False)[1][:3], drawn)
    monkeypatch.setattr(views, "read_photo", None)  # from the cache: nothing is read
    np.testing.assert_array_equal(load_views(photos, SIDE, 3)[1], drawn)


def test_a_view_stays_within_what_a_hand_does(photos):
    """Over many draws the spot turns by all quarters, moves and changes size and brightness by no more than is said."""
    side = 64
    rgb = np.full((400, 400, 3), 60, np.uint8)
    rgb[150:250, 150:250] = 120
    sizes, places, levels = [], [], []
    for number in range(60):
        view = view_of(rgb, side, rng_of(photos.photos[0], number))[..., 0].astype(float)
        assert view.shape == (2 * side, 2 * side)
        inside = view > (view.min() + view.max()) / 2
        rows, columns = np.nonzero(inside)
        sizes.append(np.sqrt(inside.sum()) / (2 * side))
        places.append((rows.mean() / (2 * side) - 0.5, columns.mean() / (2 * side) - 0.5))
        levels.append(view.max())
    assert 0.25 * np.exp(-0.16) < min(sizes) < 0.24 < 0.26 < max(sizes) < 0.25 * np.exp(0.16)
    assert 0.08 < np.abs(places).max() < 0.08 * np.exp(0.16) * np.sqrt(2) + 0.01
    # linear light of level 120 is 0.188; half a stop more or less is 0.266 and 0.133, which are levels 141 and 102
    assert 101 <= min(levels) < 110 and 132 < max(levels) <= 142


def test_one_view_is_the_squares_and_unreadable_photographs_are_refused_or_left_out(photos):
    np.testing.assert_array_equal(load_views(photos, SIDE, 1)[1][0], load_squares(photos, SIDE)[1])
    photos.photos[1].path.write_bytes(b"no picture")
    with pytest.raises(InputError, match="1 of 4 photographs"):
        load_views(photos, SIDE, 2)
    readable, drawn = load_views(photos, SIDE, 2, skip_unreadable=True)
    assert len(readable) == 3 and drawn.shape[:2] == (2, 3)


def test_few_photographs_are_seen_in_more_views():
    assert [usual_views(n) for n in (1, 24, 47, 192, 253, 5000)] == [16, 16, 16, 4, 4, 4]
