"""A balanced set as published and soundly: who is where, what is written, and what comes of an interruption."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import make_blobs

from edge.data.prepared import build, forest, hardness, protocols, work
from edge.data.prepared import flattery as probe
from edge.data.prepared.augmented import copy_of
from edge.data.prepared.build import prepare
from edge.data.prepared.flattery import flattery
from edge.data.prepared.hardness import chances, easiest
from edge.data.prepared.protocols import published, sound
from edge.data.prepared.recipes import balanced_set
from edge.data.readers import open_photos
from edge.data.shards.writing import write_shards
from edge.data.split_check.check import check_split
from edge.data.table import Photo, PhotoSet
from edge.errors import InputError
from edge.files import sha256
from edge.labels import PAD_UFES_20

PER_CLASS, FOLDS = 12, 3


@pytest.fixture(autouse=True)
def small_forests(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested does not depend on how many trees there are."""
    monkeypatch.setattr(hardness, "TREES", 8)
    monkeypatch.setattr(probe, "TREES", 20)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> PhotoSet:
    """72 photographs of 36 patients in the layout of PAD-UFES-20: noise of the patient, in the colour of the class."""
    folder, rng = tmp_path_factory.mktemp("sample"), np.random.default_rng(0)
    lines = ["patient_id,lesion_id,diagnostic,img_id"]
    (folder / "images").mkdir()
    for number in range(72):
        place = (number // 2) % len(PAD_UFES_20) if number < 48 else number // 2 % 3
        if number % 2 == 0:
            skin = rng.integers(0, 120, (40, 44, 3), np.uint8)  # of a patient
        picture = skin + rng.integers(0, 20, skin.shape, np.uint8)
        picture[..., place % 3] += np.uint8(20 * place)
        Image.fromarray(picture).save(folder / "images" / f"PAT_{number // 2}_1_{number}.png")
        lines.append(f"PAT_{number // 2},1,{PAD_UFES_20[place].code},PAT_{number // 2}_1_{number}.png")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    return open_photos(folder)


def listed(counts: dict[str, int], per_patient: int = 3) -> PhotoSet:
    """Photographs that nobody reads."""
    codes = [code for code, number in counts.items() for _ in range(number)]
    photos = tuple(
        Photo(Path(f"{place}.jpg"), f"{place}.jpg", code, f"P{place // per_patient}", "pad_ufes_20")
        for place, code in enumerate(codes)
    )
    return PhotoSet("drawn", PAD_UFES_20, photos)


COUNTS = {"ACK": 40, "BCC": 60, "MEL": 9, "NEV": 30, "SCC": 12, "SEK": 21}


@pytest.fixture(scope="module")
def drawn() -> tuple[PhotoSet, np.ndarray]:
    photos = listed(COUNTS)
    rng = np.random.default_rng(0)
    pixels = np.array(photos.targets)[:, None] * 20 + rng.integers(0, 60, (len(photos), 30))
    return photos, pixels.astype(np.uint8)


def test_as_published_every_class_is_as_large_and_copies_stay_with_their_photograph(
    drawn: tuple[PhotoSet, np.ndarray], tmp_path: Path
) -> None:
    photos, pixels = drawn
    folds = published(photos, pixels, per_class=PER_CLASS, folds=FOLDS, seed=0, folder=tmp_path)
    everything = [item for fold in folds for item in fold.test]
    assert Counter(photos.photos[place].label for place, _ in everything) == dict.fromkeys(COUNTS, PER_CLASS)
    assert len(set(everything)) == len(everything)
    fold_of = {item: number for number, fold in enumerate(folds) for item in fold.test}
    assert all(fold_of[place, copy] == fold_of[place, 0] for place, copy in everything)
    for fold in folds:
        assert sorted((*fold.train, *fold.test)) == sorted(everything)
    patients = [{photos.photos[place].patient for place, _ in fold.test} for fold in folds]
    assert patients[0] & patients[1]  # which is what is wrong with it


def test_soundly_no_patient_is_learned_and_judged_and_test_parts_are_natural(
    drawn: tuple[PhotoSet, np.ndarray], tmp_path: Path
) -> None:
    photos, pixels = drawn
    folds = sound(photos, pixels, per_class=PER_CLASS, folds=FOLDS, seed=0, folder=tmp_path)
    wanted = PER_CLASS * (FOLDS - 1) // FOLDS
    for fold in folds:
        learned, judged = ({photos.photos[place].patient for place, _ in part} for part in (fold.train, fold.test))
        assert not learned & judged
        assert all(copy == 0 for _, copy in fold.test)
        assert Counter(photos.photos[place].label for place, _ in fold.train) == dict.fromkeys(COUNTS, wanted)
    assert sorted(place for fold in folds for place, _ in fold.test) == list(range(len(photos)))


def test_the_hardest_are_those_among_another_class() -> None:
    """Blobs of scikit-learn, and five points that carry the label of the other blob."""
    points, targets = make_blobs(200, centers=[[0, 0], [9, 9]], random_state=0)
    targets[:5] = 1 - targets[:5]
    own = chances(np.clip(points * 10 + 60, 0, 255).astype(np.uint8), targets, None, seed=0)
    assert set(np.argsort(own)[:5].tolist()) == set(range(5))
    assert easiest(own, [str(place) for place in range(200)], 195) == list(range(5, 200))


def test_what_threads_of_forests_say_of_themselves_is_kept_back_and_nothing_else() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with forest.quiet():
            warnings.resetwarnings()  # as a thread of scikit-learn does
            warnings.warn("`sklearn.utils.parallel.delayed` should be used with others", UserWarning, stacklevel=1)
            warnings.warn("something else", RuntimeWarning, stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["something else"]


def test_a_copy_is_another_view_of_the_same_picture() -> None:
    square = cv2.resize(np.random.default_rng(0).integers(60, 190, (8, 8, 3), np.uint8), (64, 64))
    first, again, other = (copy_of(square, "a", number, 0) for number in (1, 1, 2))
    assert (first == again).all() and (first != other).any() and (first != square).any()
    assert (copy_of(square, "a", 0, 0) == square).all()
    assert abs(first.mean() / square.mean() - 1) < 0.35


@pytest.mark.parametrize("soundly", [False, True])
def test_the_same_photographs_give_the_same_bytes_also_after_an_interruption(
    soundly: bool, sample: PhotoSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"soundly": soundly, "per_class": PER_CLASS, "folds": FOLDS, "side": 32}
    whole = prepare(sample, "ihpad3000", out=tmp_path / "a", **options)
    write, number = work.write_squares, 0

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    def stopped(*args: object) -> None:
        nonlocal number
        number += 1
        if number < 8:
            return write(*args)  # type: ignore[arg-type]
        with monkeypatch.context() as patch:  # a square is written, and is not where it belongs yet
            patch.setattr(work.os, "replace", interrupted)
            patch.setattr(work.os, "getpid", lambda: 1)  # the next one has another number
            write(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(build, "write_squares", stopped)
    with pytest.raises(KeyboardInterrupt):
        prepare(sample, "ihpad3000", out=tmp_path / "b", **options)
    assert not [path for path in (tmp_path / "b").iterdir() if not path.name.startswith(".")]
    written = set((tmp_path / "b").rglob("set/**/*.jpg"))
    assert written
    times = {path.name: path.stat().st_mtime_ns for path in written}
    monkeypatch.setattr(build, "write_squares", write)
    monkeypatch.setattr(protocols, "chances", lambda *_, **__: pytest.fail("hardness is told once"))
    again = prepare(sample, "ihpad3000", out=tmp_path / "b", **options)
    assert again.folder.name == whole.folder.name
    assert sha256(again.folder) == sha256(whole.folder)
    kept = [path for path in again.folder.rglob("*.jpg") if path.name in times]
    assert all(path.stat().st_mtime_ns == times[path.name] for path in kept)
    assert not list((tmp_path / "b").glob(".*"))
    (tmp_path / "b" / f".{whole.folder.name}.part" / "pixels").mkdir(parents=True)  # killed before it was removed
    assert prepare(sample, "ihpad3000", out=tmp_path / "b", **options).items == whole.items
    assert not list((tmp_path / "b").glob(".*"))


def test_a_prepared_set_is_read_and_its_folds_are_sound_or_not(sample: PhotoSet, tmp_path: Path) -> None:
    options: dict[str, Any] = {"per_class": PER_CLASS, "folds": FOLDS, "side": 32}
    good, flattering = (prepare(sample, "ihpad3000", out=tmp_path, soundly=own, **options) for own in (True, False))
    photos = open_photos(flattering.folder)
    assert photos.counts == dict.fromkeys(sample.codes, PER_CLASS)
    assert set(photos.patients) <= set(sample.patients)
    assert not [note for note in photos.notes if "nobody here reads" in note or "lists" in note or ".csv" in note]
    for own, kinds in ((good, set()), (flattering, {"patient"})):
        fold = tmp_path / f"{own.folder.name}.csv"
        parts = {"train": own.folds[0].train, "test": own.folds[0].test}
        rows = [(sample.photos[at].image_id, role) for role, part in parts.items() for at, copy in part if not copy]
        fold.write_text("image,split\n" + "".join(f"{image},{role}\n" for image, role in rows))
        table = tmp_path / "patients.csv"
        table.write_text("image,patient_id\n" + "".join(f"{p.image_id},{p.patient}\n" for p in sample.photos))
        assert {leak.kind for leak in check_split([table], [fold]).leaks} == kinds


@pytest.mark.slow(reason="starts two processes, which import everything anew")
def test_two_processes_give_the_same(sample: PhotoSet, tmp_path: Path) -> None:
    options: dict[str, Any] = {"per_class": 6, "folds": 2, "side": 32}
    folders = [prepare(sample, "ihpad3000", out=tmp_path / str(jobs), jobs=jobs, **options).folder for jobs in (1, 2)]
    assert sha256(folders[0]) == sha256(folders[1])


def test_the_published_protocol_flatters_where_copies_are_learned(sample: PhotoSet, tmp_path: Path) -> None:
    """Labels drawn at random by patient: soundly nothing can be learned, as published the patient's others can."""
    rng = np.random.default_rng(0)
    label_of = {patient: rng.choice(sample.codes) for patient in sorted(set(sample.patients))}
    photos = PhotoSet(
        sample.name, sample.classes,
        tuple(Photo(p.path, p.image_id, label_of[p.patient], p.patient, p.domain) for p in sample.photos),
        synthetic=True,
    )  # fmt: skip
    options: dict[str, Any] = {"out": tmp_path, "folds": 3, "side": 32}
    sets = [prepare(photos, "ihpad3000", soundly=own, per_class=30, **options) for own in (False, True)]
    result = flattery(*sets)
    assert result["difference"]["low"] > 0
    assert result["sound"]["balanced_accuracy"]["value"] < 0.4
    with pytest.raises(InputError, match="of the same photographs"):
        flattery(sets[0], prepare(sample, "ihpad3000", out=tmp_path, soundly=True, per_class=6, folds=2, side=32))


def test_what_does_not_fit_is_refused(sample: PhotoSet, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no recipe ihpad300 \(did you mean ihpad3000"):
        prepare(sample, "ihpad300", out=tmp_path)
    with pytest.raises(InputError, match="is made of ISIC 2019 with the classes MEL, NV, BCC, AK"):
        prepare(sample, "ihisic20000", out=tmp_path)
    with pytest.raises(InputError, match="fewer than the 10 folds"):
        prepare(sample, "ihpad3000", out=tmp_path, per_class=5)
    for wrong, words in (
        ({"folds": 1}, "`folds` is at least 2, got 1"), ({"folds": 0}, "`folds` is at least 1, got 0"),
        ({"seed": -1}, "`seed` is 0 to 4294967295, got -1"), ({"seed": 2**32}, "`seed` is 0 to"),
        ({"folds": 40}, "no class of PAD-UFES-20 has 40 photographs, one for each fold; the largest has 16"),
        ({"per_class": 10**9}, "makes more than 1000000 images"),
    ):  # fmt: skip
        for soundly in (False, True):
            with pytest.raises(InputError, match=words):
                prepare(sample, "ihpad3000", out=tmp_path, soundly=soundly, **{"per_class": 60, "side": 32} | wrong)
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="told in 5 parts, and the largest class that is learned has 3 photographs"):
        chances(np.zeros((6, 4), np.uint8), np.arange(6) % 2, None, seed=0)
    with pytest.raises(InputError, match="told in 5 parts by patient, and only 2 are learned"):
        chances(np.zeros((12, 4), np.uint8), np.arange(12) % 2, ["a", "b"] * 6, seed=0)
    with pytest.raises(InputError, match="no photograph of MEL"):
        balanced_set("ihpad3000", listed(COUNTS | {"MEL": 0}))


def test_what_a_balanced_set_cannot_take_is_said(
    sample: PhotoSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Squares of shards are not enlarged, and masks are named that do not come along."""
    said: list[str] = []
    monkeypatch.setattr(build.log, "warning", said.append)
    packed = open_photos(write_shards(sample, out=tmp_path / "shards", side=32).folder)
    flags: dict = {"per_class": PER_CLASS, "folds": FOLDS, "out": tmp_path}
    with pytest.raises(InputError, match="lies in shards of 32 pixels, and this set wants 48"):
        prepare(packed, "ihpad3000", side=48, **flags)
    assert prepare(packed, "ihpad3000", side=32, **flags).facts["images"] == 6 * PER_CLASS
    assert not said
    mask = tmp_path / "mask.png"
    Image.new("L", (44, 40), 255).save(mask)
    masked = replace(sample, photos=(replace(sample.photos[0], mask=mask), *sample.photos[1:]))
    prepare(masked, "ihpad3000", side=32, **flags)
    assert said == ["1 masks of PAD-UFES-20 do not come along: a balanced set teaches classes alone"]
