"""Tables that are written: CSV, whole or not at all."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from edge.files import moved_into_place


def write_rows(target: Path, names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A CSV with the header `names`. Names of files need be no text: such bytes are written as escapes."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([names, *rows])
    with moved_into_place(target) as path:
        path.write_text(text.getvalue(), encoding="utf-8", errors="backslashreplace", newline="")
