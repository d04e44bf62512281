"""Folders of photographs: what is read, and what is said when something is not as it should be."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from edge.data import csv_table
from edge.data.official import OFFICIAL
from edge.data.readers import open_photos
from edge.errors import InputError
from edge.labels import PAD_UFES_20, Label

# The header of the official table, written out: the test must not trust the code.
PAD_HEADER = """
    patient_id lesion_id smoke drink background_father background_mother age pesticide gender skin_cancer_history
    cancer_history has_piped_water has_sewage_system fitspatrick region diameter_1 diameter_2 diagnostic itch grew
    hurt changed bleed elevation img_id biopsed
""".split()  # noqa: SIM905 - a list of 26 strings would be no easier to read
PAD_ROWS = (
    ("PAT_1", "10", "BCC", "PAT_1_10_1.png"),
    ("PAT_1", "10", "BCC", "PAT_1_10_2.png"),
    ("PAT_2", "20", "MEL", "PAT_2_20_1.png"),
    ("PAT_3", "30", "NEV", "PAT_3_30_1.png"),
)
ISIC_ROWS = (
    ("ISIC_1", "melanoma", "IP_1"),
    ("ISIC_2", "nevus", "IP_1"),
    ("ISIC_3", "seborrheic keratosis", ""),
    ("ISIC_4", "vascular lesion", "IP_2"),
    ("ISIC_5", "", "IP_2"),
)


def write_csv(path: Path, header: list[str], rows: list[dict[str, str]], *, encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, header, restval="")
        writer.writeheader()
        writer.writerows(rows)


def pad(folder: Path, rows=PAD_ROWS, *, suffix: str | None = None, missing: int = 0, encoding: str = "utf-8") -> Path:
    """The official layout: a table, and the images in imgs_part_1 to 3, in folders that may be nested."""
    columns = ("patient_id", "lesion_id", "diagnostic", "img_id")
    table = [dict(zip(columns, row, strict=True)) for row in rows]
    write_csv(folder / "metadata.csv", PAD_HEADER, table, encoding=encoding)
    for number, row in enumerate({row["img_id"]: row for row in table[missing:]}.values()):
        part = f"imgs_part_{number % 3 + 1}"
        name = row["img_id"] if suffix is None else Path(row["img_id"]).stem + suffix
        path = folder / "images" / part / part / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)  # the readers look at names, and whether files are alike
    return folder


def isic(folder: Path, rows=ISIC_ROWS, *, group: str = "patient_id") -> Path:
    table = [{"isic_id": n, "diagnosis": d, group: g, "copyright_license": "CC-0"} for n, d, g in rows]
    write_csv(folder / "metadata.csv", ["isic_id", "diagnosis", group, "copyright_license"], table)
    for name, *_ in rows:
        (folder / f"{name}.JPG").write_text(name)
    return folder


def classes(folder: Path, **photos: list[str]) -> Path:
    for name, files in photos.items():
        (folder / name).mkdir(parents=True)
        for file in files:
            (folder / name / file).write_text(f"{name}/{file}")
    return folder


def refused(folder: Path, *words: str, **options: bool) -> None:
    with pytest.raises(InputError) as caught:
        open_photos(folder, **options)
    for word in words:
        assert word in str(caught.value)


# PAD-UFES-20


@pytest.mark.parametrize("suffix", [None, ".jpg", ".PNG", ".jpeg"])
def test_pad(tmp_path, suffix):
    """`.jpg` beside ids that end in `.png` is what re-encoded copies of the set look like."""
    photos = open_photos(pad(tmp_path, suffix=suffix))
    assert [(p.patient, p.label, p.image_id) for p in photos.photos] == [(r[0], r[2], r[3]) for r in PAD_ROWS]
    assert all(photo.path.is_file() and photo.path.stem == Path(photo.image_id).stem for photo in photos.photos)
    assert photos.classes == PAD_UFES_20
    assert photos.targets == [1, 1, 2, 3]  # the order of the labels: ACK BCC MEL NEV SCC SEK
    assert photos.counts == {"ACK": 0, "BCC": 2, "MEL": 1, "NEV": 1, "SCC": 0, "SEK": 0}
    assert photos.licence == "CC BY 4.0" and not photos.synthetic


def test_pad_inside_the_folder_given(tmp_path):
    pad(tmp_path / "pad_ufes_20")
    assert len(open_photos(tmp_path)) == 4


def test_pad_counts_are_compared_with_the_official_ones(tmp_path):
    (note,) = open_photos(pad(tmp_path)).notes
    assert "4 of the 2,298 rows of the official metadata.csv" in note
    assert "ACK 0 of 730" in note and "MEL 1 of 52" in note and "BCC 2 of 845" in note


def test_pad_complete_table_has_no_note(tmp_path, monkeypatch):
    monkeypatch.setitem(OFFICIAL, "pad_ufes_20", {"metadata.csv": {"BCC": 2, "MEL": 1, "NEV": 1}})
    assert not open_photos(pad(tmp_path)).notes


def test_pad_ids_without_suffix(tmp_path):
    pad(tmp_path, suffix=".jpg")
    table = tmp_path / "metadata.csv"
    table.write_text(table.read_text().replace(".png", ""))
    assert len(open_photos(tmp_path)) == 4


def test_pad_missing_images(tmp_path):
    pad(tmp_path, missing=3)
    refused(tmp_path, "3 of the 4 images", str(tmp_path), "PAT_1_10_1.png", "`skip_unreadable`")
    photos = open_photos(tmp_path, skip_missing=True)
    assert [photo.image_id for photo in photos.photos] == ["PAT_3_30_1.png"]
    assert any("3 of the 4 images" in note for note in photos.notes)


def test_pad_all_images_missing(tmp_path):
    """Then the folder is wrong, and going on without any is no answer."""
    refused(pad(tmp_path, missing=4), "4 of the 4 images", skip_missing=True)


def test_pad_table_lists_an_image_twice(tmp_path):
    refused(pad(tmp_path, [*PAD_ROWS, PAD_ROWS[0]]), "metadata.csv", "PAT_1_10_1.png", "more than once")


def test_pad_one_file_for_two_ids(tmp_path):
    """a.png and a.jpg of two patients, one file: the same picture would be on both sides of a split."""
    pad(tmp_path, [("PAT_1", "1", "BCC", "a.png"), ("PAT_2", "2", "NEV", "a.jpg")], missing=1)
    refused(tmp_path, "a.jpg")


def test_pad_two_files_of_one_name(tmp_path):
    pad(tmp_path)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "PAT_1_10_1.png").write_text("another")
    refused(tmp_path, "two files are called PAT_1_10_1.png", "remove one")


@pytest.mark.parametrize("diagnosis", ["melanoma", "bc", ""])
def test_pad_unknown_diagnosis(tmp_path, diagnosis):
    rows = [*PAD_ROWS[:2], ("PAT_9", "1", diagnosis, "PAT_2_20_1.png")]
    refused(pad(tmp_path, rows), "metadata.csv:4", repr(diagnosis), "SEK")


def test_pad_empty_patient(tmp_path):
    refused(pad(tmp_path, [("", "1", "BCC", "x.png"), *PAD_ROWS]), "metadata.csv:2", "patient_id is empty")


def test_pad_lacking_column(tmp_path):
    write_csv(tmp_path / "metadata.csv", ["img_id", "diagnostic"], [{"img_id": "x.png", "diagnostic": "BCC"}])
    refused(tmp_path, "lacks the column(s) patient_id, lesion_id")


def test_byte_order_mark(tmp_path):
    """What Excel writes: the first column must not be called \\ufeffpatient_id."""
    assert len(open_photos(pad(tmp_path, encoding="utf-8-sig"))) == 4


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[: len(text) - 30],
        lambda text: text + "PAT_5,50\n",
        lambda text: text.replace("BCC", "BCC,,", 1),
    ],
    ids=["cut off", "a short row", "a long row"],
)
def test_ragged_table(tmp_path, spoil):
    table = pad(tmp_path) / "metadata.csv"
    table.write_text(spoil(table.read_text()))
    refused(tmp_path, "metadata.csv", "more or fewer fields")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no rows"),
        (b"img_id,diagnostic\n", "no rows"),
        (b"\xff\xfe\x00\x01\n1\n", "not a CSV table"),
        (b"a,b\n1,2\n", "PAD-UFES-20"),
        (b"img_id\n" + b"x" * 200_000 + b"\n", "not a CSV table"),
    ],
    ids=["empty", "a header alone", "not text", "other columns", "a huge field"],
)
def test_table_is_something_else(tmp_path, content, words):
    (tmp_path / "metadata.csv").write_bytes(content)
    refused(tmp_path, "metadata.csv", words)


def test_table_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_table, "MAX_JSON_BYTES", 100)
    refused(pad(tmp_path), "larger than 100 bytes")


def test_synthetic_mark(tmp_path):
    """The drawn sample has PAD's layout and must never pass for it."""
    (pad(tmp_path) / "SYNTHETIC.txt").touch()
    photos = open_photos(tmp_path)
    assert photos.synthetic and "PAD" not in photos.name and "CC BY" not in photos.licence
    assert {photo.domain for photo in photos.photos} == {"synthetic"}


# ISIC Archive


def test_isic(tmp_path):
    photos = open_photos(isic(tmp_path))
    assert [(p.image_id, p.label, p.patient) for p in photos.photos] == [
        ("ISIC_1", "MEL", "isic:IP_1"),
        ("ISIC_2", "NEV", "isic:IP_1"),
        ("ISIC_3", "SEK", "isic:ISIC_3"),  # nothing known: a group of its own
    ]
    assert photos.classes == PAD_UFES_20
    assert photos.licence == "CC-0"
    assert any("1 vascular lesion" in note and "1 no diagnosis" in note for note in photos.notes)


def test_isic_groups_by_lesion_then_block(tmp_path):
    isic(tmp_path, group="lesion_id")
    write_csv(
        tmp_path / "provenance.csv", ["isic_id", "block"], [{"isic_id": f"ISIC_{i}", "block": "b7"} for i in (1, 3)]
    )
    assert [p.patient for p in open_photos(tmp_path).photos] == ["isic:IP_1", "isic:IP_1", "isic:b7"]


def test_isic_missing_and_double(tmp_path):
    (isic(tmp_path) / "ISIC_2.JPG").unlink()
    refused(tmp_path, "1 of the 3 images", "ISIC_2")
    assert len(open_photos(tmp_path, skip_missing=True)) == 2
    refused(isic(tmp_path / "b", [*ISIC_ROWS, ISIC_ROWS[0]]), "lists ISIC_1", "more than once")


def test_isic_all_of_our_classes_missing(tmp_path):
    """The rows of other classes do not make the rest less missing: an empty set is no set."""
    isic(tmp_path)
    for number in (1, 2, 3):
        (tmp_path / f"ISIC_{number}.JPG").unlink()
    refused(tmp_path, "images", "missing", skip_missing=True)


def test_isic_none_of_our_classes(tmp_path):
    refused(isic(tmp_path, [("ISIC_9", "vascular lesion", "")]), "no diagnosis among melanoma")


# A folder for each class


def test_class_folders(tmp_path):
    photos = open_photos(classes(tmp_path / "My set", NEV=["b.jpg", "a.PNG", "notes.txt"], wart=["1.heic"], empty=[]))
    assert photos.classes == (PAD_UFES_20[3], Label("wart", "wart", malignant=None))
    assert [(p.image_id, p.label) for p in photos.photos] == [
        ("NEV/a.PNG", "NEV"),
        ("NEV/b.jpg", "NEV"),
        ("wart/1.heic", "wart"),
    ]
    assert len(set(photos.patients)) == 3
    assert {p.domain for p in photos.photos} == {"my_set"}
    assert any("labels.json" in note for note in photos.notes)
    assert any("patients.csv" in note for note in photos.notes)


def test_class_folders_with_labels_and_patients(tmp_path):
    classes(tmp_path, b=["1.jpg", "2.jpg"], a=["1.jpg"])
    listed = [
        {"code": "b", "name": "Bad", "malignant": True},
        {"code": "a", "malignant": False},
        {"code": "c", "malignant": False},
    ]
    (tmp_path / "labels.json").write_text(json.dumps({"classes": listed}))
    (tmp_path / "patients.csv").write_text("file,patient\na/1.jpg,P1\nb/1.jpg,P1\nb/2.jpg,P2\n")
    photos = open_photos(tmp_path)
    assert photos.classes == (Label("b", "Bad", True), Label("a", "a", False), Label("c", "c", False))
    assert {p.image_id: p.patient for p in photos.photos} == {"a/1.jpg": "P1", "b/1.jpg": "P1", "b/2.jpg": "P2"}
    assert photos.targets == [1, 0, 0]  # the order of labels.json, not of the alphabet
    assert photos.notes == ("no photograph of the class(es) c",)


def test_class_folders_bad_side_files(tmp_path):
    classes(tmp_path, a=["1.jpg"], b=["1.jpg"])
    (tmp_path / "patients.csv").write_text("file,patient\na/1.jpg,P1\n")
    refused(tmp_path, "patients.csv", "no patient for b/1.jpg")
    (tmp_path / "patients.csv").write_text("name,patient\na/1.jpg,P1\n")
    refused(tmp_path, "needs the columns file and patient", "has name")
    (tmp_path / "patients.csv").write_text("file,patient\na/1.jpg,P1\nb/1.jpg,\n")
    refused(tmp_path, "no patient for b/1.jpg")
    (tmp_path / "patients.csv").unlink()
    (tmp_path / "labels.json").write_text(
        '{"classes": [{"code": "a", "malignant": true}, {"code": "c", "malignant": false}]}'
    )
    refused(tmp_path, "labels.json", "class folder(s) b")
    (tmp_path / "labels.json").write_text('[{"code": "a"}]')
    refused(tmp_path, "labels.json", "class labels")


def test_one_class_is_none(tmp_path):
    refused(classes(tmp_path, NEV=["1.jpg"]), "one class folder (NEV)", "at least 2")


def test_class_folder_with_a_name_that_cannot_be_a_code(tmp_path):
    refused(
        classes(tmp_path, **{"!?": ["1.jpg"], "NEV": ["1.jpg"]}), str(tmp_path / "!?"), "letters, digits", "folders"
    )


# No set at all


def test_no_folder(tmp_path):
    refused(tmp_path / "no", str(tmp_path / "no"), "`photos`")
    (tmp_path / "file").touch()
    refused(tmp_path / "file", "no data folder")


@pytest.mark.parametrize("content", [[], ["a.jpg", "b.png"], ["sub/readme.txt"]], ids=["empty", "loose", "texts"])
def test_folder_without_table_or_classes(tmp_path, content):
    for file in content:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(file)
    refused(tmp_path, str(tmp_path), "neither a metadata.csv", "one per class")


# The digest


def test_digest_follows_content_not_place(tmp_path):
    def digest(folder: Path, change=lambda folder: None) -> str:
        classes(folder, a=["1.jpg"], b=["2.jpg"])
        change(folder)
        return open_photos(folder).sha256()

    first = digest(tmp_path / "x" / "set")
    assert digest(tmp_path / "y" / "set") == first
    assert digest(tmp_path / "z", lambda f: (f / "a" / "1.jpg").write_text("other")) != first

    def swap(folder: Path) -> None:
        (folder / "a" / "1.jpg").rename(folder / "b" / "1.jpg")
        (folder / "a" / "2.jpg").write_text("new")

    assert digest(tmp_path / "w", swap) != first


# The real ones


@pytest.mark.photos
@pytest.mark.skipif("DERMEDGE_PHOTOS" not in os.environ, reason="DERMEDGE_PHOTOS names no folder of real photographs")
def test_real_photographs():
    """Counted in the tables themselves with awk, not with this reader."""
    folder = Path(os.environ["DERMEDGE_PHOTOS"])
    clinical, dermoscopic = open_photos(folder / "pad_ufes_20"), open_photos(folder / "isic")
    assert (len(clinical), len(set(clinical.patients))) == (766, 594)
    assert len(dermoscopic) == 500
    assert Counter(photo.path.is_file() for part in (clinical, dermoscopic) for photo in part.photos) == {True: 1266}
    refused(folder, "holds 2 sets of photographs: pad_ufes_20, isic")
