"""Masks in shards: those of the folder, for whoever learns or judges them, and refused where they were changed."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from torch import nn

from dermedge.commands.prepare import main as prepare
from edge.capture import upright_size
from edge.checkpoint import Preprocess
from edge.data.masks import load_masks
from edge.data.readers import open_photos
from edge.data.shards import writing
from edge.data.shards.on_demand import Squares
from edge.data.shards.writing import write_shards
from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.preprocess import PREPROCESS_VERSION
from edge.shards import MASKS, members_of
from tests.edge.data.shards._in_tens import SIDE, in_tens
from train import _masks
from train._training_data import training_squares, with_masks


@pytest.fixture(scope="module")
def masked(folder_of_photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> PhotoSet:
    """Every second photograph has a mask: an ellipse, aside from the middle."""
    folder = Path(shutil.copytree(folder_of_photographs, tmp_path_factory.mktemp("masked") / "set"))
    for number, photo in enumerate(open_photos(folder).photos):
        if number % 2:
            width, height = upright_size(photo.path)
            mask = np.zeros((height, width), np.uint8)
            axes = width // 4, height // 5 + number % 3
            cv2.ellipse(mask, (width // 2 + 2, height // 2), axes, 20.0, 0, 360, 255, -1)
            Image.fromarray(mask).save(photo.path.with_name(f"{photo.path.stem}_segmentation.png"))
    return open_photos(folder)


@pytest.fixture(scope="module")
def packed(masked: PhotoSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return in_tens(masked, tmp_path_factory.mktemp("shards"))


def test_masks_are_those_of_the_folder(masked: PhotoSet, packed: Path) -> None:
    wanted, has_one = load_masks(masked, SIDE, cache=False)
    back = open_photos(packed)
    masks, known = load_masks(back, SIDE)
    assert isinstance(masks, Squares) and masks.shape == (len(masked), SIDE, SIDE) and masks.ndim == 3
    np.testing.assert_array_equal(known, has_one)
    assert known.sum() == len(masked) // 2
    np.testing.assert_array_equal(np.array(masks), wanted)
    np.testing.assert_array_equal(masks[1], wanted[1])
    np.testing.assert_array_equal(masks[3:9:2], wanted[3:9:2])
    assert any("12 of 24 photographs have a mask" in note for note in back.notes)
    assert back.sha256() == open_photos(packed).sha256()


def test_at_a_smaller_side_masks_are_nearly_those_of_the_folder(masked: PhotoSet, packed: Path) -> None:
    """Packed are shares, and not 0 and 255, of which half of a pixel could not be told any more."""
    wanted, _ = load_masks(masked, 20, cache=False)
    masks = np.array(load_masks(open_photos(packed), 20)[0])
    assert set(np.unique(masks)) == {0, 255}
    kernel = np.ones((3, 3), np.uint8)
    for own, mask in zip(masks, wanted, strict=True):
        outline = cv2.dilate(mask, kernel) != cv2.erode(mask, kernel)
        assert not (own != mask)[~outline].any()
    assert (masks != wanted).sum() <= 0.03 * (wanted > 0).sum()


def test_other_readers_find_the_mask_in_the_sample(masked: PhotoSet, packed: Path) -> None:
    """As WebDataset has it: the files of a sample stand together and have one name."""
    with tarfile.open(packed / "shard-00001.tar") as tar:
        names = tar.getnames()
        assert names[:5] == [f"0000000{name}" for name in ("10.jpg", "10.json", "11.jpg", "11.png", "11.json")]
        share = np.asarray(Image.open(tar.extractfile("000000011.png")))
    np.testing.assert_array_equal(share >= 128, load_masks(masked, SIDE, cache=False)[0][11] > 0)


def test_larger_masks_than_were_packed_are_refused(packed: Path) -> None:
    with pytest.raises(InputError, match="lies in shards of 48 pixels, and this wants 49"):
        load_masks(open_photos(packed), 49)


def test_a_changed_mask_is_refused_by_name(copy: Path) -> None:
    row = members_of(copy, MASKS)[11]
    tar = copy / "shard-00001.tar"
    content = bytearray(tar.read_bytes())
    content[int(row["offset"]) + 20] ^= 1
    tar.write_bytes(content)
    masks = load_masks(open_photos(copy), SIDE)[0]
    assert masks[13].any() and not masks[10].any()
    with pytest.raises(InputError, match=r"000000011\.png is not the mask that was packed: shard-00001\.tar was"):
        masks[11]


def test_a_table_of_masks_is_the_one_that_was_packed(copy: Path, folder_of_photographs: Path, tmp_path: Path) -> None:
    plain = write_shards(open_photos(folder_of_photographs), out=tmp_path / "plain", side=32).folder
    assert not (plain / MASKS).exists() and not load_masks(open_photos(plain), 32)[1].any()
    shutil.copy(copy / MASKS, plain)
    with pytest.raises(InputError, match=r"masks\.npy is not the one that was written with the shards"):
        open_photos(plain)
    (copy / MASKS).unlink()
    with pytest.raises(InputError, match=r"masks\.npy is not the one that was written with the shards"):
        open_photos(copy)


def test_the_same_masks_give_the_same_bytes_and_others_another_folder(
    masked: PhotoSet, packed: Path, tmp_path: Path, monkeypatch
) -> None:
    """Also where the first try was killed after its first shard."""
    monkeypatch.setattr(writing, "PER_SHARD", 10)
    whole = writing.pack

    def killed(work: tuple) -> None:
        if work[1]:
            raise KeyboardInterrupt
        whole(work)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(writing, "pack", killed)
        write_shards(masked, out=tmp_path, side=SIDE)
    again = write_shards(masked, out=tmp_path, side=SIDE).folder
    assert {path.name: path.read_bytes() for path in again.iterdir()} == {
        path.name: path.read_bytes() for path in packed.iterdir()
    }
    mask = masked.photos[1].mask
    assert mask is not None
    kept = mask.read_bytes()
    Image.fromarray(np.full(upright_size(masked.photos[1].path)[::-1], 255, np.uint8)).save(mask)
    try:
        assert write_shards(masked, out=tmp_path, side=SIDE).folder != again
    finally:
        mask.write_bytes(kept)


def test_a_mask_that_cannot_be_packed_is_named(masked: PhotoSet, tmp_path: Path, capsys) -> None:
    folder = Path(shutil.copytree(masked.photos[0].path.parents[1], tmp_path / "own"))
    mask = next(folder.rglob("*_segmentation.png"))
    Image.new("L", (7, 5), 255).save(mask)
    assert (
        prepare(["--data", str(folder), "--shards", "--side", "32", "--jobs", "1", "--out", str(tmp_path / "out")]) == 2
    )
    assert f"{mask.name} is 7x5 pixels" in " ".join(capsys.readouterr().err.split())


def test_networks_learn_the_masks_of_shards(masked: PhotoSet, packed: Path) -> None:
    """What a network is given is the folder's mask, also where another set is learned from, too."""
    back = open_photos(packed)
    own, both = (training_squares(parts, 38, masks=True) for parts in ([back], [masked, back]))
    assert own.images.shape[1] == SIDE
    wanted, known = load_masks(masked, SIDE, cache=False)
    assert own.masks is not None and both.masks is not None and both.known is not None
    for place in (0, 1, 11, 23):
        np.testing.assert_array_equal(own.masks[place], wanted[place])
        np.testing.assert_array_equal(both.masks[place], wanted[place])
        np.testing.assert_array_equal(both.masks[place + 24], wanted[place])
    np.testing.assert_array_equal(both.known, [*known, *known])
    images, masks = with_masks([back], SIDE)
    assert images.shape == (12, SIDE, SIDE, 3)
    np.testing.assert_array_equal(masks, wanted[known])


def test_masks_of_shards_are_judged(masked: PhotoSet, packed: Path, monkeypatch) -> None:
    """A network that gives the folder's masks is right in every pixel; one that gives nothing, in none."""
    wanted, known = load_masks(masked, SIDE, cache=False)
    preprocess = Preprocess(PREPROCESS_VERSION, side=SIDE)
    for given_back, dice in ((wanted[known] / 255.0, 1.0), (np.zeros((12, SIDE, SIDE)), 0.0)):
        monkeypatch.setattr(_masks, "predict_masks", lambda *_, own=given_back: own)
        scores = _masks.mask_scores(nn.Identity(), open_photos(packed), preprocess)
        assert len(scores) == 12 and {score.dice for score in scores} == {dice}


def test_shards_of_shards_keep_masks_and_are_not_larger(packed: Path, tmp_path: Path) -> None:
    back = open_photos(packed)
    with pytest.raises(InputError, match="lies in shards of 48 pixels, and these shards want 64; pack the photographs"):
        write_shards(back, out=tmp_path, side=64)
    for side in (SIDE, 20):
        again = open_photos(write_shards(back, out=tmp_path, side=side).folder)
        np.testing.assert_array_equal(np.array(load_masks(again, side)[0]), np.array(load_masks(back, side)[0]))
