"""The sample on disk: table, photographs and the note that says what they are."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edge.errors import InputError
from edge.files import moved_into_place

from ._camera import photograph, save, save_mask
from ._lesions import draw_lesion
from ._noise import Noise, Rng
from ._plan import COLUMNS, SHARES, Lesion, describe, plan, skin_darkness
from ._skin import WINDOW, Patch, draw_hairs, draw_pen, draw_skin

MIN_PATIENTS, MAX_PATIENTS = len(SHARES), 10_000  # fewer, and a class would be missing

NOTICE = """\
SYNTHETIC - these photographs are drawn by a computer (edge/data/synthetic, seed {seed}).

They show no person and no disease. Whatever is measured on them tells whether software runs; it proves
nothing about skin, about diagnoses, or about how a model does on photographs of people.

Layout and columns are those of PAD-UFES-20 (doi:10.17632/zr7vgbcyr2.1); no file or value is taken from it.
No column but `diagnostic` depends on the class, nor does which cells are blank.
"""


def write_sample(
    folder: Path, *, seed: int = 0, patients: int = 48, on_progress: Callable[[int, int], None] | None = None
) -> Path:
    """Draw the sample into a new `folder` and return it; about 4.7 photographs and 0.7 MB per patient.

    Writes `metadata.csv`, `images/imgs_part_{1,2,3}/*.jpg`, `masks/*_segmentation.png` and `SYNTHETIC.txt`, all or
    nothing.
    `on_progress(done, total)` is called after every photograph. Raises InputError if `folder` exists.
    """
    folder = Path(folder)
    check_whole("seed", seed, 0, 2**32 - 1)
    check_whole("patients", patients, MIN_PATIENTS, MAX_PATIENTS)
    if folder.exists() or folder.is_symlink():
        raise InputError(f"{folder} exists; the synthetic sample is written to a new folder only. Name another one")
    lesions = plan(seed, patients)
    total, done = sum(lesion.photos for lesion in lesions), 0
    with moved_into_place(folder) as work:
        for part in range(1, 4):
            (work / f"images/imgs_part_{part}").mkdir(parents=True)
        (work / "masks").mkdir()
        rows = []
        grain = Noise(seed)
        for lesion in lesions:
            patch, diameter = draw_patch(np.random.default_rng((seed, lesion.number)), lesion, grain, seed)
            facts = describe(seed, lesion, diameter)
            for shot in range(lesion.photos):
                rng = np.random.default_rng((seed, lesion.number, shot))
                name = f"SYN_{seed}_{lesion.patient}_{lesion.number}_{rng.integers(10, 100)}{shot}.jpg"
                picture, mask = photograph(rng, patch, grain)
                save(picture, rng, work / f"images/imgs_part_{lesion.patient % 3 + 1}" / name)
                save_mask(mask, work / "masks" / f"{Path(name).stem}_segmentation.png")
                rows.append(facts | {"img_id": name})
                done += 1
                if on_progress:
                    on_progress(done, total)
        with (work / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
        (work / "SYNTHETIC.txt").write_text(NOTICE.format(seed=seed), encoding="utf-8")
    return folder


def check_whole(name: str, value: int, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InputError(f"{name} of the synthetic sample: expected a whole number of {low} to {high}, got {value!r}")


def draw_patch(rng: Rng, lesion: Lesion, noise: Noise, seed: int) -> tuple[Patch, float]:
    """A patch of skin with the lesion in its middle, and the lesion's diameter as a share of a photograph."""
    darkness = skin_darkness(seed, lesion.patient)
    patch = draw_skin(rng, darkness, noise)
    diameter = float(np.exp(rng.uniform(np.log(0.22), np.log(0.55))))
    draw_lesion(rng, lesion.code, patch, diameter * WINDOW, darkness, noise)
    draw_hairs(rng, patch, darkness)
    if rng.random() < 0.12:
        draw_pen(rng, patch, diameter * WINDOW)
    return patch, diameter
