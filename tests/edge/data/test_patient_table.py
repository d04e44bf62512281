"""patients.csv as people write it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.data.readers import open_photos
from edge.errors import InputError


def set_with(folder: Path, table: str, name: str = "patients.csv") -> Path:
    for file in ("mel/a.jpg", "mel/b.jpg", "nev/c.jpg"):
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(file)
    (folder / name).write_text(table)
    return folder


@pytest.mark.parametrize(
    "table",
    [
        "file,patient\nmel/a.jpg,P1\nmel/b.jpg,P1\nnev/c.jpg,P2\n",
        "File;Patient\r\nmel\\a.jpg;P1\r\n.\\MEL\\B.JPG;P1 \r\nnev\\c.jpg;P2\r\n",
        "image,patient_id\na,P1\nb.jpg,P1\nc.png,P2\n",
        "path,patient\n/data/set/mel/a.jpg,P1\n/data/set/mel/b.jpg,P1\n/data/set/nev/c.jpg,P2\n",
    ],
    ids=["as documented", "Windows", "names alone", "from another machine"],
)
@pytest.mark.parametrize("name", ["patients.csv", "Patients.CSV", "patients.txt", "patients"])
def test_files_are_found(tmp_path: Path, table: str, name: str) -> None:
    assert open_photos(set_with(tmp_path, table, name)).patients == ["P1", "P1", "P2"]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("file,patient\na,P1\nmel/b.jpg,\nnev/c.jpg,P2\n", "has no patient for mel/b.jpg"),
        ("file,patient\na,P1\nmel/b.jpg,unknown\nnev/c.jpg,P2\n", "has no patient for mel/b.jpg"),
        ("file,patient\na,P1\nb,P1\nc,P2\nmel/a.jpg,P2\n", "gives mel/a.jpg to P1 and to P2"),
        (
            "file,patient\nx.jpg,P1\ny.jpg,P2\n",
            "for mel/a.jpg and 2 others; 2 of its rows name no photograph",
        ),
        ("file,patient,patient_id\na,P1,7\nb,P1,7\nc,P2,8\n", "the columns patient and patient_id, which differ"),
        ("file,patient\na,1.2E+11\nb,1.2E+11\nc,1.2E+11\n", "a long number that a spreadsheet shortened"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, table: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        open_photos(set_with(tmp_path, table))


def test_a_name_in_two_folders_is_ambiguous(tmp_path: Path) -> None:
    set_with(tmp_path, "file,patient\na.jpg,P1\nmel/b.jpg,P1\nnev/c.jpg,P2\nnev/a.jpg,P3\n")
    (tmp_path / "nev" / "a.jpg").write_text("another")
    with pytest.raises(InputError, match=r"a.jpg may be mel/a.jpg or nev/a.jpg; give the path"):
        open_photos(tmp_path)


def test_rows_of_no_photograph_are_named(tmp_path: Path) -> None:
    photos = open_photos(set_with(tmp_path, "file,patient\na,P1\nb,P1\nc,P2\nnev/gone.jpg,P3\n"))
    assert any("lists 1 files that are not here, first nev/gone.jpg" in note for note in photos.notes)


def test_two_tables_of_patients(tmp_path: Path) -> None:
    set_with(tmp_path, "file,patient\na,P1\nb,P1\nc,P2\n")
    (tmp_path / "patients.tsv").write_text("file\tpatient\na\tP1\n")
    with pytest.raises(InputError, match="are both tables of patients"):
        open_photos(tmp_path)


@pytest.mark.parametrize("name", ["patients.csv", "Patients.txt"])
@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_what_is_no_file_does_not_pass_for_no_table(tmp_path: Path, kind: str, name: str) -> None:
    set_with(tmp_path, "", "notes.md")
    table = tmp_path / name
    if kind == "link":
        table.symlink_to("gone.csv")
    else:
        table.mkdir() if kind == "folder" else os.mkfifo(table)
    with pytest.raises(InputError, match=rf"{name} is (a link that leads nowhere|no regular file)"):
        open_photos(tmp_path)


def test_a_table_of_patients_in_a_class_folder_is_named(tmp_path: Path) -> None:
    set_with(tmp_path, "file,patient\na.jpg,P1\nb.jpg,P1\n", "mel/patients.csv")
    with pytest.raises(InputError, match=r"mel/patients.csv is not read there; give one patients.csv"):
        open_photos(tmp_path)


def test_what_excel_has_open_is_left_alone(tmp_path: Path) -> None:
    set_with(tmp_path, "file,patient\na,P1\nb,P1\nc,P2\n")
    (tmp_path / "~$patients.xlsx").write_text("lock")
    assert open_photos(tmp_path).patients == ["P1", "P1", "P2"]


@pytest.mark.parametrize(
    ("ids", "named"),
    [
        (("P1", "Ｐ1"), True),  # full width
        (("P1", "Р1"), True),  # Cyrillic
        (("A7", "Α7"), True),  # Greek
        (("P1", "P١"), True),  # an Arabic digit
        (("P1", "P 1"), True),
        (("P1", "'P1"), True),
        (("1_1", "11"), False),
        (("P1", "P2"), False),
    ],
)
def test_ids_that_look_alike_are_named(tmp_path: Path, ids: tuple[str, str], named: bool) -> None:
    photos = open_photos(set_with(tmp_path, f"file,patient\na,{ids[0]}\nb,{ids[1]}\nc,Q\n"))
    assert len(set(photos.patients)) == 3
    assert any("count as different" in note for note in photos.notes) == named


def test_an_excel_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"patients.xlsx beside them that nobody here reads \(save it as CSV UTF-8\)"):
        open_photos(set_with(tmp_path, "PK", "patients.xlsx"))
