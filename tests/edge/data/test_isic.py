"""The tables and folders of the ISIC challenges, as their archives unpack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.checkpoint import Checkpoint
from edge.data.identity import archive_id
from edge.data.isic import ONE_HOT
from edge.data.masks import load_masks
from edge.data.readers import open_photos
from edge.data.selection import listed_for, unseen
from edge.errors import InputError
from tests._isic import ROWS_2017, write_2017, write_masks, write_pictures, write_table, write_task_1


def test_isic_2017_has_classes_masks_and_no_patients(tmp_path: Path) -> None:
    write_2017(tmp_path / "isic", ROWS_2017, masks=2)
    photos = open_photos(tmp_path / "isic")
    assert [photo.label for photo in photos.photos] == ["MEL", "SEK", "NEV"]
    assert [photo.mask is not None for photo in photos.photos] == [True, True, False]
    assert len(set(photos.patients)) == 3
    assert any("2 of 3 photographs have a mask" in note for note in photos.notes)
    masks, known = load_masks(photos, 10)
    assert known.tolist() == [True, True, False]
    # the centred square of 30 x 40 starts in column 5: half of it, from column 20 on, is lesion
    assert (masks[0] == np.where(np.arange(10) >= 5, 255, 0)).all()
    assert not masks[2].any()


@pytest.mark.parametrize("values", [("1.0", "1.0"), ("yes", "0"), ("0.5", "0")])
def test_isic_2017_with_an_odd_diagnosis_is_refused(tmp_path: Path, values) -> None:
    write_2017(tmp_path / "isic", [("ISIC_0000001", *values)], masks=0)
    with pytest.raises(InputError, match="0 or 1"):
        open_photos(tmp_path / "isic")


CODES_2018 = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
NAMES = [f"ISIC_{number:07d}" for number in range(24306, 24313)]


def write_2018(folder: Path) -> None:
    """Task 3: the table in a folder of its own, one photograph a class, two of them of one lesion."""
    write_pictures(folder / "ISIC2018_Task3_Training_Input", NAMES)
    rows = [(name, *(str(float(k == n)) for k in range(7))) for n, name in enumerate(NAMES)]
    truth = folder / "ISIC2018_Task3_Training_GroundTruth" / "ISIC2018_Task3_Training_GroundTruth.csv"
    write_table(truth, [("image", *CODES_2018), *rows])
    lesions = [(name, f"HAM_{max(1, n):07d}", "histopathology") for n, name in enumerate(NAMES)]
    groups = folder / "ISIC2018_Task3_Training_LesionGroupings.csv"
    write_table(groups, [("image", "lesion_id", "diagnosis_confirm_type"), *lesions])


def test_isic_2018_has_seven_classes_and_a_lesion_is_a_group(tmp_path: Path) -> None:
    write_2018(tmp_path)
    write_masks(tmp_path / "HAM10000_segmentations", NAMES[:2])
    photos = open_photos(tmp_path)
    assert photos.codes == CODES_2018 and [photo.label for photo in photos.photos] == list(CODES_2018)
    assert photos.patients[0] == photos.patients[1] == "isic:HAM_0000001" and len(set(photos.patients)) == 6
    assert [photo.mask is not None for photo in photos.photos] == [True, True, *[False] * 5]
    assert {label.code for label in photos.classes if label.malignant} == {"MEL", "BCC", "AKIEC"}
    assert any("10,015" in note for note in photos.notes)  # seven rows are not the training table


def test_without_its_lesions_isic_2018_says_so(tmp_path: Path) -> None:
    write_2018(tmp_path)
    (tmp_path / "ISIC2018_Task3_Training_LesionGroupings.csv").unlink()
    photos = open_photos(tmp_path)
    assert len(set(photos.patients)) == 7 and any("no patients are named" in note for note in photos.notes)


@pytest.mark.parametrize("row", ["1,1,0,0,0,0,0", "0,0,0,0,0,0,0", "0.5,0.5,0,0,0,0,0", "x,0,0,0,0,0,0"])
def test_a_row_that_is_not_one_class_is_refused(row: str, tmp_path: Path) -> None:
    write_2018(tmp_path)
    write_table(tmp_path / "more.csv", [("image", *CODES_2018), ("ISIC_0024306", *row.split(","))])
    with pytest.raises(InputError, match=r"more.csv:2: one of MEL, NV, .* is 1"):
        open_photos(tmp_path)


def test_isic_2019_keeps_its_own_classes_and_leaves_out_what_is_unknown(tmp_path: Path) -> None:
    codes = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK")
    write_pictures(tmp_path / "ISIC_2019_Training_Input", NAMES[:3])
    rows = [(name, *("1.0" if code == wanted else "0.0" for code in codes)) for name, wanted in
            zip(NAMES, ("SCC", "AK", "UNK"), strict=False)]  # fmt: skip
    write_table(tmp_path / "ISIC_2019_Training_GroundTruth.csv", [("image", *codes), *rows])
    header = ("image", "age_approx", "anatom_site_general", "lesion_id", "sex")
    write_table(tmp_path / "ISIC_2019_Training_Metadata.csv", [header, (NAMES[0], "55", "", "", "female")])
    photos = open_photos(tmp_path)
    assert photos.codes == codes[:-1] and [photo.label for photo in photos.photos] == ["SCC", "AK"]
    assert any("1 UNK" in note for note in photos.notes) and len(set(photos.patients)) == 2


def test_every_class_of_the_tables_has_a_code_of_its_own() -> None:
    assert len({label.code for label in ONE_HOT}) == len(ONE_HOT)


def test_several_tables_are_one_set(tmp_path: Path) -> None:
    write_2017(tmp_path, ROWS_2017, masks=0)
    write_pictures(tmp_path / "ISIC-2017_Test_v2_Data", ["ISIC_0000009"])
    table = tmp_path / "ISIC-2017_Test_v2_Part3_GroundTruth.csv"
    write_table(table, [("image_id", "melanoma", "seborrheic_keratosis"), ("ISIC_0000009", "0", "1")])
    assert sorted(photo.label for photo in open_photos(tmp_path).photos) == ["MEL", "NEV", "SEK", "SEK"]


def test_masks_without_classes_are_refused_with_a_way_out(tmp_path: Path) -> None:
    """Two folders of photographs must not be taken for two classes."""
    write_task_1(tmp_path, NAMES)
    with pytest.raises(InputError, match="docs/multi_task"):
        open_photos(tmp_path)


def test_masks_without_classes_where_they_may_be(tmp_path: Path) -> None:
    write_task_1(tmp_path, NAMES)
    write_pictures(tmp_path / "ISIC2018_Task1-2_Test_Input", ["ISIC_0030000"])
    photos = open_photos(tmp_path, unlabelled=True)
    assert photos.classes == () and photos.targets == [-1] * 7
    assert all(photo.mask for photo in photos.photos) and photos.photos[0].domain == "isic_masks"
    assert any(
        "1 photographs without class or mask: ISIC2018_Task1-2_Test_Input/ISIC_0030000.jpg" in note
        for note in photos.notes
    )


def test_a_folder_of_ones_own_may_have_masks_alone(tmp_path: Path) -> None:
    write_pictures(tmp_path / "clinic" / "pictures", ["a", "b"], ".png")
    write_masks(tmp_path / "clinic" / "pictures", ["a", "b"])
    photos = open_photos(tmp_path / "clinic", unlabelled=True)
    assert [photo.image_id for photo in photos.photos] == ["a", "b"] and photos.photos[0].domain == "clinic"


def test_what_one_challenge_trained_another_does_not_show_as_unseen(tmp_path: Path) -> None:
    """HAM10000 is contained in ISIC 2019; the archive has them all."""
    write_2018(tmp_path)
    photos = open_photos(tmp_path)
    listed = {"isic_2019": {"patients": [], "images": NAMES[:5]}, "pad_ufes_20": {"patients": [], "images": ["a"]}}
    assert listed_for(listed, "isic_2018")["images"] == NAMES[:5]
    checkpoint = Checkpoint("m", photos.classes, None, {}, trained=listed)  # type: ignore[arg-type]
    assert [photo.image_id for photo in unseen(photos, checkpoint).photos] == NAMES[5:]


def test_tables_of_two_challenges_are_not_mixed(tmp_path: Path) -> None:
    write_2018(tmp_path)
    write_table(tmp_path / "2017.csv", [("image_id", "melanoma", "seborrheic_keratosis"), ("ISIC_0024306", "0", "1")])
    with pytest.raises(InputError, match="two challenges"):
        open_photos(tmp_path)


def test_a_header_in_quotes_is_read(tmp_path: Path) -> None:
    write_2018(tmp_path)
    (table,) = tmp_path.rglob("*GroundTruth.csv")
    first, *rest = table.read_text().splitlines()
    table.write_text("\n".join([",".join(f'"{name}"' for name in first.split(",")), *rest]))
    assert open_photos(tmp_path).codes == CODES_2018


def test_a_table_in_a_folder_of_another_kind_does_not_make_a_challenge(tmp_path: Path) -> None:
    """A collection of several sets' tables may lie beside class folders."""
    write_2018(tmp_path / "other")
    (table,) = (tmp_path / "other").rglob("*GroundTruth.csv")
    (tmp_path / "set" / "metadata").mkdir(parents=True)
    table.rename(tmp_path / "set" / "metadata" / table.name)
    for code in ("MEL", "NEV"):
        write_pictures(tmp_path / "set" / code, [code])
    assert open_photos(tmp_path / "set").codes == ("MEL", "NEV")


def test_what_a_challenge_trained_class_folders_do_not_show_as_unseen(tmp_path: Path) -> None:
    """The same photographs, sorted into folders and under the archive's plain names."""
    for code, own in (("MEL", NAMES[:2]), ("NEV", NAMES[2:4])):
        write_pictures(tmp_path / code, own)
    photos = open_photos(tmp_path)
    listed = {"isic_2019": {"patients": [], "images": [f"{NAMES[0]}_downsampled", NAMES[2]]}}
    checkpoint = Checkpoint("m", photos.classes, None, {}, trained=listed)  # type: ignore[arg-type]
    assert [photo.path.stem for photo in unseen(photos, checkpoint).photos] == [NAMES[1], NAMES[3]]


HEADER_2019 = "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK"


def isic_2019(folder: Path, *images: str, groups: str = "") -> Path:
    """Images in turn MEL and NV, and a table of lesions."""
    rows = [f"{image},{'1,0' if number % 2 == 0 else '0,1'},0,0,0,0,0,0,0" for number, image in enumerate(images)]
    (folder / "truth.csv").write_text("\n".join([HEADER_2019, *rows]) + "\n")
    if groups:
        (folder / "groups.csv").write_text(groups)
    return folder


@pytest.mark.parametrize(
    "name", ["isic_0000001", "train/ISIC_0000001.jpg", "train\\ISIC_0000001", "ISIC_0000001_downsampled"]
)
def test_lesions_are_found_however_a_table_writes_an_image(tmp_path: Path, name: str) -> None:
    write_pictures(tmp_path / "input", ["ISIC_0000001", "ISIC_0000002"])
    groups = f"image,age_approx,lesion_id\n{name},55,L1\nISIC_0000002,55,L1\n"
    photos = open_photos(isic_2019(tmp_path, "ISIC_0000001", "ISIC_0000002", groups=groups))
    assert photos.patients == ["isic:L1", "isic:L1"]


def test_an_id_in_other_capitals_is_the_same_photograph() -> None:
    assert archive_id("isic_0000001.jpg") == archive_id("ISIC_0000001_downsampled") == "ISIC_0000001"
    assert archive_id("pat_1_2_3.png") == "PAT_1_2_3"


def test_a_photograph_in_two_sizes_is_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path / "input", ["ISIC_0000001", "ISIC_0000001_downsampled"])
    with pytest.raises(InputError, match="one photograph in two sizes"):
        open_photos(isic_2019(tmp_path, "ISIC_0000001", "ISIC_0000001_downsampled"))


def test_a_table_of_unknown_diagnoses_alone_is_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path / "input", ["ISIC_0000001"])
    (tmp_path / "truth.csv").write_text(f"{HEADER_2019}\nISIC_0000001,0,0,0,0,0,0,0,0,1\n")
    with pytest.raises(InputError, match="gives no image a class; left out: 1 UNK"):
        open_photos(tmp_path)


def test_a_table_with_true_and_false(tmp_path: Path) -> None:
    write_pictures(tmp_path / "input", ["ISIC_0000001"])
    (tmp_path / "truth.csv").write_text(f"{HEADER_2019}\nISIC_0000001,False,True{',False' * 7}\n")
    assert open_photos(tmp_path).counts["NV"] == 1


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("ISIC_0000001,P1,nevus,benign,1", "row 2: benign, and target 1; which is it"),
        ("ISIC_0000001,P1,basal cell carcinoma,malignant,1", "row 2: malignant, and basal cell carcinoma"),
    ],
)
def test_a_row_of_2020_that_says_two_things(tmp_path: Path, row: str, words: str) -> None:
    write_pictures(tmp_path / "train", ["ISIC_0000001"])
    (tmp_path / "train.csv").write_text(f"image_name,patient_id,diagnosis,benign_malignant,target\n{row}\n")
    with pytest.raises(InputError, match=words):
        open_photos(tmp_path)
