"""Other people's data sets as they are downloaded, and folders that look like classes and are none."""

from __future__ import annotations

import os
import shutil
import unicodedata
from pathlib import Path

import pytest

from edge.data.readers import open_photos
from edge.errors import InputError

HAM = "lesion_id,image_id,dx,dx_type,age,sex,localization"


def put(folder: Path, *files: str) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)  # the readers look at names, and whether files are alike
    return folder


def ham(folder: Path, table: str = "HAM10000_metadata.csv") -> Path:
    put(folder, "HAM10000_images_part_1/ISIC_0027419.jpg", "HAM10000_images_part_1/ISIC_0025030.jpg")
    put(folder, "HAM10000_images_part_2/ISIC_0031633.jpg", "HAM10000_images_part_2/ISIC_0024306.jpg")
    rows = ["HAM_1,ISIC_0027419,bkl", "HAM_1,ISIC_0025030,bkl", "HAM_2,ISIC_0031633,mel", "HAM_3,ISIC_0024306,nv"]
    (folder / table).write_text("\n".join([HAM, *(f"{row},histo,80.0,male,scalp" for row in rows)]) + "\n")
    return folder


@pytest.mark.parametrize("table", ["HAM10000_metadata.csv", "HAM10000_metadata"])
def test_ham10000_has_seven_classes_and_lesions(tmp_path: Path, table: str) -> None:
    photos = open_photos(ham(tmp_path, table))
    assert photos.codes == ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
    assert photos.counts == {"MEL": 1, "NV": 1, "BCC": 0, "AKIEC": 0, "BKL": 2, "DF": 0, "VASC": 0}
    groups = {photo.image_id: photo.patient for photo in photos.photos}
    assert groups["ISIC_0027419"] == groups["ISIC_0025030"] == "isic:HAM_1" and len(set(groups.values())) == 3


def test_a_class_that_ham10000_does_not_have(tmp_path: Path) -> None:
    (ham(tmp_path) / "HAM10000_metadata.csv").write_text(f"{HAM}\nHAM_1,ISIC_0027419,naevus,x,1,male,back\n")
    with pytest.raises(InputError, match=r":2: dx 'naevus' is none of mel, nv, bcc"):
        open_photos(tmp_path)


def test_todays_archive_has_levels(tmp_path: Path) -> None:
    levels = [f"diagnosis_{n}" for n in range(1, 6)]
    rows = {
        "ISIC_0000001": ["Malignant", "Malignant melanocytic proliferations (Melanoma)", "Melanoma in situ", "", ""],
        "ISIC_0000002": ["Benign", "Benign melanocytic proliferations", "Nevus", "Nevus, NOS, Dermal", ""],
        "ISIC_0000003": ["Benign", "Benign epidermal proliferations", "Seborrheic keratosis", "", ""],
        "ISIC_0000004": ["Malignant", "Malignant epidermal proliferations", "Basal cell carcinoma", "", ""],
        "ISIC_0000005": ["Malignant", "Malignant melanocytic proliferations (Melanoma)", "Melanoma, NOS", "", ""],
        "ISIC_0000006": ["Indeterminate", "", "", "", ""],
    }
    lines = [",".join(["isic_id", "patient_id", *levels])]
    lines += [
        f"{name},IP_{name[-1]},{','.join(f'{chr(34)}{v}{chr(34)}' for v in values)}" for name, values in rows.items()
    ]
    (tmp_path / "metadata.csv").write_text("\n".join(lines) + "\n")
    photos = open_photos(put(tmp_path, *(f"{name}.jpg" for name in rows)))
    assert {photo.image_id[-1]: photo.label for photo in photos.photos} == {
        "1": "MEL",
        "2": "NEV",
        "3": "SEK",
        "5": "MEL",
    }
    (note,) = [note for note in photos.notes if note.startswith("left out, no such class")]
    assert "1 basal cell carcinoma" in note and "1 indeterminate" in note


def archive(folder: Path, columns: str, *rows: str) -> Path:
    (folder / "metadata.csv").write_text("\n".join([columns, *rows]) + "\n")
    return put(folder, *(f"{row.split(',')[0]}.jpg" for row in rows))


def test_a_nevus_that_is_no_mole_is_left_out(tmp_path: Path) -> None:
    """The second level tells: a nevus sebaceus is a hamartoma of glands."""
    rows = [
        "ISIC_0000001,Benign,Benign melanocytic proliferations,Nevus Spilus",
        "ISIC_0000002,Benign,Benign adnexal epithelial proliferations,Nevus sebaceus",
        "ISIC_0000003,Malignant,Malignant melanocytic proliferations (Melanoma),Melanoma Invasive",
        "ISIC_0000004,Benign,,Nevus",
    ]
    photos = open_photos(archive(tmp_path, "isic_id,diagnosis_1,diagnosis_2,diagnosis_3", *rows))
    assert [photo.image_id[-1] + photo.label for photo in photos.photos] == ["1NEV", "3MEL", "4NEV"]
    assert "left out, no such class: 1 nevus sebaceus" in photos.notes


def test_an_archive_table_with_both_forms_of_diagnosis(tmp_path: Path) -> None:
    rows = ["ISIC_0000001,,Benign,Nevus", "ISIC_0000002,melanoma,Malignant,Melanoma Invasive"]
    photos = open_photos(archive(tmp_path, "isic_id,diagnosis,diagnosis_1,diagnosis_3", *rows))
    assert photos.counts["NEV"] == photos.counts["MEL"] == 1


def test_an_archive_table_of_before_2021(tmp_path: Path) -> None:
    columns = "name,_id,dataset.name,meta.clinical.benign_malignant,meta.clinical.diagnosis"
    rows = ["ISIC_0000001,5436e3abbae478396759f0cf,UDA-1,benign,nevus", "ISIC_0000002,x,UDA-1,malignant,melanoma"]
    photos = open_photos(archive(tmp_path, columns, *rows))
    assert photos.counts["NEV"] == photos.counts["MEL"] == 1


def test_folders_in_a_table_tell_files_of_one_name_apart(tmp_path: Path) -> None:
    put(tmp_path, "a/1.jpg", "b/1.jpg", "other/2.jpg", "else/2.jpg", "b/3.jpg")
    table = "img_id,diagnostic,patient_id,lesion_id\n/set/a/1.jpg,NEV,P1,1\nb\\1.jpg,MEL,P2,2\n3.jpg,BCC,P3,3\n"
    (tmp_path / "metadata.csv").write_text(table)
    photos = open_photos(tmp_path)
    assert [photo.path.relative_to(tmp_path).as_posix() for photo in photos.photos] == ["a/1.jpg", "b/1.jpg", "b/3.jpg"]
    assert any("left out: 2 photographs that no table gives a class: else/2.jpg" in note for note in photos.notes)
    (tmp_path / "metadata.csv").write_text(table.replace("b\\1", "1"))
    with pytest.raises(
        InputError, match=r"two files are called 1.jpg: .*; remove one, or give their folders in the table"
    ):
        open_photos(tmp_path)


def test_a_row_without_an_image_is_named(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    (tmp_path / "metadata.csv").write_text("img_id,diagnostic,patient_id,lesion_id\na.jpg,NEV,P1,1\n,MEL,P2,2\n")
    with pytest.raises(InputError, match="has 1 rows that name no image"):
        open_photos(tmp_path, skip_missing=True)


def test_the_table_of_a_set_that_is_not_known_is_named(tmp_path: Path) -> None:
    put(tmp_path, "ISIC_2024_Training_Input/ISIC_0015670.jpg")
    (tmp_path / "ISIC_2024_Training_GroundTruth.csv").write_text("isic_id,malignant\nISIC_0015670,0.0\n")
    with pytest.raises(InputError, match=r"; ISIC_2024_Training_GroundTruth.csv has the columns of none that is read"):
        open_photos(tmp_path)


def test_isic_2020_has_patients(tmp_path: Path) -> None:
    header = "image_name,patient_id,sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target"
    rows = ["ISIC_1000001,IP_1,male,45,torso,unknown,benign,0", "ISIC_1000002,IP_1,male,45,torso,melanoma,malignant,1"]
    (tmp_path / "train.csv").write_text("\n".join([header, *rows]) + "\n")
    (tmp_path / "test.csv").write_text("image_name,patient_id,sex\nISIC_2000001,IP_9,male\n")
    photos = open_photos(put(tmp_path, "jpeg/train/ISIC_1000001.jpg", "jpeg/train/ISIC_1000002.jpg", "jpeg/test/x.jpg"))
    assert photos.codes == ("BEN", "MEL") and [label.malignant for label in photos.classes] == [False, True]
    assert {photo.patient for photo in photos.photos} == {"isic:IP_1"} and photos.counts == {"BEN": 1, "MEL": 1}


def test_isic_2016_has_no_header(tmp_path: Path) -> None:
    (tmp_path / "ISBI2016_ISIC_Part3_Training_GroundTruth.csv").write_text(
        "ISIC_0000000,benign\nISIC_0000001,malignant\n"
    )
    folder = "ISBI2016_ISIC_Part3_Training_Data"
    photos = open_photos(put(tmp_path, f"{folder}/ISIC_0000000.jpg", f"{folder}/ISIC_0000001.jpg"))
    assert [photo.label for photo in photos.photos] == ["BEN", "MEL"] and "no patients are named" in photos.notes[-1]


@pytest.mark.parametrize(
    "names", [("train", "test"), ("Training_Data", "val"), ("HAM10000_images_part_1", "b"),
              ("fold_1", "fold_2"), ("augmented", "nev"), ("mel", "Backup_2"), ("ISIC_images", "images"),
              ("patient_001", "patient_002"), ("2024-01-03", "2024-01-04"), ("_unsorted", "nev"),
              ("New folder (2)", "nev"), ("runs", "nev"),
              ("100APPLE", "nev"), ("unlabeled", "nev"), ("trainval", "nev"), ("split_0", "nev")]
)  # fmt: skip
def test_parts_of_a_set_are_no_classes(tmp_path: Path, names: tuple[str, str]) -> None:
    with pytest.raises(InputError, match="parts of a set and no classes by their names"):
        open_photos(put(tmp_path, *(f"{name}/a.jpg" for name in names)))


@pytest.mark.parametrize(
    "name", ["contest", "valve", "datum", "nevus", "test_strip_reaction", "patients", "older", "class_3", "unknown"]
)
def test_classes_with_names_like_them_are_taken(tmp_path: Path, name: str) -> None:
    assert name in open_photos(put(tmp_path, f"{name}/a.jpg", "mel/b.jpg")).codes


@pytest.mark.parametrize("name", ["mel - Copy", "mel copy 2", "mel (1)", "mel - Kopie"])
def test_a_copy_of_a_class_folder_is_no_class(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="is called like a copy of mel"):
        open_photos(put(tmp_path, "mel/a.jpg", f"{name}/b.jpg", "nev/c.jpg"))


def test_names_with_two_endings_are_named(tmp_path: Path) -> None:
    photos = open_photos(put(tmp_path, "mel/a.jpg", "mel/a.png", "nev/c.jpg"))
    assert any("two photographs: 1, first mel/a.jpg and mel/a.png; is one a mask" in note for note in photos.notes)


@pytest.mark.parametrize("name", ["mask_a.png", "a-contour.png", "a_thumb.jpg", "a_overlay.jpg", "a_Annotated.jpg"])
def test_what_was_drawn_of_a_photograph_is_none(tmp_path: Path, name: str) -> None:
    photos = open_photos(put(tmp_path, "mel/a.jpg", f"mel/{name}", "nev/thumb.jpg", "nev/mask_b.jpg"))
    assert [photo.image_id for photo in photos.photos] == ["mel/a.jpg", "nev/mask_b.jpg", "nev/thumb.jpg"]
    assert any(note.startswith("left out: 1 ") and note.endswith(f"mel/{name}") for note in photos.notes)


def test_what_says_something_else_than_the_table_is_named(tmp_path: Path) -> None:
    put(tmp_path, "NEV/a.jpg", "MEL/b.jpg")
    (tmp_path / "labels.json").write_text('{"classes": [{"code": "x"}, {"code": "y"}]}')
    (tmp_path / "metadata.csv").write_text("img_id,diagnostic,patient_id,lesion_id\na.jpg,NEV,P1,1\nb.jpg,BCC,P2,2\n")
    notes = open_photos(tmp_path).notes
    assert "labels.json is not read beside a table that gives the classes" in notes
    assert any("which counts: 1, first b.jpg, BCC in the table and in MEL" in note for note in notes)


def test_what_lies_there_instead_of_a_set_is_named(tmp_path: Path) -> None:
    put(tmp_path, "mel/a.jpg.1", "mel/b", "c.jpg")
    with pytest.raises(
        InputError, match=r"left out: 1 \.1 \(not a format.*; left out: 1 photographs in no folder"
    ) as caught:
        open_photos(tmp_path)
    assert "files without ending" in str(caught.value)


@pytest.mark.parametrize("name", ["metadata_of_lesions.csv", "groups.xlsx", "table.tsv"])
def test_a_table_that_nobody_reads_is_named(tmp_path: Path, name: str) -> None:
    put(tmp_path, "mel/a.jpg", "nev/b.jpg")
    (tmp_path / name).write_text("id,lesion\na,1\n")
    with pytest.raises(InputError, match=f"{name} beside them that nobody here reads"):
        open_photos(tmp_path)


def test_ids_are_compared_by_their_letters(tmp_path: Path) -> None:
    """`P1` and `P1 ` are one patient, and so are two spellings of é; p1 is another, and that is said."""
    put(tmp_path, *(f"{code}/{n}.jpg" for code in ("mel", "nev") for n in range(3)))
    composed, apart = (unicodedata.normalize(form, "Zoé") for form in ("NFC", "NFD"))
    ids = ["P1", "P1 ", "p1", composed, apart, " P2"]
    names = [f"{code}/{n}.jpg" for code in ("mel", "nev") for n in range(3)]
    lines = ["file,patient", *(f'{file},"{patient}"' for file, patient in zip(names, ids, strict=True))]
    (tmp_path / "patients.csv").write_text("\n".join(lines) + "\n")
    photos = open_photos(tmp_path)
    assert [photo.patient for photo in photos.photos] == ["P1", "P1", "p1", composed, composed, "P2"]
    assert any(
        "differ in capitals, marks or zeros alone, or look alike, count as different: P1 and p1" in note
        for note in photos.notes
    )


def test_a_photograph_of_two_patients(tmp_path: Path) -> None:
    put(tmp_path, "mel/a.jpg", "nev/b.jpg")
    (tmp_path / "patients.csv").write_text("file,patient\nmel/a.jpg,P1\nnev/b.jpg,P2\nmel/a.jpg,P3\n")
    with pytest.raises(InputError, match=r"gives mel/a.jpg to P1 and to P3"):
        open_photos(tmp_path)


def test_names_in_another_unicode_form_are_found(tmp_path: Path) -> None:
    """What a Mac's archive unpacks to, with a table written elsewhere."""
    name = "mel/Zoé.jpg"
    put(tmp_path, unicodedata.normalize("NFD", name), "nev/b.jpg")
    table = f"file,patient\n{unicodedata.normalize('NFC', name)},P1\nnev/b.jpg,P2\n"
    (tmp_path / "patients.csv").write_text(table, encoding="utf-8")
    assert [photo.patient for photo in open_photos(tmp_path).photos] == ["P1", "P2"]


def test_nothing_is_left_out_without_a_word(tmp_path: Path) -> None:
    put(tmp_path, "mel/a.jpg", "mel/more/b.jpg", "mel/c.tif", "mel/d.bmp", "mel/e.tif", "nev/f.jpg")
    put(tmp_path, "nev/g_segmentation.png", "nev/._f.jpg", "nev/@eaDir/f.jpg", ".trash/g.jpg", "nev/notes.txt")
    photos = open_photos(tmp_path)
    assert [photo.image_id for photo in photos.photos] == ["mel/a.jpg", "mel/more/b.jpg", "nev/f.jpg"]
    assert sorted(note for note in photos.notes if note.startswith("left out")) == [
        "left out: 1 .bmp (not a format that is read): mel/d.bmp",
        "left out: 1 masks (*_segmentation.png) of no photograph here: nev/g_segmentation.png",
        "left out: 1 side files of a photograph (._name): nev/._f.jpg",
        "left out: 2 .tif (not a format that is read): mel/c.tif, mel/e.tif",
        "left out: 2 photographs in hidden or side folders: .trash/g.jpg, nev/@eaDir/f.jpg",
    ]


def test_hidden_folders_are_no_classes(tmp_path: Path) -> None:
    put(tmp_path, "mel/a.jpg", "nev/b.jpg", ".ipynb_checkpoints/a.jpg", "@eaDir/b.jpg", "__MACOSX/c.jpg")
    assert open_photos(tmp_path).codes == ("mel", "nev")


def test_a_name_that_is_no_text_is_left_out(tmp_path: Path) -> None:
    """It could be written into no table and no checkpoint."""
    put(tmp_path, "mel/a.jpg", "nev/b.jpg")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/mel/\xff.jpg")).write_text("c")
    photos = open_photos(tmp_path)
    assert len(photos) == 2 and "left out: 1 names that are not UTF-8: mel/\\xff.jpg" in photos.notes
    photos.sha256()


def test_labels_in_other_capitals_are_read_and_other_files_named(tmp_path: Path) -> None:
    put(tmp_path, "mel/a.jpg", "nev/b.jpg", "classes.json")
    (tmp_path / "Labels.JSON").write_text('{"classes": [{"code": "nev", "malignant": false}, {"code": "mel"}]}')
    photos = open_photos(tmp_path)
    assert photos.codes == ("nev", "mel")
    assert any("nobody here reads: classes.json; only labels.json" in note for note in photos.notes)


def test_the_challenges_own_table_and_ham10000s_are_one_set(tmp_path: Path) -> None:
    """The classes are in both, the lesions in one."""
    codes = ["MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC"]
    truth = {"ISIC_0027419": "BKL", "ISIC_0025030": "BKL", "ISIC_0031633": "MEL", "ISIC_0024306": "NV"}
    rows = [",".join([name, *("1.0" if code == own else "0.0" for code in codes)]) for name, own in truth.items()]
    (tmp_path / "GroundTruth.csv").write_text("\n".join([",".join(["image", *codes]), *rows]))
    photos = open_photos(ham(tmp_path))
    assert photos.name == "ISIC 2018" and len(set(photos.patients)) == 3
    table = tmp_path / "HAM10000_metadata.csv"
    table.write_text(table.read_text().replace("mel", "nv"))
    with pytest.raises(InputError, match="has NV for ISIC_0031633, another table MEL"):
        open_photos(tmp_path)


def test_kaggles_folders_that_are_there_twice(tmp_path: Path) -> None:
    ham(tmp_path)
    shutil.copytree(tmp_path / "HAM10000_images_part_1", tmp_path / "copy_of_part_1")
    photos = open_photos(tmp_path)
    assert len(photos) == 4 and any("2 further copies of a file, under the same name" in note for note in photos.notes)
    (tmp_path / "copy_of_part_1" / "ISIC_0025030.jpg").write_text("another picture")
    with pytest.raises(InputError, match=r"two files are called ISIC_0025030.jpg"):
        open_photos(tmp_path)


@pytest.mark.parametrize(("file", "hint"), [
    ("part_2.zip", "Unpack part_2.zip first"), ("x/ISIC_0031633.dcm", "are here and left out as .dcm"),
])  # fmt: skip
def test_what_lies_there_instead_of_photographs_is_named(tmp_path: Path, file: str, hint: str) -> None:
    ham(tmp_path)
    shutil.rmtree(tmp_path / "HAM10000_images_part_2")
    with pytest.raises(InputError, match=f"2 of the 4 images .* are missing.*{hint}"):
        open_photos(put(tmp_path, file))


def test_images_may_be_listed_with_their_folders(tmp_path: Path) -> None:
    put(tmp_path, "images/a.png", "images/b.png")
    rows = ["patient_id,lesion_id,diagnostic,img_id", "P1,1,MEL,images\\a.png", "P2,2,NEV,./images/b.png"]
    (tmp_path / "PAD-UFES-20_metadata.csv").write_text("\n".join(rows))
    assert [photo.path.name for photo in open_photos(tmp_path).photos] == ["a.png", "b.png"]


def test_ids_that_differ_in_zeros_are_named(tmp_path: Path) -> None:
    put(tmp_path, "mel/a.jpg", "mel/b.jpg", "nev/c.jpg", "nev/d.jpg")
    (tmp_path / "patients.csv").write_text("file,patient\na,12\nb,12.0\nc,012\nd,120\n")
    (note,) = [note for note in open_photos(tmp_path).notes if "count as different" in note]
    assert note.endswith(": 012 and 12 and 12.0")
