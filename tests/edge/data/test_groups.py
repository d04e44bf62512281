"""Who must not be on two sides of a split, from every table that says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.data.groups import groups_in
from edge.data.readers import open_photos
from edge.errors import InputError


def write(folder: Path, **tables: str) -> list[Path]:
    paths = []
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)
        paths.append(folder / f"{name}.csv")
    return paths


def test_a_lesion_of_a_patient_is_the_patients(tmp_path: Path) -> None:
    """One row names both, another the lesion alone: they are one person."""
    groups = groups_in(write(tmp_path, a="isic_id,patient_id,lesion_id\n1,P1,L1\n2,,L1\n3,nan,L2\n4,unknown,\n"))
    assert [groups.of(name) for name in "1234"] == ["P1", "P1", "L2", "4"]
    assert any("named for 1 photographs" in note for note in groups.notes(list("1234")))


def test_tables_are_joined(tmp_path: Path) -> None:
    tables = write(
        tmp_path,
        lesions="image,lesion_id\na,L1\nb,L1\nc,L2\n",
        patients="image_name,patient_id\nb,P2\nc,P1\n",
        pairs="image_name_1,image_name_2\nc,d\n",
        blocks="isic_id,block\na,X\nd,X\ne,X\nf,X\n",
    )
    groups = groups_in(tables)
    assert [groups.of(name) for name in "abcdef"] == ["P2", "P2", "P1", "P1", "X", "X"]


def test_a_pair_of_two_patients_is_named(tmp_path: Path) -> None:
    groups = groups_in(write(tmp_path, a="image,patient_id\na,P1\nb,P2\n", b="image_name_1,image_name_2\nb,a\n"))
    assert groups.of("a.jpg") == groups.of("b") == "P1"
    assert any("groups of several patients" in note and "P1 and P2" in note for note in groups.notes(["a", "b"]))


def test_a_pair_of_which_no_patient_is_named_is_one_group(tmp_path: Path) -> None:
    groups = groups_in(write(tmp_path, b="image_name_1,image_name_2\nISIC_2,ISIC_1\n"))
    assert groups.of("ISIC_1.jpg") == groups.of("ISIC_2.jpg")
    assert groups.of("ISIC_3.jpg") == "ISIC_3.jpg"


def test_isic_2020_keeps_duplicates_together(tmp_path: Path) -> None:
    write(
        tmp_path,
        train="image_name,patient_id,benign_malignant\nISIC_1,IP_1,benign\nISIC_2,IP_2,malignant\nISIC_3,IP_3,benign\n",
        ISIC_2020_Training_Duplicates="image_name_1,image_name_2\nISIC_1,ISIC_3\n",
    )
    for number in (1, 2, 3):
        (tmp_path / f"ISIC_{number}.jpg").write_text(str(number))
    assert open_photos(tmp_path).patients == ["isic:IP_1", "isic:IP_2", "isic:IP_1"]


def test_folders_tell_images_of_one_name_apart(tmp_path: Path) -> None:
    """Else all patients whose photographs are called 1.jpg, 2.jpg … would be one."""
    rows = "image,patient_id\n" + "".join(f"{p}/{n}.jpg,{p}\n" for p in ("P1", "P2") for n in (1, 2))
    groups = groups_in(write(tmp_path, a=rows))
    assert [groups.of(name) for name in ("P1/1.jpg", "p1/2", "P2/1.jpg", "P2/2")] == ["P1", "P1", "P2", "P2"]
    with pytest.raises(InputError, match=r"b.csv names 1.jpg without its folder, and several images are called so"):
        groups_in(write(tmp_path, a=rows, b="image,lesion_id\n1.jpg,L1\n"))
