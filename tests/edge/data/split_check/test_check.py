"""A split with a planted leak is told, in each form that people write splits in."""

from __future__ import annotations

import csv
import os
import random
import shutil
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from edge.data.quick_look import grey_square
from edge.data.split_check.check import SplitCheck, check_split
from edge.data.split_check.leaks import IMAGE, KINDS, NEAR_COPY, PAIR
from edge.data.split_check.parts import REST, read_split
from edge.errors import InputError

PHOTOS = pytest.mark.skipif(
    "DERMEDGE_PHOTOS" not in os.environ, reason="DERMEDGE_PHOTOS names no folder of real photographs"
)
TABLE = "image,patient_id,lesion_id\na,P1,1\nb,P1,1\nc,P1,2\nd,P2,1\ne,P3,1\nf,,\n"


def write(folder: Path, **tables: str) -> dict[str, Path]:
    paths = {name: folder / f"{name}.csv" for name in tables}
    for name, text in tables.items():
        paths[name].write_text(text)
    return paths


def kinds_of(checked: SplitCheck) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for leak in checked.leaks:
        names.setdefault(leak.kind, []).append(leak.name)
    return names


def test_patients_lesions_and_images_in_two_parts(tmp_path: Path) -> None:
    """Lesion 1 of P1 is another one than lesion 1 of P2: numbers of lesions are those of their patient."""
    paths = write(tmp_path, table=TABLE, split="image,fold\na.jpg,0\nB.JPG,1\nc,0\nd,1\ne,0\ne,1\nf,1\n")
    checked = check_split([paths["table"]], [paths["split"]])
    assert kinds_of(checked) == {"image": ["e"], "patient": ["P1"], "lesion": ["P1/1"]}
    assert checked.as_json()["clean"] == {"0": 0, "1": 2}
    assert any("for 1 of 6 images, first f" in note for note in checked.notes)


def test_a_sound_split_has_no_leak(tmp_path: Path) -> None:
    paths = write(tmp_path, table=TABLE, split="image,split\na,train\nb,train\nc,train\nd,test\ne,test\n")
    checked = check_split([paths["table"]], [paths["split"]])
    assert checked.leaks == []
    assert checked.as_json()["clean"] == {"train": 3, "test": 2}


def test_official_duplicates_and_who_is_joined_by_them(tmp_path: Path) -> None:
    """A pair of two patients makes them one: the other image of P2 is not clean either."""
    paths = write(
        tmp_path,
        table="image,patient_id\na,P1\nb,P2\nc,P2\nd,P3\n",
        pairs="image_name_1,image_name_2\na,b\n",
        split="image,split\na,train\nb,test\nc,test\nd,test\n",
    )
    checked = check_split([paths["table"], paths["pairs"]], [paths["split"]])
    assert kinds_of(checked) == {PAIR: ["a and b"]}
    assert checked.clean == {"d"}


def test_forms_of_a_split(tmp_path: Path) -> None:
    table = write(tmp_path, table=TABLE)["table"]
    lists = write(tmp_path, train="image\na\nb\nc\n", test="image,label\nd,x\ne,y\n")
    names = tmp_path / "names.txt"
    names.write_text("c.jpg\nd.jpg\n")
    assert check_split([table], [lists["train"], lists["test"]]).parts == {"train": 3, "test": 2}
    alone = check_split([table], [names])
    assert alone.parts == {"names": 2, REST: 4}
    assert kinds_of(alone) == {"patient": ["P1"]}
    listed = write(tmp_path, said="image,label,predicted\nd,x,x\ne,y,x\n")["said"]
    by_predictions = check_split([table], predictions=listed)
    assert by_predictions.parts == {"said": 2, REST: 4}
    assert by_predictions.leaks == []


def lesion(seed: int, side: int = 200) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(40, 220, (12, 12, 3)).astype(np.float32)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def save(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, quality=90) if path.suffix == ".jpg" else Image.fromarray(picture).save(path)


def test_folders_and_a_near_copy_in_another_form(tmp_path: Path) -> None:
    """1.jpg in two folders are two photographs; a turned PNG of another name is the same one."""
    for number, place in enumerate(("train/mel/1.jpg", "train/nev/2.jpg", "test/mel/1.jpg", "test/nev/3.jpg")):
        save(tmp_path / place, lesion(number))
    checked = check_split(split=[tmp_path])
    assert (checked.leaks, checked.compared) == ([], 4)
    save(tmp_path / "test" / "nev" / "4.png", np.rot90(lesion(1, 900)))
    checked = check_split(split=[tmp_path])
    assert kinds_of(checked) == {NEAR_COPY: ["train/nev/2.jpg and test/nev/4.png"]}
    assert len(checked.clean) == 3


def test_an_archive_photograph_in_two_folders_is_one(tmp_path: Path) -> None:
    save(tmp_path / "a" / "ISIC_0000001.jpg", lesion(1))
    save(tmp_path / "b" / "ISIC_0000001_downsampled.jpg", lesion(1, 128))
    assert kinds_of(check_split(split=[tmp_path / "a", tmp_path / "b"])) == {IMAGE: ["a/ISIC_0000001.jpg"]}


def test_pad_ids_name_their_patient_without_a_table(tmp_path: Path) -> None:
    split = write(tmp_path, split="image,split\nPAT_1_2_3.png,train\nPAT_1_4_5.png,test\nPAT_2_2_3.png,test\n")
    assert kinds_of(check_split(split=[split["split"]])) == {"patient": ["PAT_1"]}


def test_a_photograph_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    save(tmp_path / "a" / "1.jpg", lesion(1))
    save(tmp_path / "b" / "2.jpg", lesion(2))
    (tmp_path / "b" / "3.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    with pytest.raises(InputError, match=r"1 photographs cannot be read: .*3\.jpg"):
        check_split(split=[tmp_path])
    assert check_split(split=[tmp_path], skip_unreadable=True).compared == 2


@pytest.mark.parametrize("factor", [1, 4])
def test_a_quick_look_is_the_picture(factor: int, tmp_path: Path) -> None:
    """Pillow's grey picture, whole and averaged, is the oracle."""
    save(tmp_path / "a.jpg", lesion(3, 200 * factor))
    with Image.open(tmp_path / "a.jpg") as image:
        whole = np.asarray(image.convert("L").resize((50, 50), Image.Resampling.BOX), np.int16)
    seen = cv2.resize(grey_square(tmp_path / "a.jpg"), (50, 50), interpolation=cv2.INTER_AREA)
    assert np.abs(whole - seen).mean() < 2


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("image,split\na,train\nb,train\n", "has only the part train; expected two parts or more"),
        ("image,split\na,train\nb,\n", "gives 1 rows no part in its column split"),
        ("patient,split\nP1,train\nP2,test\n", "has no column of images"),
    ],
)
def test_what_is_no_split_is_refused(split: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        check_split(split=[write(tmp_path, split=split)["split"]])


def test_what_names_no_images_is_refused(tmp_path: Path) -> None:
    paths = write(tmp_path, table="patient_id,age\nP1,3\n", split="image,split\na,train\nb,test\n")
    with pytest.raises(InputError, match="names no images; it has the columns patient_id, age"):
        check_split([paths["table"]], [paths["split"]])
    with pytest.raises(InputError, match="no column cv; it has image, split"):
        read_split([paths["split"]], column="cv")


def test_what_is_written(tmp_path: Path) -> None:
    paths = write(tmp_path, table=TABLE, split="image,fold\na,0\nb,1\nd,1\n")
    check_split([paths["table"]], [paths["split"]]).write(tmp_path / "out")
    with (tmp_path / "out" / "images.csv").open() as file:
        rows = [(row["image"], row["part"], row["group"], row["clean"]) for row in csv.DictReader(file)]
    assert rows == [("a", "0", "P1", "0"), ("b", "1", "P1", "0"), ("d", "1", "P2", "1")]
    assert (tmp_path / "out" / "split_check.json").is_file()


# The official tables, of which the expected counts are taken with sets of rows, not with the code under test


def official(name: str) -> tuple[Path, list[dict[str, str]]]:
    path = Path(os.environ["DERMEDGE_PHOTOS"]) / "metadata" / name
    if not path.is_file():
        pytest.skip(f"{name} is not in the folder metadata of DERMEDGE_PHOTOS")
    with path.open(newline="") as file:
        return path, list(csv.DictReader(file))


def in_two(owners: Iterable[tuple[str, str]]) -> set[str]:
    parts: dict[str, set[str]] = {}
    for owner, part in owners:
        parts.setdefault(owner, set()).add(part)
    return {owner for owner, own in parts.items() if owner and len(own) > 1}


def split_at_random(folder: Path, images: list[str]) -> tuple[Path, dict[str, str]]:
    drawn = random.Random(3)
    part_of = {image: drawn.choice(["train", "train", "train", "test"]) for image in images}
    (folder / "split.csv").write_text("image,split\n" + "".join(f"{i},{p}\n" for i, p in part_of.items()))
    return folder / "split.csv", part_of


@pytest.mark.photos
@PHOTOS
def test_pad_ufes_20_split_by_image(tmp_path: Path) -> None:
    table, rows = official("PAD-UFES-20_metadata.csv")
    split, part_of = split_at_random(tmp_path, [row["img_id"] for row in rows])
    names = kinds_of(check_split([table], [split]))
    assert set(names["patient"]) == in_two((row["patient_id"], part_of[row["img_id"]]) for row in rows)
    lesions = in_two((f"{row['patient_id']}/{row['lesion_id']}", part_of[row["img_id"]]) for row in rows)
    assert set(names["lesion"]) == lesions


@pytest.mark.slow(reason="tables of 25,331 and 33,126 rows")
@pytest.mark.photos
@PHOTOS
def test_isic_2019_has_lesions_and_rows_without_any(tmp_path: Path) -> None:
    table, rows = official("ISIC_2019_Training_Metadata.csv")
    split, part_of = split_at_random(tmp_path, [row["image"] for row in rows])
    checked = check_split([table], [split])
    assert set(kinds_of(checked)["lesion"]) == in_two((row["lesion_id"], part_of[row["image"]]) for row in rows)
    assert any("for 2084 of 25331 images" in note for note in checked.notes)
    assert "no patients are named, only lesions" in checked.notes


@pytest.mark.slow(reason="tables of 25,331 and 33,126 rows")
@pytest.mark.photos
@PHOTOS
def test_isic_2020_has_pairs_beside_its_patients(tmp_path: Path) -> None:
    table, rows = official("ISIC_2020_Training_GroundTruth.csv")
    duplicates, pairs = official("ISIC_2020_Training_Duplicates.csv")
    split, part_of = split_at_random(tmp_path, [row["image_name"] for row in rows])
    names = kinds_of(check_split([table, duplicates], [split]))
    assert set(names["patient"]) == in_two((row["patient_id"], part_of[row["image_name"]]) for row in rows)
    torn = [pair for pair in pairs if part_of[pair["image_name_1"]] != part_of[pair["image_name_2"]]]
    assert len(names[PAIR]) == len(torn) > 0
    assert list(names) == [kind for kind in KINDS if kind in names]


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("image,split\na,train\n,train\nd,test\n", "has 1 rows that name no image"),
        ("image,split\na,Train\nb,train\nd,test\n", "the parts Train and train are one"),
        ("image,fold\na,0\nb,0.0\nd,1.0\n", r"the parts 0 and 0\.0 are one"),
        ("", "it is empty"),
    ],
    ids=["no image", "capitals", "decimals", "empty"],
)
def test_a_split_that_would_be_misread_is_refused(tmp_path: Path, split: str, expected: str) -> None:
    """A row without an image counted as one, and `train` beside `Train` as a part that shares its patients."""
    paths = write(tmp_path, table=TABLE, split=split)
    with pytest.raises(InputError, match=expected):
        check_split([paths["table"]], [paths["split"]])


def test_of_two_columns_of_parts_it_is_said_which_counts(tmp_path: Path) -> None:
    paths = write(tmp_path, table=TABLE, split="image,split,fold\na,train,0\nc,train,1\nd,test,1\n")
    assert any("of the column split, not of fold" in note for note in check_split([], [paths["split"]]).notes)
    assert kinds_of(check_split([paths["table"]], [paths["split"]], part="fold")) == {"patient": ["P1"]}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_where_a_table_is_expected(tmp_path: Path) -> None:
    """Reading it would wait for ever."""
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    paths = write(tmp_path, table=TABLE, split="image,split\na,train\nd,test\n")
    for tables, split, predictions in [
        ([pipe], [paths["split"]], None), ([paths["table"]], [pipe], None), ([paths["table"]], [paths["split"]], pipe),
    ]:  # fmt: skip
        with pytest.raises(InputError, match=r"pipe\.csv is a named pipe"):
            check_split(tables, split, predictions=predictions)


@pytest.mark.parametrize(
    "labels", [None, '{"classes": [{"code": "naevus"}, {"code": "growth"}]}'], ids=["known", "own"]
)
def test_class_folders_are_no_parts(tmp_path: Path, labels: str | None) -> None:
    """Nothing is in two classes, so that a set that was given for its split would be called sound."""
    for number, name in enumerate(("naevus", "growth") if labels else ("Melanoma", "NV")):
        (tmp_path / name).mkdir()
        Image.new("RGB", (40, 40), (90 * number, 0, 0)).save(tmp_path / name / f"{number}.png")
    if labels:
        (tmp_path / "labels.json").write_text(labels)
    with pytest.raises(InputError, match=r"are classes \(.*\), no parts"):
        check_split([], [tmp_path])
    parts = tmp_path / "parts"
    for part in ("train", "test"):
        shutil.copytree(tmp_path / ("growth" if labels else "NV"), parts / part / "NV")
    assert kinds_of(check_split([], [parts])) != {}


@pytest.mark.parametrize("names", [("MEL", "UNK"), ("basal_cell_carcinoma", "melanoma"), ("MEL", "NV", "")], ids=str)
@pytest.mark.parametrize("labels", [None, "{", '{"classes": [{"code": "MEL"}]}'], ids=["none", "damaged", "other"])
def test_class_folders_are_known_by_their_names_too(tmp_path: Path, names: tuple[str, ...], labels: str | None) -> None:
    for number, name in enumerate(names):
        (tmp_path / (name or "empty")).mkdir()
        if name:
            Image.new("RGB", (40, 40), (90 * number, 0, 0)).save(tmp_path / name / f"{number}.png")
    if labels:
        (tmp_path / "labels.json").write_text(labels)
    with pytest.raises(InputError, match=r"are classes \(.*\), no parts"):
        check_split([], [tmp_path])


@pytest.mark.parametrize(
    ("by", "roles", "part"),
    [
        ("fold", ("train", "test"), "role"),  # as many folds as parts: each image has one fold for each part, too
        ("part", ("train", "test"), "split"),
        ("split", ("learned", "judged"), "role"),
    ],
)
def test_folds_are_told_from_parts(tmp_path: Path, by: str, roles: tuple[str, str], part: str) -> None:
    """Also beside a test set that no fold learns, and where a row is there twice."""
    lines = [f"{fold},{roles[place % 2 == fold]},{image}\n" for fold in range(2) for place, image in enumerate("acdef")]
    for more in ([], lines[:1], [f"0,{roles[1]},b\n"]):
        table = write(tmp_path, table=TABLE, all=f"{by},{part},file\n" + "".join([*lines, *more]))
        with pytest.raises(
            InputError, match=rf"has a split for each {by}: .* Keep those of one {by}, .* `part` {part}"
        ):
            check_split([table["table"]], [table["all"]])


def test_a_split_beside_other_groups_of_the_same_images_is_taken(tmp_path: Path) -> None:
    """Tasks, cameras or folds that do not move an image to another part."""
    part_of = {image: "train" if place % 2 else "test" for place, image in enumerate("acdef")}
    for column, groups in (("set", ("task1", "task3")), ("fold", ("0", "1"))):
        rows = "".join(f"{image},{part_of[image]},{group}\n" for image in part_of for group in groups)
        paths = write(tmp_path, table=TABLE, all=f"file,split,{column}\n{rows}")
        assert set(check_split([paths["table"]], [paths["all"]]).parts) == {"train", "test"}


def test_a_table_of_all_folds_is_many_splits(tmp_path: Path) -> None:
    """As a balanced set's own: each image is judged in one fold and learned in the others, which is no leak."""
    whole = "".join(
        f"{fold},{'test' if place % 3 == fold else 'train'},{image}\n"
        for fold in range(3)
        for place, image in enumerate("acdef")
    )
    paths = write(tmp_path, table=TABLE, all="fold,role,file\n" + whole)
    for part in (None, "role", "fold"):
        with pytest.raises(InputError, match=r"has a split for each fold: its 5 images are in 15 rows.* `part` role"):
            check_split([paths["table"]], [paths["all"]], part=part)
    one = [line for line in whole.splitlines(keepends=True) if line.startswith("1")]
    paths = write(tmp_path, one="fold,role,file\n" + "".join(one))
    checked = check_split([tmp_path / "table.csv"], [paths["one"]], part="role")
    assert checked.parts == {"train": 3, "test": 2} and kinds_of(checked) == {"patient": ["P1"]}
