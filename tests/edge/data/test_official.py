"""Altered copies of official tables are named, and the official ones are not."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from edge.data.isic import READERS, kind_of
from edge.data.official import altered
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
