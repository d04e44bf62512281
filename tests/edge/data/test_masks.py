"""Masks on disk: found beside any layout, cut as the photographs are, and exact in the synthetic sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge.data.masks import load_masks, read_mask, to_square
from edge.data.readers import open_photos
from edge.data.squares import load_squares
from edge.data.synthetic import write_sample
from edge.errors import InputError
from tests._isic import ROWS_2017, write_2017


def test_class_folders_do_not_take_masks_for_photographs(tmp_path: Path) -> None:
    for code in ("A", "B"):
        (tmp_path / code).mkdir()
        Image.new("RGB", (8, 8), (ord(code), 0, 0)).save(tmp_path / code / f"{code}1.png")
    Image.new("L", (8, 8), 255).save(tmp_path / "A" / "A1_segmentation.png")
    photos = open_photos(tmp_path)
    assert [photo.image_id for photo in photos.photos] == ["A/A1.png", "B/B1.png"]
    assert [photo.mask is not None for photo in photos.photos] == [True, False]


def test_two_masks_of_one_photograph_are_refused(tmp_path: Path) -> None:
    write_2017(tmp_path / "isic", ROWS_2017, masks=1)
    (tmp_path / "isic" / "more").mkdir()
    Image.new("L", (40, 30)).save(tmp_path / "isic" / "more" / "ISIC_0000001_segmentation.png")
    with pytest.raises(InputError, match="two masks"):
        open_photos(tmp_path / "isic")


def test_a_mask_lies_over_the_upright_photograph(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored 40 wide, 30 high, seen 30 wide, 40 high
    Image.new("RGB", (40, 30)).save(tmp_path / "p.jpg", exif=exif)
    Image.new("L", (30, 40), 255).save(tmp_path / "p_segmentation.png")
    assert read_mask(tmp_path / "p_segmentation.png", tmp_path / "p.jpg").shape == (40, 30)
    Image.new("L", (40, 30), 255).save(tmp_path / "p_segmentation.png")
    with pytest.raises(InputError, match="40x30 pixels, its photograph upright 30x40"):
        read_mask(tmp_path / "p_segmentation.png", tmp_path / "p.jpg")


def test_a_damaged_mask_is_named(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "p.png")
    (tmp_path / "p_segmentation.png").write_bytes(b"\x89PNG cut")
    with pytest.raises(InputError, match=r"p_segmentation\.png cannot be read"):
        read_mask(tmp_path / "p_segmentation.png", tmp_path / "p.png")


def test_a_pixel_is_lesion_from_half_of_it_on() -> None:
    mask = np.zeros((4, 4), np.uint8)
    mask[:2, 0] = 255  # half of the first pixel
    mask[2, 0] = 255  # a quarter of the third
    assert to_square(mask, 2).tolist() == [[255, 0], [0, 0]]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("drawn") / "sample", seed=3, patients=6)


def test_every_drawn_photograph_has_its_own_mask(sample: Path) -> None:
    photos = open_photos(sample)
    assert all(photo.mask is not None for photo in photos.photos)
    assert len(list((sample / "masks").iterdir())) == len(photos)
    masks, known = load_masks(photos, 64)
    assert known.all()
    share = (masks > 0).mean(axis=(1, 2))
    assert share.min() > 0.01 and share.max() < 0.6  # a lesion is drawn 22 to 55 % of a photograph wide


def test_drawn_masks_follow_the_camera(sample: Path) -> None:
    """Inside the mask the picture looks otherwise than just outside it, and it does not where the mask is turned."""
    photos = open_photos(sample)
    _, squares = load_squares(photos, 64)
    masks, _ = load_masks(photos, 64)

    def contrast(masks: np.ndarray) -> float:
        found = []
        for square, mask in zip(squares.astype(float), masks > 0, strict=True):
            wide = np.pad(mask, 6)
            near = np.zeros_like(mask)
            for row in range(0, 13, 3):
                for column in range(0, 13, 3):
                    near |= wide[row : row + 64, column : column + 64]
            ring = near & ~mask
            found.append(np.abs(square[mask].mean(0) - square[ring].mean(0)).sum())
        return float(np.mean(found))

    assert contrast(masks) > 1.5 * contrast(masks[:, ::-1, ::-1])


def test_masks_are_cached_and_a_new_one_is_seen(tmp_path: Path) -> None:
    write_2017(tmp_path / "isic", ROWS_2017, masks=1)
    photos = open_photos(tmp_path / "isic")
    before, _ = load_masks(photos, 8)
    again, _ = load_masks(photos, 8)
    np.testing.assert_array_equal(before, again)
    assert photos.photos[0].mask is not None
    Image.new("L", (40, 30), 255).save(photos.photos[0].mask, compress_level=0)
    after, _ = load_masks(photos, 8)
    assert after[0].all() and not before[0].all()


def test_a_mask_is_of_the_photograph_beside_it(tmp_path: Path) -> None:
    """One name in two class folders: the wrong lesion's outline would be learned."""
    for code in ("A", "B"):
        (tmp_path / code).mkdir()
        Image.new("RGB", (8, 8), (ord(code), 0, 0)).save(tmp_path / code / "1.png")
    Image.new("L", (8, 8), 255).save(tmp_path / "A" / "1_segmentation.PNG")  # capitals, as cameras and Windows write
    first, second = open_photos(tmp_path).photos
    assert first.mask == tmp_path / "A" / "1_segmentation.PNG" and second.mask is None
    (tmp_path / "masks").mkdir()
    (tmp_path / "A" / "1_segmentation.PNG").rename(tmp_path / "masks" / "1_segmentation.png")
    with pytest.raises(InputError, match="may be of any of 2 photographs called 1"):
        open_photos(tmp_path)


def test_a_mask_of_zeros_and_ones_is_refused(tmp_path: Path) -> None:
    """It would count as a picture without a lesion."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    Image.fromarray(np.eye(8, dtype=np.uint8)).save(tmp_path / "a_segmentation.png")
    with pytest.raises(InputError, match="values up to 1; expected 255"):
        read_mask(tmp_path / "a_segmentation.png", tmp_path / "a.png")
