"""What an earlier measurement left beside a checkpoint, and words for a new one. The same for all formats."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edge import scheme as schemes
from edge.data.table import PhotoSet
from edge.scheme import Scheme


def measured_on(photos: PhotoSet) -> str:
    """In words: which images the measurement saw."""
    if photos.synthetic:
        return f"measured on {len(photos)} synthetic images, because no photographs of training patients were at hand"
    return f"measured on {len(photos)} photographs of training patients ({photos.name})"


def first(values: Iterable[Any]) -> Any:
    """The first that is not None, or None."""
    return next((value for value in values if value is not None), None)


def kept_scheme(path: Path, checkpoint_sha256: str, key: str) -> Scheme | None:
    """The scheme kept at `path`, if it is there and of this checkpoint and graph."""
    if not path.is_file():
        return None
    scheme = schemes.load(path)
    return scheme if (scheme.checkpoint_sha256, scheme.graph) == (checkpoint_sha256, key) else None
