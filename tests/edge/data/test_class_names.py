"""What a folder per class is called, and what becomes of folders that are none."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from edge.data.readers import open_photos
from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.labels import Label, doubtful


def put(folder: Path, *files: str) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def label(folder: Path, *classes: dict) -> Path:
    (folder / "labels.json").write_text(json.dumps({"classes": list(classes)}))
    return folder


def test_folders_with_spaces_and_marks_get_a_code(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "nävus") for form in ("NFC", "NFD"))
    photos = open_photos(put(tmp_path, "basal cell carcinoma/a.jpg", f"{apart}/b.jpg", "Melanoma [in situ] /c.jpg"))
    assert photos.classes == (
        Label("Melanoma_in_situ", "Melanoma (in situ)", None),
        Label("basal_cell_carcinoma", "basal cell carcinoma", None),
        Label(composed, composed, None),
    )
    assert any("basal cell carcinoma is basal_cell_carcinoma" in note for note in photos.notes)


@pytest.mark.parametrize("names", [("Mel", "mel"), ("a b", "a_b"), ("mel", "mel "), ("N\u00e4vus", "Na\u0308vus")])
def test_two_folders_of_one_name_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    with pytest.raises(InputError, match="are one class by name"):
        open_photos(put(tmp_path, *(f"{name}/{n}.jpg" for n, name in enumerate((*names, "other")))))


def test_labels_map_folders_to_codes(tmp_path: Path) -> None:
    put(tmp_path, "basal cell carcinoma/a.jpg", "bcc/b.jpg", "nev/c.jpg")
    label(tmp_path, {"code": "BCC", "malignant": True, "folders": ["bcc", "basal cell carcinoma"]}, {"code": "nev"})
    photos = open_photos(tmp_path)
    assert photos.counts == {"BCC": 2, "nev": 1} and [c.malignant for c in photos.classes] == [True, None]


def test_a_part_of_a_set_may_lack_a_folder(tmp_path: Path) -> None:
    """As photographs for evaluation do, beside the labels of the training."""
    put(tmp_path, "bcc/b.jpg", "nev/c.jpg")
    label(
        tmp_path, {"code": "BCC", "folders": ["bcc", "basal cells"]}, {"code": "nev"}, {"code": "MEL", "folders": ["m"]}
    )
    notes = open_photos(tmp_path).notes
    assert f"{tmp_path / 'labels.json'} names folders without photographs: basal cells, m" in notes
    assert "no photograph of the class(es) MEL" in notes


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (["bccc"], r"does not name the class folder\(s\) bcc"),
        (["nev"], "gives the folder nev to BCC and to nev"),
        ("bcc", "a list of names"),
        ([1], "a list of names"),
        ([], r'does not name the class folder\(s\) bcc; .*"folders": \["bcc"\]'),
    ],
)
def test_folders_that_do_not_fit(tmp_path: Path, folders: object, words: str) -> None:
    label(put(tmp_path, "bcc/a.jpg", "nev/b.jpg"), {"code": "BCC", "folders": folders}, {"code": "nev"})
    with pytest.raises(InputError, match=words):
        open_photos(tmp_path)


@pytest.mark.parametrize(
    "names", [("melanoma", "naevus"), ("bcc", "scc"), ("Melanoma", "Basal Cell Carcinoma"), ("mel", "nv"), ("a", "b")]
)
def test_malignancy_is_unknown_unless_somebody_says_it(tmp_path: Path, names: tuple[str, str]) -> None:
    photos = open_photos(put(tmp_path, *(f"{name}/{name}.jpg" for name in names)))
    assert [c.malignant for c in photos.classes] == [None, None]
    label(tmp_path, *({"code": c.code, "folders": [n]} for c, n in zip(photos.classes, sorted(names), strict=True)))
    assert [c.malignant for c in open_photos(tmp_path).classes] == [None, None]


def test_a_melanoma_that_is_marked_benign_is_named(tmp_path: Path) -> None:
    put(tmp_path, "melanoma/a.jpg", "nev/b.jpg")
    label(tmp_path, {"code": "melanoma", "malignant": False}, {"code": "nev", "malignant": False})
    assert any("melanoma (melanoma) is marked as not malignant" in note for note in open_photos(tmp_path).notes)


@pytest.mark.parametrize(
    ("name", "slip"),
    [("squamous cell carcinoma", True), ("Kaposi-sarcoma", True), ("BCC", True), ("MEL", True), ("nevus", False),
     ("no melanoma", False), ("non-melanoma", False), ("melanocytic nevus", False), ("melasma", False)],
)  # fmt: skip
def test_names_of_malignant_lesions(name: str, slip: bool) -> None:
    assert bool(doubtful((Label("x", name, malignant=False),))) == slip
    assert not doubtful((Label("x", name, malignant=True), Label("y", name, malignant=None)))


def test_two_levels_that_may_both_be_classes(tmp_path: Path) -> None:
    put(tmp_path, *(f"{site}/{code}/{site}{code}.jpg" for site in ("siteA", "siteB") for code in ("mel", "nev")))
    with pytest.raises(InputError, match="siteA and siteB both hold the folders mel, nev; which"):
        open_photos(tmp_path)
    label(tmp_path, {"code": "siteA"}, {"code": "siteB"})
    assert open_photos(tmp_path).codes == ("siteA", "siteB")


@pytest.mark.parametrize("names", [("train", "test"), ("Validation_set", "Train")])
def test_parts_of_a_set_that_hold_classes(tmp_path: Path, names: tuple[str, str]) -> None:
    put(tmp_path, *(f"{part}/{code}/{part}{code}.jpg" for part in names for code in ("mel", "nev")))
    train = next(name for name in names if "train" in name.lower())
    with pytest.raises(InputError, match=f"if the folders in {tmp_path / train} are the classes, give that one"):
        open_photos(tmp_path)


def test_classes_that_lie_deeper_are_pointed_at(tmp_path: Path) -> None:
    put(tmp_path, "Skin cancer/set of 2024/mel/a.jpg", "Skin cancer/set of 2024/nev/b.jpg")
    with pytest.raises(
        InputError, match=f"if mel, nev in {tmp_path}/Skin cancer/set of 2024 are the classes, give that"
    ):
        open_photos(tmp_path)


def test_a_class_that_is_a_link_to_another_is_named(tmp_path: Path) -> None:
    put(tmp_path, "mel/a.jpg")
    (tmp_path / "nev").symlink_to(tmp_path / "mel")
    with pytest.raises(InputError, match="at least 2; left out: 1 folders that are here already, by a link: nev"):
        open_photos(tmp_path)


@pytest.mark.parametrize("file", ["a.tif", "a.jfif", "a.jxl", "images.zip"])
def test_a_class_that_would_be_lost_is_refused(tmp_path: Path, file: str) -> None:
    with pytest.raises(InputError, match=f"bcc has no photograph that is read, only bcc/{file}"):
        open_photos(put(tmp_path, "mel/a.jpg", "nev/b.jpg", f"bcc/{file}"))


def test_a_class_of_empty_files_or_broken_links_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "mel/a.jpg", "nev/b.jpg")
    (tmp_path / "bcc").mkdir()
    assert "folders without photographs, no classes: bcc" in open_photos(tmp_path).notes
    (tmp_path / "bcc" / "a.jpg").symlink_to(tmp_path / "gone.jpg")
    with pytest.raises(InputError, match="links that lead nowhere"):
        open_photos(tmp_path)
    (tmp_path / "gone.jpg").touch()
    with pytest.raises(InputError, match=r"empty files \(0 bytes\)"):
        open_photos(tmp_path)


def everything(folder: Path) -> PhotoSet:
    put(folder, "mel/a.jpg", "nev/a.jpg", "nev/sub/b.jpg", "nev/sub/deep/c.jpg", "mel/d.tif", "mel/e.TIF", "mel/f.jpe")
    put(folder, "nev/._a.jpg", "nev/.b.jpg", "nev/__MACOSX/x.jpg", "nev/@eaDir/a.jpg/thumb.jpg", "nev/masks/a.png")
    put(folder, "nev/a_mask.png", "nev/z_segmentation.png", "nev/table.csv", "loose.jpg", "more.zip", "mel/IMG_1")
    (folder / "nev" / "dir.jpg").mkdir()
    (folder / "nev" / "broken.jpg").symlink_to(folder / "gone.jpg")
    (folder / "nev" / "zero.jpg").touch()
    (folder / "nev" / "loop").symlink_to(folder / "nev")
    return open_photos(folder)


def test_everything_left_out_has_a_line(tmp_path: Path) -> None:
    photos = everything(tmp_path)
    assert [photo.image_id for photo in photos.photos] == [
        "mel/a.jpg",
        "nev/a.jpg",
        "nev/sub/b.jpg",
        "nev/sub/deep/c.jpg",
    ]
    assert sorted(note.removeprefix("left out: ") for note in photos.notes if note.startswith("left out")) == [
        "1 .jpe (not a format that is read): mel/f.jpe",
        "1 archives that are not unpacked: more.zip",
        "1 empty files (0 bytes): nev/zero.jpg",
        "1 files without ending (not a format that is read): mel/IMG_1",
        "1 folders that are here already, by a link: nev/loop",
        "1 hidden photographs (.name): nev/.b.jpg",
        "1 links that lead nowhere: nev/broken.jpg",
        "1 masks (*_mask.png) beside their photograph: nev/a_mask.png",
        "1 masks (*_segmentation.png) of no photograph here: nev/z_segmentation.png",
        "1 photographs in hidden or side folders: nev/__MACOSX/x.jpg",
        "1 photographs in no class's folder: loose.jpg",
        "1 pictures in folders of masks: nev/masks/a.png",
        "1 side files of a photograph (._name): nev/._a.jpg",
        "1 tables in folders of photographs, which nobody here reads: nev/table.csv",
        "2 .tif (not a format that is read): mel/d.tif, mel/e.TIF",
        "2 folders that are called like a photograph: nev/@eaDir/a.jpg, nev/dir.jpg",
    ]
    assert (
        "photographs in folders below their class's count with it: 2, as 1 in nev/sub, 1 in nev/sub/deep"
        in photos.notes
    )


def test_linked_folders_are_read(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere", "nev/b.jpg", "more/c.jpg")
    put(tmp_path / "set", "mel/a.jpg")
    (tmp_path / "set" / "nev").symlink_to(tmp_path / "elsewhere" / "nev")
    (tmp_path / "set" / "mel" / "more").symlink_to(tmp_path / "elsewhere" / "more")
    assert open_photos(tmp_path / "set").counts == {"mel": 2, "nev": 1}


def test_a_slip_in_a_key_is_refused_and_a_key_of_ones_own_is_named(tmp_path: Path) -> None:
    """With `malginant` the class would be of unknown malignancy, and nobody would know why."""
    put(tmp_path, "mel/a.jpg", "nev/b.jpg")
    label(tmp_path, {"code": "mel", "malginant": True}, {"code": "nev"})
    with pytest.raises(InputError, match="the key 'malginant', which nobody reads; did you mean 'malignant'"):
        open_photos(tmp_path)
    label(tmp_path, {"code": "mel", "name": "melanoma", "icd10": "C43", "name_de": "Melanom"}, {"code": "nev"})
    notes = open_photos(tmp_path).notes
    assert any(note.endswith("labels.json has keys that nobody reads: icd10, name_de") for note in notes)


def test_the_class_of_rare_diagnoses_is_one(tmp_path: Path) -> None:
    put(tmp_path, "BCC/a.jpg", "MISC/b.jpg")
    assert open_photos(tmp_path).counts == {"BCC": 1, "MISC": 1}


def test_parts_of_a_set_in_the_only_folder(tmp_path: Path) -> None:
    put(tmp_path, *(f"Skin cancer/{part}/{name}/{part}.jpg" for part in ("Test", "Train") for name in ("mel", "nev")))
    with pytest.raises(InputError, match=r"if the folders in .*Skin cancer/Train are the classes, give that one"):
        open_photos(tmp_path)
