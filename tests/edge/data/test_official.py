"""Altered copies of official tables are named, and the official ones are not."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from edge.data.isic import READERS, kind_of
from edge.data.official import altered, uncounted
from edge.data.readers import open_photos

# Table -> the set that it is of, as `edge.data.isic` reads it.
TABLES = {
    "HAM10000_metadata.csv": ("ham10000", "isic_2018"),
    "ISIC_2019_Training_GroundTruth.csv": ("one-hot", "isic_2019"),
    "ISIC_2020_Training_GroundTruth.csv": ("2020", "isic_2020"),
    "ISIC-2017_Training_Part3_GroundTruth.csv": ("2017", "isic_2017"),
    "ISIC-2017_Validation_Part3_GroundTruth.csv": ("2017", "isic_2017"),
    "ISIC-2017_Test_v2_Part3_GroundTruth.csv": ("2017", "isic_2017"),
    "ISBI2016_ISIC_Part3_Training_GroundTruth.csv": ("2016", "isic_2016"),
}


def table(name: str) -> Path:
    path = Path(os.environ.get("DERMEDGE_PHOTOS", "")) / "metadata" / name
    if "DERMEDGE_PHOTOS" not in os.environ or not path.is_file():
        pytest.skip(f"{name} is not in the folder metadata of DERMEDGE_PHOTOS")
    return path


@pytest.mark.parametrize("name", TABLES)
def test_official_tables_are_known_as_such(name: str) -> None:
    kind, domain = TABLES[name]
    assert kind_of(table(name)) == kind
    assert altered(domain, Counter(READERS[kind]([table(name)]).codes.values())) == ""


def test_a_relabelled_row_is_named(tmp_path: Path) -> None:
    text = table("PAD-UFES-20_metadata.csv").read_text()
    row = next(line for line in text.splitlines() if line.startswith("PAT_1516,"))
    assert ",NEV," in row
    (tmp_path / f"{row.rsplit(',', 2)[1]}").write_text("a picture")
    (tmp_path / "metadata.csv").write_text(text)
    assert open_photos(tmp_path, skip_missing=True).altered == ""
    (tmp_path / "metadata.csv").write_text(text.replace(row, row.replace(",NEV,", ",MEL,")))
    photos = open_photos(tmp_path, skip_missing=True)
    assert "2,298 of the 2,298 rows" in photos.altered and photos.altered in photos.notes
    assert photos.altered.endswith("class MEL 53 of 52, class NEV 243 of 244")


def test_official_tables_may_lie_together() -> None:
    training, validation = {"MEL": 374, "NEV": 1372, "SEK": 254}, {"MEL": 30, "NEV": 78, "SEK": 42}
    both = {code: training[code] + validation[code] for code in training}
    assert altered("isic_2017", both | {"BCC": 0}) == ""
    assert "2,149 of the 2,000 rows" in altered("isic_2017", both | {"SEK": 295})
    assert altered("clinic", {"MEL": 3}) == ""


def isic_2018(folder: Path, counts: dict[str, int]) -> Path:
    """A table of the challenge's form with so many rows of each class, and one of its photographs."""
    folder.mkdir()
    codes = [code for code, number in counts.items() for _ in range(number)]
    rows = [f"ISIC_{n:07},{','.join(str(float(code == own)) for code in counts)}" for n, own in enumerate(codes)]
    (folder / "ISIC2018_Task3_GroundTruth.csv").write_text("\n".join([f"image,{','.join(counts)}", *rows]) + "\n")
    (folder / "ISIC_0000000.jpg").write_bytes(b"-")
    return folder


def test_the_official_tests_of_2016_and_2018_are_known_as_such(tmp_path: Path) -> None:
    (tmp_path / "2016").mkdir()
    rows = [f"ISIC_{n:07},{float(n < 75)}" for n in range(379)]  # the test table has numbers
    (tmp_path / "2016" / "ISBI2016_ISIC_Part3_Test_GroundTruth.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "2016" / "ISIC_0000000.jpg").write_bytes(b"-")
    photos = open_photos(tmp_path / "2016", skip_missing=True)
    assert photos.domain == "isic_2016" and photos.altered == "" and photos.official
    test = {"MEL": 171, "NV": 909, "BCC": 93, "AKIEC": 43, "BKL": 217, "DF": 44, "VASC": 35}
    assert open_photos(isic_2018(tmp_path / "test", test), skip_missing=True).altered == ""
    photos = open_photos(isic_2018(tmp_path / "changed", test | {"MEL": 170, "NV": 910}), skip_missing=True)
    assert "1,512 of the 1,512 rows of the official table of test" in photos.altered
    assert photos.altered.endswith("class MEL 170 of 171, class NV 910 of 909")


def test_a_table_whose_counts_are_not_known_gets_no_verdict(tmp_path: Path) -> None:
    validation = {"MEL": 21, "NV": 123, "BCC": 15, "AKIEC": 8, "BKL": 22, "DF": 1, "VASC": 3}
    photos = open_photos(isic_2018(tmp_path / "validation", validation), skip_missing=True)
    assert photos.altered == "" and not photos.official
    assert any(note.startswith("not a table whose counts are known") for note in photos.notes)
    training = {"MEL": 1113, "NV": 6705, "BCC": 514, "AKIEC": 327, "BKL": 1099, "DF": 115, "VASC": 142}
    both = {code: training[code] + validation[code] for code in training}
    assert altered("isic_2018", both) == "" and "10,208 rows" in uncounted("isic_2018", both)
    assert altered(
        "isic_2018", both | {"DF": 114, "NV": 6830}
    )  # as many rows, but fewer of a class than the training has
    assert altered("isic_2018", validation | {"DF": 2}) and not uncounted("isic_2018", validation | {"DF": 2})
    assert altered("isic_2019", {"MEL": 6000}, 8238) == "" and altered("isic_2019", {"MEL": 6000})
