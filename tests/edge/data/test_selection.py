"""What a model may be judged on: nothing of a patient that it saw, and the same photographs every time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.checkpoint import Checkpoint, Preprocess
from edge.data import selection
from edge.data.readers import open_photos, sets_in
from edge.data.selection import calibration_set, find_sets, judging_set, synthetic_sample, unseen
from edge.data.table import Photo, PhotoSet
from edge.errors import InputError
from edge.labels import PAD_UFES_20
from edge.metrics.observations import UNKNOWN
from edge.questions.observe import observations_of

PAD_HEADER = "patient_id,lesion_id,diagnostic,img_id"


def checkpoint(**roles: dict) -> Checkpoint:
    return Checkpoint("hierattn_xs", PAD_UFES_20, Preprocess("v"), {}, **roles)


def listed(*, patients: str = "", images: tuple[str, ...] = (), domain: str = "pad_ufes_20") -> dict:
    return {domain: {"patients": list(patients), "images": list(images)}}


def pad(folder: Path, patients: str = "aabbccdd", prefix: str = "p") -> Path:
    """PAD's layout; photograph i is of the i-th patient of the string."""
    rows = [f"{patient},1,NEV,{prefix}{i}.png" for i, patient in enumerate(patients)]
    folder.mkdir(parents=True)
    (folder / "metadata.csv").write_text("\n".join([PAD_HEADER, *rows]) + "\n")
    for i in range(len(patients)):
        (folder / f"{prefix}{i}.png").write_text(f"{prefix}{i}")
    return folder


def isic(folder: Path, count: int = 8) -> Path:
    folder.mkdir(parents=True)
    rows = [f"ISIC_{i},melanoma,{i}" for i in range(count)]
    (folder / "metadata.csv").write_text("\n".join(["isic_id,diagnosis,patient_id", *rows]) + "\n")
    for i in range(count):
        (folder / f"ISIC_{i}.jpg").write_text(f"ISIC_{i}")
    return folder


@pytest.fixture(autouse=True)
def no_photographs_here(monkeypatch):
    monkeypatch.delenv("DERMEDGE_PHOTOS", raising=False)


@pytest.fixture
def photos(tmp_path) -> PhotoSet:
    return open_photos(pad(tmp_path / "pad"))


@pytest.fixture
def tiny_sample(monkeypatch):
    """The embedded sample, but only two patients of it; the folders that were drawn."""
    from edge.data import synthetic

    drawn, draw = [], synthetic.write_sample

    def small(folder: Path, **options: object) -> Path:
        drawn.append(folder)
        return draw(folder, **{**options, "patients": 6})

    monkeypatch.setattr(synthetic, "write_sample", small)
    return drawn


# unseen


@pytest.mark.parametrize("role", ["trained", "held_back"])
def test_patients_that_the_model_saw_are_left_out(photos, role):
    left = unseen(photos, checkpoint(**{role: listed(patients="bd")}))
    assert Counter(left.patients) == {"a": 2, "c": 2}


def test_both_roles_count(photos):
    left = unseen(photos, checkpoint(trained=listed(patients="a"), held_back=listed(patients="b")))
    assert set(left.patients) == {"c", "d"}


@pytest.mark.parametrize("role", ["trained", "held_back"])
def test_images_that_the_model_saw_are_left_out_by_stem(photos, role):
    """A re-encoded copy, p1.png as p1.jpg, is the same photograph, whatever patient its table names."""
    left = unseen(photos, checkpoint(**{role: listed(images=("p1.jpg", "p2"))}))
    assert [p.image_id for p in left.photos] == ["p0.png", "p3.png", "p4.png", "p5.png", "p6.png", "p7.png"]


def test_other_dots_are_no_suffix(photos):
    photo = photos.photos[0]
    dotted = replace(photos, photos=(replace(photo, image_id="a.1"), replace(photo, image_id="a.2")))
    left = unseen(dotted, checkpoint(trained=listed(images=("a.1",))))
    assert [p.image_id for p in left.photos] == ["a.2"]


def test_patients_of_another_set_are_other_people(photos):
    assert unseen(photos, checkpoint(trained=listed(patients="abcd", domain="isic"))) == photos


def test_the_unseen_fold_is_not_needed_to_judge(photos):
    """Photographs that are in no list are new ones, and welcome."""
    left = unseen(photos, checkpoint(trained=listed(patients="a"), unseen=listed(patients="b")))
    assert set(left.patients) == {"b", "c", "d"}


def test_nothing_left_is_an_error(photos):
    with pytest.raises(InputError, match=r"all 8 photographs of PAD-UFES-20.*would prove nothing.*`photos`"):
        unseen(photos, checkpoint(trained=listed(patients="abc"), held_back=listed(patients="d")))


# find_sets


def test_folder_that_is_a_set_or_holds_sets(tmp_path):
    pad(tmp_path / "both" / "pad_ufes_20")
    isic(tmp_path / "both" / "isic")
    assert [s.name for s in find_sets(tmp_path / "both")] == ["PAD-UFES-20", "ISIC dermoscopy"]
    assert [s.name for s in find_sets(tmp_path / "both" / "isic")] == ["ISIC dermoscopy"]


def test_a_folder_of_two_sets_is_one_thing_everywhere(tmp_path):
    """Commands that take several sets take both, and one that needs one names both."""
    pad(tmp_path / "both" / "pad_ufes_20")
    isic(tmp_path / "both" / "archive" / "download")
    assert sets_in(tmp_path / "both") == [tmp_path / "both/pad_ufes_20", tmp_path / "both/archive/download"]
    assert [s.name for s in find_sets(tmp_path / "both")] == ["PAD-UFES-20", "ISIC dermoscopy"]
    with pytest.raises(InputError, match="holds 2 sets of photographs: pad_ufes_20, download; give one of them"):
        open_photos(tmp_path / "both")
    (tmp_path / "both" / "more").mkdir()
    (tmp_path / "both" / "more" / "x.jpg").write_text("x")
    with pytest.raises(InputError, match=r"beside it, with photographs, the folder\(s\) more"):
        find_sets(tmp_path / "both")


def test_one_set_in_a_folder_in_a_folder(tmp_path):
    """What an archive unpacks to."""
    pad(tmp_path / "zr7vgbcyr2-1" / "PAD-UFES-20")
    assert open_photos(tmp_path).name == find_sets(tmp_path)[0].name == "PAD-UFES-20"


def test_the_same_set_twice_in_a_folder(tmp_path):
    pad(tmp_path / "a")
    pad(tmp_path / "b")
    with pytest.raises(InputError, match="holds the set PAD-UFES-20 more than once"):
        find_sets(tmp_path)


def test_environment_names_the_folder_and_data_goes_first(tmp_path, monkeypatch):
    monkeypatch.setenv("DERMEDGE_PHOTOS", str(isic(tmp_path / "isic")))
    assert [s.name for s in find_sets(None)] == ["ISIC dermoscopy"]
    assert [s.name for s in find_sets(pad(tmp_path / "pad"))] == ["PAD-UFES-20"]


def test_environment_that_names_no_folder(tmp_path, monkeypatch):
    """No silent way back to drawn images: figures would be taken for real ones."""
    monkeypatch.setenv("DERMEDGE_PHOTOS", str(tmp_path / "no"))
    with pytest.raises(InputError, match="no data folder"):
        find_sets(None)


def test_falls_back_to_the_synthetic_sample(tiny_sample, cache):
    (found,) = find_sets(None)
    assert found.synthetic and found.name == "synthetic sample" and len(found) > 0
    assert tiny_sample[0].parent == cache
    find_sets(None)
    assert len(tiny_sample) == 1  # drawn once
    assert synthetic_sample() == tiny_sample[0]
    judged = judging_set(checkpoint(), None, limit=3)
    assert judged.synthetic and len(judged) == 3


# judging_set


def test_limit_is_deterministic_whatever_the_order_of_files(tmp_path):
    first = judging_set(checkpoint(), pad(tmp_path / "a", "abcdefghij"), limit=4)
    table = (pad(tmp_path / "b", "abcdefghij") / "metadata.csv").read_text().splitlines()
    (tmp_path / "b" / "metadata.csv").write_text("\n".join([table[0], *table[:0:-1]]) + "\n")
    again = judging_set(checkpoint(), tmp_path / "b", limit=4)
    assert [p.image_id for p in first.photos] == [p.image_id for p in again.photos]
    assert len(first) == 4
    assert [p.image_id for p in first.photos] != ["p0.png", "p1.png", "p2.png", "p3.png"]  # not simply the first ones


def test_limit_larger_than_the_set(tmp_path):
    assert len(judging_set(checkpoint(), pad(tmp_path / "a"), limit=99)) == 8


def test_limit_is_shared_between_sets(tmp_path):
    pad(tmp_path / "pad_ufes_20", "abcdefghij")
    isic(tmp_path / "isic")
    judged = judging_set(checkpoint(trained=listed(patients="a")), tmp_path, limit=8)
    assert Counter(p.domain for p in judged.photos) == {"pad_ufes_20": 6, "isic": 2}
    assert judged.name == "PAD-UFES-20 + ISIC dermoscopy"
    assert "a" not in judged.patients
    assert len(judging_set(checkpoint(), tmp_path)) == 18


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_small_limits_leave_something(tmp_path, limit):
    pad(tmp_path / "pad_ufes_20")
    isic(tmp_path / "isic")
    assert 1 <= len(judging_set(checkpoint(), tmp_path, limit=limit)) <= limit


def test_photographs_of_other_classes_judge_without_a_label(tmp_path):
    """A model of other classes still has to answer the same on the phone; what is right or wrong is unknown."""
    labels = tuple(replace(label, code=f"x{label.code}") for label in PAD_UFES_20)
    judged = judging_set(replace(checkpoint(), labels=labels), pad(tmp_path / "a"))
    assert judged.classes == labels and len(judged) == 8
    seen = observations_of(judged, np.full((8, 6), 1 / 6))
    assert set(seen.labels.tolist()) == {UNKNOWN}


# calibration_set


def test_calibration_takes_trained_images_only(tmp_path):
    images = tuple(f"p{i}.png" for i in (1, 3, 5, 6))
    data = pad(tmp_path / "a")
    chosen = calibration_set(checkpoint(trained=listed(images=images)), data, limit=3)
    assert len(chosen) == 3 and {p.image_id for p in chosen.photos} <= set(images)
    assert chosen == calibration_set(checkpoint(trained=listed(images=images)), data, limit=3)
    assert not chosen.synthetic


def test_calibration_falls_back_to_the_synthetic_sample(tmp_path, tiny_sample):
    """Never to photographs that will judge the file."""
    chosen = calibration_set(checkpoint(trained=listed(images=("other.png",))), pad(tmp_path / "a"), limit=2)
    assert chosen.synthetic and len(chosen) == 2


def test_calibration_and_judging_share_nothing(tmp_path):
    model = checkpoint(trained=listed(patients="ab", images=("p0.png", "p1.png", "p2.png", "p3.png")))
    data = pad(tmp_path / "a")
    calibrated, judged = calibration_set(model, data, limit=64), judging_set(model, data, limit=64)
    assert len(calibrated) == len(judged) == 4
    assert not set(calibrated.patients) & set(judged.patients)


def test_order_is_a_hash_of_the_id():
    first, second = (Photo(Path(p), "x.png", "NEV", p, p) for p in "ab")
    assert selection.order(first) == selection.order(second)
