"""Tables as Excel, pandas and the Dataverse write them, and those that cannot be one."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.data.csv_table import header, known, plain, read_table
from edge.errors import InputError

TABLE = "image_id,lesion_id,dx\nISIC_1,HAM_1,nv\nISIC_2,HAM_2,mel\n"
ROWS = [
    {"image_id": "ISIC_1", "lesion_id": "HAM_1", "dx": "nv"},
    {"image_id": "ISIC_2", "lesion_id": "HAM_2", "dx": "mel"},
]


@pytest.mark.parametrize(
    "content",
    [
        TABLE.encode(),
        TABLE.encode("utf-8-sig"),
        TABLE.replace("\n", "\r\n").encode(),
        TABLE.replace("\n", "\r").encode(),
        TABLE.replace(",", ";").encode(),
        TABLE.replace(",", "\t").encode("utf-16"),
        ("sep=;\r\n" + TABLE.replace(",", ";")).encode(),
        TABLE.replace("image_id,lesion_id,dx", "Image ID,Lesion-ID,DX").encode(),
        TABLE.replace("\n", ",,\n").encode(),
        (TABLE + ",,\n\n").encode(),
        TABLE.replace("ISIC_1", '" ISIC_1\u200b "').encode(),
    ],
    ids=[
        "plain", "byte order mark", "Windows", "old Mac", "semicolons", "tabs in UTF-16", "sep=", "capitals",
        "empty columns", "empty rows", "spaces",
    ],
)  # fmt: skip
def test_one_table_in_many_forms(tmp_path: Path, content: bytes) -> None:
    table = tmp_path / "t.csv"
    table.write_bytes(content)
    assert [{name: row[name] for name in ROWS[0]} for row in read_table(table)] == ROWS
    assert set(header(table)) - {""} == set(ROWS[0])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04rest", "an Excel or zip file; save it as CSV UTF-8"),
        ("file,patient\na,Zoé\n".encode("latin-1"), "not a CSV table in UTF-8"),
        (b"a,b,a\n1,2,3\n", "the column a more than once"),
        (b"a,b\n1\n", "row 2 has more or fewer fields than the header, 1 and 2"),
        (b"a,b\n1,2,3\n", "row 2 has more or fewer fields"),
        (b"a,b\n,\n", "has no rows"),
    ],
)
def test_what_is_no_table(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_table(tmp_path / "t.csv")


def test_ids_are_compared_by_what_is_seen() -> None:
    assert plain(" P\u00a0 1\u200b ") == "P 1"
    assert [known(text) for text in ("NaN", "unknown", "", "-", None, "P1")] == ["", "", "", "", "", "P1"]
