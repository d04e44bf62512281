"""Sets in shards: what goes in comes out, other readers of tar files agree, and nothing that was changed is read."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from dermedge.commands.prepare import main as prepare
from dermedge.commands.train import main as train
from edge.capture import read_photo
from edge.data.copies import same_bytes
from edge.data.known_as import KNOWN_AS
from edge.data.readers import open_photos, sets_in
from edge.data.shards import on_demand, writing
from edge.data.shards.on_demand import MOST_AT_ONCE, Joined, Squares
from edge.data.shards.writing import write_shards
from edge.data.squares import load_squares
from edge.data.table import PhotoSet
from edge.data.views import load_views
from edge.errors import InputError
from edge.files import sha256
from edge.preprocess import to_input
from edge.shards import MEMBERS, ROW, members_of
from tests.edge.data.shards._in_tens import SIDE, in_tens
from train import _baselines


@pytest.fixture(scope="module")
def photos(folder_of_photographs: Path) -> PhotoSet:
    """As of a joined set: with lesions, answers, and names in other sets."""
    return with_more(open_photos(folder_of_photographs))


def with_more(photos: PhotoSet) -> PhotoSet:
    more: list[dict] = [
        {"lesion": 'a, "b"', "answers": {"age": 40.5, "itches": True, "region": "back"}},
        {"site": "lower extremity", "also_known_as": (("other", "IMG_1", "P1"),)},
        {"answers": {"bleeds": False}},
    ]
    own = zip(photos.photos, [*more, *({} for _ in photos.photos[3:])], strict=True)
    return replace(photos, photos=tuple(replace(photo, **fields) for photo, fields in own))


@pytest.fixture(scope="module")
def packed(photos: PhotoSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return in_tens(photos, tmp_path_factory.mktemp("shards"))


def test_what_was_packed_is_read(photos: PhotoSet, packed: Path) -> None:
    back = open_photos(packed)
    assert sets_in(packed.parent) == [packed]
    assert (back.name, back.classes, back.synthetic, back.licence) == (
        photos.name, photos.classes, photos.synthetic, photos.licence,
    )  # fmt: skip
    for photo, own in zip(photos.photos, back.photos, strict=True):
        for name in ("image_id", "label", "patient", "domain", "lesion", "site", "answers", "also_known_as"):
            assert getattr(own, name) == getattr(photo, name)
    _, squares = load_squares(back, SIDE)
    assert squares.shape == (len(photos), SIDE, SIDE, 3)
    for place in (0, 13, len(photos) - 1):
        with io.BytesIO() as file:  # Pillow's own JPEG of the square that a model would see
            Image.fromarray(to_input(read_photo(photos.photos[place].path), SIDE)).save(
                file, "JPEG", quality=95, subsampling=0
            )
            wanted = np.asarray(Image.open(file).convert("RGB"))
        np.testing.assert_array_equal(squares[place], wanted)


def test_other_readers_of_tar_files_agree(packed: Path) -> None:
    """The standard library's reader finds every member where the table says, in pairs as WebDataset reads them."""
    members, number = np.load(packed / MEMBERS), 0
    for shard, path in enumerate(sorted(packed.glob("*.tar"))):
        with tarfile.open(path) as tar:
            entries = tar.getmembers()
            for picture, said in zip(entries[::2], entries[1::2], strict=True):
                assert (picture.name, said.name) == (f"{number:09d}.jpg", f"{number:09d}.json")
                row = members[number]
                assert (row["shard"], row["offset"], row["size"]) == (shard, picture.offset_data, picture.size)
                assert picture.mtime == 0 and picture.isreg()
                facts = json.load(tar.extractfile(said))
                assert facts["image"] == open_photos(packed).photos[number].image_id if number % 17 == 0 else True
                number += 1
    assert number == len(members)


def test_the_same_photographs_give_the_same_bytes(photos: PhotoSet, packed: Path, tmp_path: Path, monkeypatch) -> None:
    """Also where the first try was killed after its first shard, and another set has another name."""
    monkeypatch.setattr(writing, "PER_SHARD", 10)
    whole = writing.pack

    def killed(work: tuple) -> None:
        if work[1]:
            raise KeyboardInterrupt
        whole(work)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(writing, "pack", killed)
        write_shards(photos, out=tmp_path, side=SIDE)
    (kept,) = tmp_path.glob(".*/shard-00000.tar")
    assert not list(tmp_path.glob("[!.]*"))
    began = os.stat(kept).st_mtime_ns
    again = write_shards(photos, out=tmp_path, side=SIDE).folder
    assert again.name == packed.name and sha256(again) == sha256(packed)
    assert os.stat(again / kept.name).st_mtime_ns == began  # it was not made twice
    assert [path.name for path in tmp_path.iterdir()] == [again.name]
    assert write_shards(photos.where(lambda photo: photo != photos.photos[0]), out=tmp_path, side=SIDE).folder != again


def test_digests_and_copies_need_no_file(photos: PhotoSet, packed: Path) -> None:
    back = open_photos(packed)
    assert back.sha256() == open_photos(packed).sha256() != photos.sha256()
    first, second = back.photos[0].path, back.photos[1].path
    assert same_bytes([first, second]) == [] and same_bytes([first, second, first]) == [[first, first]]


def flipped(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_a_changed_shard_is_refused_by_name(copy: Path) -> None:
    row = np.load(copy / MEMBERS)[12]
    flipped(copy / "shard-00001.tar", int(row["offset"]) + 30)
    back = open_photos(copy)
    assert read_photo(back.photos[11].path).shape == (SIDE, SIDE, 3)
    with pytest.raises(InputError, match=r"000000012\.jpg is not the photograph that was packed: shard-00001\.tar was"):
        read_photo(back.photos[12].path)
    (copy / "shard-00001.tar").write_bytes(b"x")
    with pytest.raises(InputError, match=r"shard-00001\.tar is missing, or has not the \d+ bytes"):
        open_photos(copy)


@pytest.mark.parametrize("name", ["index.csv", MEMBERS, "labels.json", KNOWN_AS])
def test_a_changed_table_is_refused_by_name(copy: Path, name: str) -> None:
    """Also one that was taken away: without names elsewhere a photograph could be judged that was learned from."""
    flipped(copy / name, -2)
    with pytest.raises(InputError, match=f"{name} is not the one that was written with the shards"):
        open_photos(copy)
    (copy / name).unlink()
    with pytest.raises(InputError, match="has neither" if name == "index.csv" else f"{name} is not the one that was"):
        open_photos(copy)


def test_a_table_of_names_that_was_not_packed_is_refused(
    folder_of_photographs: Path, copy: Path, tmp_path: Path
) -> None:
    plain = write_shards(open_photos(folder_of_photographs), out=tmp_path / "plain", side=32).folder
    assert len(open_photos(plain)) == 24 and not (plain / KNOWN_AS).exists()
    shutil.copy(copy / KNOWN_AS, plain)
    with pytest.raises(InputError, match=f"{KNOWN_AS} is not the one that was written with the shards"):
        open_photos(plain)


@pytest.mark.parametrize("notes", [5, None, "one", [1]])
def test_notes_are_texts(copy: Path, notes: object) -> None:
    facts = json.loads((copy / "shards.json").read_text())
    (copy / "shards.json").write_text(json.dumps(facts | {"notes": notes}))
    with pytest.raises(InputError, match="`notes` is a list of texts"):
        open_photos(copy)


@pytest.mark.parametrize(
    "header", ["{'descr': (((((", "(" * 95, "{'descr': '|u1', 'fortran_order': False, 'shape': (9" + "9" * 30 + ",)}"]
)
def test_a_hostile_header_is_an_input_error(copy: Path, header: str) -> None:
    line = header.encode().ljust(117) + b"\n"
    (copy / MEMBERS).write_bytes(b"\x93NUMPY\x01\x00" + len(line).to_bytes(2, "little") + line + bytes(200))
    members_of.cache_clear()
    with pytest.raises(InputError, match=r"members\.npy, the table of the photographs in shards, cannot be read"):
        members_of(copy, MEMBERS)


def test_a_disk_without_hard_links_gets_the_same_shards(
    photos: PhotoSet, packed: Path, tmp_path: Path, monkeypatch
) -> None:
    """As exFAT and SMB; also where the first try was killed while it moved them."""
    monkeypatch.setattr(writing, "PER_SHARD", 10)
    move, moved, packings = os.replace, [], []

    def no_links(*paths: Path) -> None:
        raise OSError(95, "Operation not supported")

    def killed(source: Path, target: Path) -> None:
        move(source, target)
        moved.append(Path(target).parent.name)
        if moved[-1] == "set":
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "link", no_links)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(writing.os, "replace", killed)
        write_shards(photos, out=tmp_path, side=SIDE)
    tar = writing.write_tar
    monkeypatch.setattr(writing, "write_tar", lambda *own: (packings.append(own), tar(*own)))
    again = write_shards(photos, out=tmp_path, side=SIDE).folder
    assert sha256(again) == sha256(packed) and not packings  # nothing was packed twice
    assert [path.name for path in tmp_path.iterdir()] == [again.name]


def test_what_a_killed_run_left_beside_the_finished_set_goes(photos: PhotoSet, tmp_path: Path, monkeypatch) -> None:
    remove = shutil.rmtree

    def killed(path: Path, **flags) -> None:
        if Path(path).name.endswith(".part"):
            raise KeyboardInterrupt
        remove(path, **flags)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(writing.shutil, "rmtree", killed)
        write_shards(photos, out=tmp_path, side=32)
    assert list(tmp_path.glob(".*.part/*.tar"))  # as large as the set itself
    folder = write_shards(photos, out=tmp_path, side=32).folder
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_another_process_at_the_same_set_is_named(photos: PhotoSet, tmp_path: Path, monkeypatch) -> None:
    def meanwhile(work: tuple) -> None:
        write_shards(photos, out=tmp_path, side=32)

    monkeypatch.setattr(writing, "pack", meanwhile)
    with pytest.raises(InputError, match="another process is making set-shards-"):
        write_shards(photos, out=tmp_path, side=32)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"offset": 2**63 + 5}, "cannot be read"),
        ({"offset": 2**40}, "is not the photograph"),
        ({"size": 2**32 - 1}, "expected 1 to"),
        ({"size": 0}, "has 0 bytes"),
        ({"shard": 1}, "has no 000000000.jpg"),
        (None, "is no table of photographs in shards"),
    ],
)
def test_a_hostile_table_harms_nobody(copy: Path, changed: dict | None, words: str) -> None:
    path = open_photos(copy).photos[0].path
    members = np.load(copy / MEMBERS)
    for name, value in (changed or {}).items():
        members[name][0] = value
    np.save(copy / MEMBERS, members if changed else np.zeros(3))
    members_of.cache_clear()
    with pytest.raises(InputError, match=words):
        read_photo(path)
    members_of.cache_clear()


def test_a_pipe_in_place_of_a_shard_does_not_block(copy: Path) -> None:
    path = open_photos(copy).photos[0].path
    path.parent.unlink()
    os.mkfifo(path.parent)
    with pytest.raises(InputError, match="no regular file"):
        read_photo(path)


def test_squares_are_an_array_to_whoever_asks(packed: Path) -> None:
    back = open_photos(packed)
    squares = Squares([photo.path for photo in back.photos], 32)
    whole = np.array(squares)
    assert whole.shape == squares.shape and whole.dtype == np.uint8
    np.testing.assert_array_equal(squares[3:9:2], whole[3:9:2])
    np.testing.assert_array_equal(squares[np.array([4, 4, 1])], whole[[4, 4, 1]])
    np.testing.assert_array_equal(squares[-1], whole[-1])
    both = Joined([whole[:3], squares])
    assert len(both) == 3 + len(whole)
    for place in (0, 2, 3, 4, len(both) - 1, -1, -len(both)):
        np.testing.assert_array_equal(both[place], np.concatenate([whole[:3], whole])[place])
    with pytest.raises(IndexError):
        both[len(both)]
    many = Squares([back.photos[0].path] * (MOST_AT_ONCE // (3 * 32**2) + 1), 32)
    with pytest.raises(InputError, match="squares of 32 pixels are more than 4 GiB"):
        np.array(many)
    part = many[1::2]  # what a process of two judges: not decoded at once
    assert isinstance(part, Squares) and len(part) == len(many) // 2
    np.testing.assert_array_equal(part[:2], whole[[0, 0]])
    assert isinstance(many[:], Squares) and isinstance(squares[:], np.ndarray)


def test_squares_smaller_than_asked_for_are_refused_by_name(packed: Path, tmp_path: Path, capsys) -> None:
    """Enlarged ones would be blurred; augmentation draws on more than a network sees."""
    back = open_photos(packed)
    assert back.packed_side == back.summary()["packed_side"] == SIDE
    assert f"in shards, as JPEG of squares of {SIDE} pixels" in back.notes
    for load in (lambda: load_squares(back, 49), lambda: load_views(back, 49, 4), lambda: load_views(back, 49, 1)):
        with pytest.raises(InputError, match=r"lies in shards of 48 pixels, and .* 49; pack .* --side 49"):
            load()
    flags = ["--data", str(packed), "--out", str(tmp_path / "run"), "--folds", "3", "--held-back", "0.25"]
    assert train([*flags, "--model", "mnasnet", "--stages", "64x1"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "shards of 48 pixels, and augmentation draws on 80; pack the photographs again" in said


def test_a_single_view_is_an_array(packed: Path) -> None:
    """As parity on many photographs asks for."""
    views = load_views(open_photos(packed), 32, 1)[1]
    assert views.shape == (1, 24, 32, 32, 3)
    np.testing.assert_array_equal(views[0, 3], load_squares(open_photos(packed), 32)[1][3])


def test_views_that_do_not_fit_are_refused_before_any_is_drawn(packed: Path, monkeypatch) -> None:
    monkeypatch.setattr(on_demand, "MOST_AT_ONCE", 24 * 32 * 32 * 3)
    assert load_views(open_photos(packed), 32, 1)[1].shape[1] == 24
    with pytest.raises(InputError, match="96 squares of 32 pixels are more than"):
        load_views(open_photos(packed), 32, 4)


def test_baselines_need_no_array_of_all_squares(packed: Path, monkeypatch) -> None:
    """They come after all of a cross-validation's training; the figures are those of a set that fits."""
    monkeypatch.setattr(_baselines, "TREES", 3)
    monkeypatch.setattr(_baselines, "SIDE", 64)
    whole = _baselines.baselines(open_photos(packed), folds=3, seed=0)
    monkeypatch.setattr(on_demand, "MOST_AT_ONCE", 5 * 64 * 64 * 3)  # less than a fold has
    assert _baselines.baselines(open_photos(packed), folds=3, seed=0) == whole
    assert list(whole) == ["forest on 16x16 RGB", "linear classifier on hand-made descriptors"]


def test_training_takes_shards_as_any_other_set(
    packed: Path, folder_of_photographs: Path, tmp_path: Path, monkeypatch
) -> None:
    """The same weights as from a folder of the same files, whose squares the cache holds."""
    monkeypatch.setenv("DERMEDGE_CACHE", str(tmp_path / "cache"))
    back = open_photos(packed)
    flags = [
        "--stages",
        "32x1",
        "--batch",
        "4",
        "--folds",
        "3",
        "--held-back",
        "0.25",
        "--precision",
        "32-true",
        "--threads",
        "1",
    ]
    flags += ["--model", "mnasnet"]
    assert train(["--data", str(packed), "--out", str(tmp_path / "shards"), *flags]) == 0
    assert not [path for path in (tmp_path / "cache").glob("*.npy") if path.stat().st_size > 10_000]  # no squares
    loose = Path(shutil.copytree(folder_of_photographs, tmp_path / back.name))
    for own in back.photos:
        with tarfile.open(own.path.parent) as tar:
            content = tar.extractfile(own.path.name).read()
        next(path for path in loose.rglob(f"{Path(own.image_id).stem}.*")).write_bytes(content)
    assert train(["--data", str(loose), "--out", str(tmp_path / "loose"), *flags]) == 0
    weights = [load_file(tmp_path / name / "checkpoint.safetensors") for name in ("shards", "loose")]
    assert all(torch.equal(weights[0][name], value) for name, value in weights[1].items())


def test_the_command_says_what_it_packed(folder_of_photographs: Path, tmp_path: Path, capsys) -> None:
    flags = ["--data", str(folder_of_photographs), "--side", "32", "--jobs", "1", "--out", str(tmp_path)]
    assert prepare([*flags, "--shards"]) == 0
    said = capsys.readouterr().out
    (folder,) = tmp_path.iterdir()
    assert "in 1 shards" in said and folder.name in said and len(open_photos(folder)) == 24
    assert prepare(flags) == 2 and prepare([*flags, "--shards", "--recipe", "ihpad3000"]) == 2


def test_what_cannot_be_packed_is_named(photos: PhotoSet, packed: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`side` is 1 to"):
        write_shards(photos, out=tmp_path, side=0)
    unlabelled = PhotoSet("masks", (), photos.photos)
    with pytest.raises(InputError, match="has no classes"):
        write_shards(unlabelled, out=tmp_path)
    assert np.load(packed / MEMBERS).dtype == ROW
