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
        TABLE.replace("ISIC_1", "I\u3164SI\ufe0fC\x7f_\x071").encode(),
        ("\r\n,,\r\n" + TABLE).encode(),
        TABLE.replace("ISIC_1", '="ISIC_1"').encode(),
        TABLE.replace(",", ";").replace("dx\n", "dx;remarks, free, in words, or none\n").replace("nv\n", "nv;a\n")
        .replace("mel\n", "mel;b\n").encode(),
    ],
    ids=[
        "plain", "byte order mark", "Windows", "old Mac", "semicolons", "tabs in UTF-16", "sep=", "capitals",
        "empty columns", "empty rows", "spaces", "characters not drawn", "rows above the header", "ids as formulas",
        "commas in a column's name",
    ],
)  # fmt: skip
def test_one_table_in_many_forms(tmp_path: Path, content: bytes) -> None:
    table = tmp_path / "t.csv"
    table.write_bytes(content)
    assert [{name: row[name] for name in ROWS[0]} for row in read_table(table)] == ROWS
    assert set(header(table)) - {"", "remarks,_free,_in_words,_or_none"} == set(ROWS[0])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04rest", "an Excel or zip file; save it as CSV UTF-8"),
        ("file,patient\na,Zoé\n".encode("latin-1"), "not a CSV table in UTF-8"),
        (b"a,b,a\n1,2,3\n", "the column a more than once"),
        (b"a,b\n1\n", "row 2 has more or fewer fields than the header, 1 and 2"),
        (b"a,b\n1,2,3\n", "row 2 has more or fewer fields"),
        (b"a,b\n,\n", "has no rows"),
        (b",,\n\n", "has no rows"),
        ("file,patient\na,P1\n".encode("utf-16-be"), "holds bytes of zero; save it as CSV UTF-8"),
        (b"file,patient\na,P\x001\n", "holds bytes of zero"),
    ],
)
def test_what_is_no_table(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_table(tmp_path / "t.csv")


def test_ids_are_compared_by_what_is_seen() -> None:
    assert plain(" P\u00a0 1\u200b ") == "P 1"
    assert [known(text, Path("t.csv")) for text in ("NaN", "unknown", "", "-", None, "P1")] == [
        "",
        "",
        "",
        "",
        "",
        "P1",
    ]


@pytest.mark.parametrize("text", ["#N/A", "#REF!", "Missing", "not available", "anonymous", "—", "n.a."])
def test_what_stands_where_an_id_is_not_known(text: str) -> None:
    assert known(text, Path("t.csv")) == ""


@pytest.mark.parametrize("text", ["2.01801E+11", "2,01801e+11", "2E+05"])
def test_ids_of_which_digits_were_lost(text: str) -> None:
    """Excel shows 201801234567 so, and saves what it shows: two patients then look the same."""
    with pytest.raises(InputError, match=r"t.csv has the id .* as text"):
        known(text, Path("t.csv"))


def test_an_id_with_an_e_is_one() -> None:
    assert [known(text, Path("t.csv")) for text in ("E+11", "2E11", "12e", "1.5")] == ["E+11", "2E11", "12e", "1.5"]
