"""Folders in the layouts of the ISIC challenges, small, with noise for photographs."""

from __future__ import annotations

import csv
from pathlib import Path
from zlib import crc32

import numpy as np
from PIL import Image


def write_table(path: Path, rows: list[tuple[str, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def write_pictures(folder: Path, names: list[str], suffix: str = ".jpg") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    seed = crc32(f"{folder.parent.name}/{folder.name} {len(names)}".encode())  # no picture is in two folders
    rng = np.random.default_rng(seed)
    for name in names:
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).save(folder / f"{name}{suffix}")


def write_masks(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("L", (40, 30), 255).save(folder / f"{name}_segmentation.png")


def write_2017(folder: Path, rows: list[tuple[str, str, str]], *, masks: int) -> None:
    """The layout of the ISIC 2017 challenge, with superpixels beside the photographs."""
    data, truth = folder / "ISIC-2017_Training_Data", folder / "ISIC-2017_Training_Part1_GroundTruth"
    data.mkdir(parents=True)
    truth.mkdir()
    rng = np.random.default_rng(0)
    for number, (name, *_) in enumerate(rows):
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).save(data / f"{name}.jpg")
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).save(data / f"{name}_superpixels.png")
        if number < masks:
            mask = np.zeros((30, 40), np.uint8)
            mask[:, 20:] = 255
            Image.fromarray(mask).save(truth / f"{name}_segmentation.png")
    with (folder / "ISIC-2017_Training_Part3_GroundTruth.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image_id", "melanoma", "seborrheic_keratosis"), *rows])


ROWS_2017 = [("ISIC_0000001", "1.0", "0.0"), ("ISIC_0000002", "0.0", "1.0"), ("ISIC_0000003", "0.0", "0.0")]


def write_task_1(folder: Path, names: list[str]) -> None:
    """ISIC 2018, task 1: photographs and masks, no diagnosis."""
    for part, own in (("Training", names[1:]), ("Validation", names[:1])):
        write_pictures(folder / f"ISIC2018_Task1-2_{part}_Input", own)
        write_masks(folder / f"ISIC2018_Task1_{part}_GroundTruth", own)
