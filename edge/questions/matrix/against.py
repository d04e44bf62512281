"""One file's answers in a runtime against those where phones run it: a row, with the operator that is off."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from edge.data.squares import cache_folder
from edge.errors import InputError
from edge.exporting import first_line
from edge.progress import busy
from edge.questions.matrix.compare import DIFFERS, compared
from edge.questions.matrix.limits import limits_of
from edge.questions.matrix.operators import search
from edge.questions.matrix.rounding import FLOAT16_UNIT, FLOAT32_UNIT
from edge.questions.matrix.ways import FORCED_FP16
from edge.runtimes.foreign import as_kind
from edge.runtimes.foreign.tflite import Contents
from edge.tflite.graph import DAMAGED

SHOWN = 12  # operators that differ, of one file in one runtime


class Against:
    """One .tflite and what it says of pictures where phones run it; limits are derived once for each arithmetic."""

    def __init__(self, contents: Contents, squares: np.ndarray, numbers: np.ndarray, gives: str) -> None:
        """`squares`: uint8 (N, H, W, 3); `numbers`: (N, K), and what the file gives, as `probabilities_of` says."""
        self.contents, self.squares, self.numbers, self.gives = contents, squares, numbers, gives
        self.limits: dict[float, np.ndarray | str] = {}

    def derive(self, unit: float = FLOAT32_UNIT) -> np.ndarray | str:
        """The limit for each picture, or why there is none; worked out once for each unit roundoff."""
        if unit not in self.limits:
            self.limits[unit] = derived(self.contents, self.squares, unit, self.gives)
        return self.limits[unit]

    def row(self, mode: str, vectors: np.ndarray) -> dict[str, Any]:
        """`vectors`: (N, K), as the runtime `mode` gives them."""
        unit = FLOAT16_UNIT if mode == FORCED_FP16 else FLOAT32_UNIT
        limit = self.derive(unit)
        row = compared(self.numbers, as_kind(vectors, self.gives), limit if isinstance(limit, np.ndarray) else None)
        if isinstance(limit, str):
            row["why"] = row["why"] or limit
        if row["state"] == DIFFERS:
            row["operators"] = operators_of(self.contents, mode, self.squares[row["image"]], unit)
        return row


def derived(
    contents: Contents, squares: np.ndarray, unit: float, gives: str, *, source: bool = False
) -> np.ndarray | str:
    """The limit for each picture, or why there is none. `source`: against the float network instead of a runtime."""
    try:
        with busy(f"what rounding does in {contents.path.name}"):
            return limits_of(contents, squares, unit, gives=gives, source=source)
    except InputError as error:
        return str(error)


def operators_of(contents: Contents, mode: str, square: np.ndarray, unit: float) -> dict[str, Any]:
    """Which operators differ, each alone, as JSON values."""
    try:
        result = search(contents, mode, square, unit, cache_folder())
    except (InputError, OSError, *DAMAGED) as error:  # what is known of the answers must not be lost with it
        why = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {first_line(error)}"
        return {"compared": 0, "left_out": 0, "count": 0, "first": None, "different": [], "why": why}
    return {
        "compared": result.compared,
        "left_out": result.left_out,
        "count": len(result.different),
        "first": asdict(result.first) if result.first else None,
        "different": [asdict(difference) for difference in result.different[:SHOWN]],
        "why": "",
    }
