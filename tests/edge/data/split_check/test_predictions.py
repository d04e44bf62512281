"""Whose figure is told, of which images, and in how many ways a list may be written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.data.split_check.check import check_split
from edge.data.split_check.predictions import Predictions, read_predictions
from edge.errors import InputError
from edge.metrics.bootstrap import part_against_whole

PATIENTS = 40


def leaky(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Half of the test images are of patients in training, and those are all answered rightly; of the others half."""
    table, split, said = (["image,patient_id"], ["image,split"], ["image,label,predicted"])
    for number in range(PATIENTS):
        label = "ab"[number % 2]
        table += [f"test{number},P{number}", f"train{number},{'P' if number < PATIENTS // 2 else 'Q'}{number}"]
        split += [f"test{number},test", f"train{number},train"]
        right = number < PATIENTS // 2 or number % 4 < 2
        said.append(f"test{number},{label},{label if right else 'ba'[number % 2]}")
    paths = [tmp_path / name for name in ("table.csv", "split.csv", "said.csv")]
    for path, lines in zip(paths, (table, split, said), strict=True):
        path.write_text("\n".join(lines) + "\n")
    return paths[0], paths[1], paths[2]


def test_the_figure_of_clean_images_is_another(tmp_path: Path) -> None:
    table, split, said = leaky(tmp_path)
    checked = check_split([table], [split], predictions=said)
    figures = checked.figures
    assert figures is not None
    assert {name: figures[name]["images"] for name in ("all", "clean", "leaked")} == {
        "all": 40,
        "clean": 20,
        "leaked": 20,
    }
    assert figures["all"]["balanced_accuracy"]["value"] == pytest.approx(0.75)
    assert figures["clean"]["balanced_accuracy"]["value"] == pytest.approx(0.5)
    assert figures["leaked"]["balanced_accuracy"]["value"] == 1
    difference = figures["clean_minus_all"]
    assert difference["value"] == pytest.approx(-0.25)
    assert -0.45 < difference["low"] < -0.25 < difference["high"] < -0.1


def test_part_and_whole_are_resampled_together() -> None:
    """Where the part is the whole there is no difference in any draw; a plain bootstrap by hand is the oracle."""
    rng = np.random.default_rng(0)
    labels, right = rng.integers(0, 3, 90), rng.random(90) < 0.6
    groups = [f"g{number // 2}" for number in range(90)]
    same = part_against_whole(labels, right, groups, np.ones(90, bool))
    assert (same.value, same.low, same.high) == (0, 0, 0)
    part = np.arange(90) < 40
    names = np.array(groups)

    def balanced(chosen: np.ndarray) -> float:
        return float(np.mean([right[chosen][labels[chosen] == k].mean() for k in np.unique(labels[chosen])]))

    drawn = []
    for _ in range(800):
        rows = np.concatenate([np.flatnonzero(names == f"g{g}") for g in rng.integers(0, 45, 45)])
        drawn.append(balanced(rows[part[rows]]) - balanced(rows))
    estimate = part_against_whole(labels, right, groups, part)
    everybody = np.arange(90)
    assert estimate.value == pytest.approx(balanced(everybody[part]) - balanced(everybody))
    np.testing.assert_allclose([estimate.low, estimate.high], np.quantile(drawn, [0.025, 0.975]), atol=0.03)


def test_a_class_that_the_part_lacks_is_no_difference() -> None:
    labels, right = np.array([0, 0, 1, 1, 2, 2]), np.array([1, 1, 1, 1, 0, 0], bool)
    assert part_against_whole(labels, right, list("abcdef"), labels < 2).value == 0


def predictions(tmp_path: Path, text: str, tables: list[Path] | None = None, **columns: str) -> Predictions:
    path = tmp_path / "said.csv"
    path.write_text(text)
    return read_predictions(path, tables or [], str.casefold, **columns)


@pytest.mark.parametrize(
    "text",
    [
        "image,label,predicted\nx,NEV,NEV\ny,MEL,NEV\n",
        "photo,label,class\nx,nev,NEV\ny,mel,nev\n",  # `class` is what dermedge predict --csv says
        "image,label,logit_MEL,logit_NEV\nx,NEV,-1,2\ny,MEL,0,0.5\n",
        "image,target,p_mel,p_nev,p_bcc\nx,NEV,.1,.8,.1\ny,MEL,.2,.7,.1\n",
        "image,label,mel,nev\nx,NEV,.1,.9\ny,MEL,.2,.8\n",
    ],
)
def test_forms_of_predictions(text: str, tmp_path: Path) -> None:
    said = predictions(tmp_path, text)
    assert [said.classes[place] for place in said.labels] == ["nev", "mel"]
    assert [said.classes[place] for place in said.answers] == ["nev", "nev"]


def test_a_score_of_two_classes(tmp_path: Path) -> None:
    said = predictions(tmp_path, "image,target,score\nx,1,.9\ny,0.0,.2\nz,1.0,.4\n")
    assert said.scores is not None
    assert [said.classes[place] for place in said.answers] == ["1", "0", "0"]
    assert said.classes[said.positive] == "1"


def test_right_classes_from_the_official_table(tmp_path: Path) -> None:
    table = tmp_path / "metadata.csv"
    table.write_text("patient_id,lesion_id,diagnostic,img_id\nPAT_1,1,NEV,x\nPAT_2,1,MEL,y\n")
    said = predictions(tmp_path, "image,guess\nx,NEV\ny,NEV\n", [table], answer="guess")
    assert [said.classes[place] for place in said.labels] == ["nev", "mel"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,label,predicted\nx,a,a\nX,b,b\n", "more than once"),
        ("image,predicted\nx,a\ny,b\n", "the right class of x is not known"),
        ("image,label\nx,a\ny,b\n", "no column of the class that was said"),
        ("image,label,predicted\nx,a,1\ny,b,0\n", "no class that was said .* write both alike"),
        ("image,label,p_a,p_b\nx,a,.1,nan\ny,b,.1,.2\n", "NaN or infinity"),
        ("image,label,score\nx,0,7\ny,1,.2\n", "a score is 0 to 1"),
    ],
)
def test_what_cannot_be_judged_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        predictions(tmp_path, text)
