"""What there is in a data set and how its patient-level folds come out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dermedge.console import screen
from edge.data.readers import open_photos
from edge.data.splits import patient_folds
from edge.data.squares import load_squares


def overview(folder: Path, *, folds: int, seed: int, side: int, skip_unreadable: bool) -> None:
    from rich.table import Table

    photos = open_photos(folder, skip_missing=skip_unreadable)
    photos, _ = load_squares(photos, side, skip_unreadable=skip_unreadable)
    fold_of = patient_folds(photos.targets, photos.patients, folds=folds, seed=seed)
    kind = "SYNTHETIC, " if photos.synthetic else ""
    table = Table(title=f"{photos.name}: {kind}{len(photos)} photographs, {len(set(photos.patients))} patients")
    table.add_column("class")
    table.add_column("photographs", justify="right")
    for fold in range(folds):
        table.add_column(f"fold {fold}", justify="right")
    targets = np.array(photos.targets)
    for i, label in enumerate(photos.classes):
        per_fold = [str(int(((targets == i) & (fold_of == fold)).sum())) for fold in range(folds)]
        table.add_row(f"{label.code} {label.name}", str(int((targets == i).sum())), *per_fold)
    screen().print(table)
    for note in photos.notes:
        screen().print(f"[yellow]note[/] {note}", soft_wrap=True)
    screen().print(f"licence: {photos.licence}; sha256 {photos.sha256()}", soft_wrap=True)
