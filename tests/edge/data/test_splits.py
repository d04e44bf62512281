"""Splits: no patient on both sides, every class on every side, the same folds every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.data.splits import check_disjoint, cut, patient_folds
from edge.data.table import Photo, PhotoSet
from edge.errors import InputError
from edge.labels import PAD_UFES_20

FOLDS = 5


@pytest.fixture
def people(rng) -> tuple[np.ndarray, list[str]]:
    """300 photographs of 120 patients, as unequal as real ones: classes 0.5, 0.3, 0.2; one to six each."""
    patients = rng.integers(0, 120, 300)
    usual = rng.choice(3, 120, p=[0.5, 0.3, 0.2])
    targets = np.where(rng.random(300) < 0.8, usual[patients], rng.choice(3, 300))
    return targets, [f"PAT_{p}" for p in patients]


def photo_set(patients: list[str], labels: list[str] | None = None, name: str = "set") -> PhotoSet:
    labels = labels or ["NEV"] * len(patients)
    photos = tuple(
        Photo(Path(f"{i}.jpg"), f"{i}.jpg", c, p, "d") for i, (p, c) in enumerate(zip(patients, labels, strict=True))
    )
    return PhotoSet(name, PAD_UFES_20, photos)


def folds_of_patients(patients: list[str], fold_of: np.ndarray) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for patient, fold in zip(patients, fold_of, strict=True):
        found.setdefault(patient, set()).add(int(fold))
    return found


def test_a_patient_is_in_one_fold(people):
    targets, patients = people
    fold_of = patient_folds(targets, patients, folds=FOLDS, seed=0)
    assert all(len(folds) == 1 for folds in folds_of_patients(patients, fold_of).values())
    assert set(fold_of) == set(range(FOLDS))  # every photograph in one, no fold empty, none left at -1
    assert max(len(set(patients[i] for i in np.flatnonzero(targets == c))) for c in range(3)) > FOLDS


def test_folds_are_stratified(people):
    targets, patients = people
    fold_of = patient_folds(targets, patients, folds=FOLDS, seed=0)
    whole = np.bincount(targets) / len(targets)
    for fold in range(FOLDS):
        inside = targets[fold_of == fold]
        assert 0.15 < len(inside) / len(targets) < 0.25
        assert np.abs(np.bincount(inside, minlength=3) / len(inside) - whole).max() < 0.08


def test_folds_are_the_same_every_time(people):
    first, again, other = (patient_folds(*people, folds=FOLDS, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize(("patients", "folds"), [("aabb", 3), ("aaaa", 2), ("abcd", 1), ("abcd", 0)])
def test_too_few_patients(patients, folds):
    with pytest.raises(InputError, match=f"{len(set(patients))} patients into {folds} folds"):
        patient_folds([0, 1, 0, 1], list(patients), folds=folds, seed=0)


def test_few_photographs_of_a_class_are_no_noise(people):
    """A class with fewer patients than folds is usual (melanoma): no warning that only a programmer understands."""
    targets, patients = people
    targets[:] = np.minimum(targets, 1)
    rare = [patients.index(p) for p in dict.fromkeys(patients)][:2]
    targets[rare] = 2
    fold_of = patient_folds(targets, patients, folds=FOLDS, seed=0)
    assert all(len(folds) == 1 for folds in folds_of_patients(patients, fold_of).values())


def test_every_class_smaller_than_the_folds():
    """Ten patients, five classes of two photographs: not sklearn's ValueError, which would be a traceback."""
    with pytest.raises(InputError):
        patient_folds([0, 0, 1, 1, 2, 2, 3, 3, 4, 4], [f"p{i}" for i in range(10)], folds=5, seed=0)


def test_cut_keeps_every_photograph_once():
    photos = photo_set(list("aabbccdd"))
    chosen, rest = cut(photos, [p in "ac" for p in photos.patients])
    assert set(chosen.patients) == {"a", "c"} and set(rest.patients) == {"b", "d"}
    assert sorted(p.image_id for p in (*chosen.photos, *rest.photos)) == [p.image_id for p in photos.photos]


def test_cut_through_a_patient_is_an_error():
    photos = photo_set(list("aabb"))
    with pytest.raises(InputError, match="patient a is on both sides"):
        cut(photos, [True, False, False, False])


def test_cut_needs_a_flag_for_every_photograph():
    with pytest.raises(ValueError):
        cut(photo_set(list("aabb")), [True, False])


@pytest.mark.parametrize("third", ["ad", "cd", "de"])
def test_check_disjoint_sees_every_pair(third):
    parts = [photo_set(list(names)) for names in ("ab", "bbc" if third == "de" else "c", third)]
    with pytest.raises(InputError, match="on both sides"):
        check_disjoint(*parts)


def test_check_disjoint_lets_pass():
    check_disjoint(photo_set(list("aab")), photo_set(list("cc")), photo_set([]))
