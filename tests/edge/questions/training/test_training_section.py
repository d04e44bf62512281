"""The page of a training run: its figures are those of the logits, and what it shows first is what costs most."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from edge.data.table import Photo, PhotoSet
from edge.labels import PAD_UFES_20
from edge.questions.training.groups import by_person, by_set
from edge.questions.training.measure import Judged, training_report
from tests.edge._manifests import SHA
from tests.edge.report._reports import HOSTILE
from train._summary import summarise

ROWS = (  # class, answer, age, region
    ("MEL", "NEV", 30.0, "face"), ("MEL", "MEL", 50.0, "back"), ("NEV", "MEL", 50.0, "back"),
    ("NEV", "NEV", 70.0, "foot"), ("BCC", "SCC", 70.0, "foot"), ("SEK", "SEK", 90.0, "hand"),
    ("ACK", "ACK", 30.0, "lip"), ("SCC", "SCC", 30.0, "lip"),
)  # fmt: skip
SURE = (0.55, 0.9, 0.99, 0.6, 0.7, 0.8, 0.9, 0.9)


@pytest.fixture
def judged() -> Judged:
    codes = [label.code for label in PAD_UFES_20]
    probabilities = np.full((len(ROWS), len(codes)), 0.0)
    for row, (_, answer, *_), sure in zip(probabilities, ROWS, SURE, strict=True):
        row[:] = (1 - sure) / (len(codes) - 1)
        row[codes.index(answer)] = sure
    photos = tuple(
        Photo(Path(f"{n}.png"), f"{n}.png", label, f"P{n // 2}", "clinic" if n < 4 else "isic",
              answers={"age": age, "region": region})
        for n, (label, _, age, region) in enumerate(ROWS)
    )  # fmt: skip
    return Judged(PhotoSet("set", PAD_UFES_20, photos), np.log(probabilities))


def report_of(judged: Judged, **changes: object) -> dict:
    figures = summarise(np.array(judged.targets), judged.patients, judged.logits, judged.photos.classes)
    options = {
        "model": "net", "checkpoint_sha256": SHA, "unseen_sha256": "b" * 64, "figures": figures, "history": [],
        "recipe": {}, "sets": [], "leaks": {"compared": True, "near_copies": 0, "learned": 0},
    } | changes  # fmt: skip
    squares = np.arange(len(judged.photos), dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    return training_report(judged, squares, **options)  # type: ignore[arg-type]


def test_a_missed_melanoma_comes_before_a_surer_false_alarm(judged: Judged) -> None:
    wrong = report_of(judged).report["wrong"]
    assert [row["image"] for row in wrong] == ["0.png", "2.png", "4.png"]  # then by how sure the wrong answer was
    assert [row["missed"] for row in wrong] == [True, False, False]
    assert wrong[0]["confidence"] == pytest.approx(0.55) and wrong[0]["of_label"] == pytest.approx(0.45 / 5)


def test_counts_are_those_of_scikit_learn(judged: Judged) -> None:
    counts = report_of(judged).report["confusion"]
    assert counts == confusion_matrix(judged.targets, judged.answers, labels=range(6)).tolist()


def test_groups_are_by_person_and_by_set(judged: Judged) -> None:
    ages = {group.name: group.photographs for group in by_person(judged)["age"]}
    assert ages == {"under 40": 3, "40 to 59": 2, "60 to 79": 2, "80 and over": 1}
    assert by_person(judged)["sex"] == []  # nobody said
    assert {group.name: group.sensitivity.value for group in by_set(judged)} == {"clinic": 0.5, "isic": 1.0}
    alone = Judged(judged.photos.where(lambda photo: photo.domain == "isic"), judged.logits[4:])
    assert by_set(alone) == []


def test_coarse_sites_of_isic_are_places_on_the_body(judged: Judged) -> None:
    sites = (
        "head/neck",
        "anterior torso",
        "upper extremity",
        "lower extremity",
        "palms/soles",
        "oral/genital",
        "",
        "?",
    )
    photos = tuple(
        replace(photo, answers={}, site=site) for photo, site in zip(judged.photos.photos, sites, strict=True)
    )
    groups = by_person(Judged(replace(judged.photos, photos=photos), judged.logits))["place on the body"]
    assert {group.name: group.photographs for group in groups} == {
        "head and neck": 1, "trunk": 1, "arms and hands": 1, "legs and feet": 1, "palms or soles": 1,
        "mouth or genitals": 1, "not stated": 2,
    }  # fmt: skip


def test_the_page_says_which_run_it_is_of_and_what_leaked(judged: Judged, tmp_path: Path) -> None:
    leaks = {"compared": True, "near_copies": 3, "learned": 2}
    page = report_of(judged, leaks=leaks).write(tmp_path).read_text()
    assert SHA in page and "b" * 64 in page and "<h1>net</h1>" in page
    assert "of 2 unseen photographs the same picture is learned, and the figures flatter by that" in page
    assert page.count('src="data:image/jpeg') == 3
    unknown = {"compared": False, "near_copies": 0, "learned": 0}
    assert "Near-copies were not looked for" in report_of(judged, leaks=unknown).write(tmp_path).read_text()


def test_names_from_outside_are_escaped(judged: Judged, tmp_path: Path) -> None:
    photos = tuple(replace(photo, image_id=f"{HOSTILE}{n}", domain=HOSTILE * (n % 2) + "a")
                   for n, photo in enumerate(judged.photos.photos))  # fmt: skip
    hostile = replace(judged, photos=replace(judged.photos, name=HOSTILE, photos=photos))
    assert "<script>" not in report_of(hostile, model=HOSTILE).write(tmp_path).read_text()


def test_how_well_the_lesion_is_found_is_on_the_page(judged: Judged, tmp_path: Path) -> None:
    """Only of a network that learned masks; names of sets are escaped."""
    own = {
        "images": 15, "patients": 3, "dice_mean": 0.2249, "dice_mean_low": 0.139, "dice_mean_high": 0.3472,
        "dice_median": 0.1731, "iou_mean": 0.1318, "boundary_px_median": 31.24,
    }  # fmt: skip
    masks = {"by_set": {"ISIC 2017": own, HOSTILE: own}, "sha256": "c" * 64}
    page = report_of(judged, masks=masks).write(tmp_path / "with").read_text()
    for text in ("Does it find the lesion?", "0.225 [0.139, 0.347]", "0.173", "0.132", "31.2 px", "c" * 64):
        assert text in page
    assert "<script>" not in page
    plain = report_of(judged).write(tmp_path / "without").read_text()
    assert "Does it find the lesion?" not in plain and "unseen_masks.csv" not in plain
