"""What training and judging take of a balanced set: its own folds, and no augmented copy where something is judged."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from edge.data.joined.join import join
from edge.data.known_as import with_known_as
from edge.data.prepared import hardness
from edge.data.prepared.build import prepare
from edge.data.readers import open_photos
from edge.data.selection import seen_in, unseen
from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.labels import PAD_UFES_20
from train._cut import by_domain, cut_photos, cut_sets
from train._options import Split

FOLDS = 3


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """48 photographs of 24 patients, balanced soundly and as published, 12 of each class."""
    folder, rng = tmp_path_factory.mktemp("sample"), np.random.default_rng(0)
    lines = ["patient_id,lesion_id,diagnostic,img_id"]
    for number in range(48):
        code = PAD_UFES_20[(number // 2) % 6].code
        name = f"PAT_{number // 2}_1_{number}.png"
        Image.fromarray(rng.integers(0, 256, (40, 44, 3), np.uint8)).save(folder / name)
        lines.append(f"PAT_{number // 2},1,{code},{name}")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hardness, "TREES", 4)
        return {
            soundly: prepare(
                open_photos(folder),
                "ihpad3000",
                out=folder / "out",
                soundly=soundly,
                per_class=12,
                folds=FOLDS,
                side=32,
            ).folder
            for soundly in (True, False)
        }


def copies_in(photos: PhotoSet) -> int:
    return sum(".copy" in photo.image_id for photo in photos.photos)


@pytest.mark.parametrize("fold", range(FOLDS))
def test_training_keeps_the_folds_of_a_sound_set(sets: dict[bool, Path], fold: int) -> None:
    photos = open_photos(sets[True])
    cut = cut_photos(photos, Split(folds=FOLDS, fold=fold, held_back=0.2))
    rows = [line.split(",") for line in (sets[True] / "lists" / "folds.csv").read_text().splitlines()[1:]]
    listed = {
        role: {file for number, own, file in rows if (number, own) == (str(fold), role)} for role in ("train", "test")
    }
    assert {photo.image_id for photo in cut.unseen.photos} == listed["test"]
    assert {photo.image_id for photo in cut.train.photos} < listed["train"]
    assert copies_in(cut.train) > 0 and copies_in(cut.unseen) == copies_in(cut.held_back) == 0
    assert not {*cut.unseen.patients} & {*cut.train.patients, *cut.held_back.patients}


def test_every_photograph_is_judged_in_one_fold(sets: dict[bool, Path]) -> None:
    photos = open_photos(sets[True])
    judged = [
        photo.image_id
        for fold in range(FOLDS)
        for photo in cut_photos(photos, Split(folds=FOLDS, fold=fold, held_back=0.2)).unseen.photos
    ]
    assert sorted(judged) == sorted(photo.image_id for photo in photos.natural().photos) and len(judged) == 48
    assert any("are augmented copies, which are learned from and never judged" in note for note in photos.notes)


def test_what_a_network_is_judged_on_are_photographs_of_the_test_part(sets: dict[bool, Path]) -> None:
    photos = open_photos(sets[True])
    cut = cut_photos(photos, Split(folds=FOLDS, fold=1, held_back=0.2))
    listed = {"trained": by_domain([cut.train]), "held_back": by_domain([cut.held_back])}
    network = SimpleNamespace(**listed, program=None, patients_unknown=False)
    left = unseen(photos, network)  # type: ignore[arg-type]  # all of a checkpoint that is asked for
    assert {photo.image_id for photo in left.photos} == {photo.image_id for photo in cut.unseen.photos}
    assert any(".copy" in p.image_id and p.patient in set(left.patients) for p in photos.photos)  # of other folds


def test_whom_a_balanced_set_taught_is_known_in_the_set_that_it_is_made_of(sets: dict[bool, Path]) -> None:
    source, photos = open_photos(sets[True].parents[1]), open_photos(sets[True])
    cut = cut_photos(photos, Split(folds=FOLDS, held_back=0.2))
    trained = by_domain([cut.train])
    assert trained["pad_ufes_20"]["patients"] == sorted(set(cut.train.patients))
    assert {*trained["pad_ufes_20"]["images"]} < {
        photo.image_id for photo in source.photos
    }  # copies are no photographs
    seen = seen_in([trained])
    further = source.photos + tuple(replace(photo, image_id=f"further_{photo.image_id}") for photo in source.photos)
    assert {photo.patient for photo in further if seen(photo)} == set(cut.train.patients)
    assert all(seen(photo) for photo in further if photo.patient in set(cut.train.patients))
    first, second = cut_sets([source, photos], Split(folds=FOLDS, held_back=0.2))
    assert not {*first.unseen.patients, *first.held_back.patients} & set(second.train.patients)


def test_a_balanced_set_of_an_earlier_version_says_what_it_lacks(sets: dict[bool, Path], tmp_path: Path) -> None:
    shutil.copytree(sets[True], tmp_path / "old")
    (tmp_path / "old" / "lists" / "also_known_as.csv").unlink()
    assert any("who is learned here counts as unseen there" in note for note in open_photos(tmp_path / "old").notes)


@pytest.mark.parametrize("row", ["PAT_1,,pad_ufes_20,,", "PAT_1,,,PAT_1,", ",a.jpg,pad_ufes_20,PAT_1,"])
def test_a_table_of_other_names_with_a_gap_is_refused(tmp_path: Path, row: str) -> None:
    table = tmp_path / "also_known_as.csv"
    table.write_text(f"patient_id,image,source,source_patient_id,source_image\n{row}\n")
    with pytest.raises(InputError, match=r"also_known_as.csv:2 has a field empty that tells who is who"):
        with_known_as(PhotoSet("few", (), ()), table)


def test_a_set_as_published_is_cut_by_patient_and_judged_without_copies(sets: dict[bool, Path]) -> None:
    cut = cut_photos(open_photos(sets[False]), Split(folds=FOLDS, held_back=0.2))
    assert copies_in(cut.train) > 0 and copies_in(cut.unseen) == copies_in(cut.held_back) == 0
    assert not {*cut.unseen.patients} & {*cut.train.patients, *cut.held_back.patients}


def test_another_number_of_folds_is_refused_and_so_is_joining(sets: dict[bool, Path]) -> None:
    photos = open_photos(sets[True])
    with pytest.raises(InputError, match="was balanced in 3 folds, and `folds` is 5"):
        cut_photos(photos, Split(folds=5))
    with pytest.raises(InputError, match="is a balanced set with augmented copies; join the photographs"):
        join([photos], "pad_ufes_20")


def test_a_list_that_does_not_fit_is_refused(sets: dict[bool, Path]) -> None:
    table = sets[True] / "lists" / "folds.csv"
    text = table.read_text()
    try:
        for change, message in (
            (text + "0,train,ACK/no.jpg\n", "expected train or test of a file in lists/items.csv"),
            (text.replace("\n2,", "\n7,"), r"has the folds 0, 1, 7; expected 0, 1, 2"),
            (text.replace("role", "part", 1), r"lacks the column\(s\) role of a prepared set"),
        ):
            table.write_text(change)
            with pytest.raises(InputError, match=message):
                open_photos(sets[True])
    finally:
        table.write_text(text)
