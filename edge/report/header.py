"""What every report begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import edge
from edge.report.strict import plain

if TYPE_CHECKING:
    from edge.data.table import PhotoSet

NOTICE = "Research and engineering use; not a medical device."


def header(
    schema: str, *, model: str | None = None, checkpoint_sha256: str | None = None, data: dict[str, Any] | None = None
) -> dict[str, Any]:
    """`model` and `checkpoint_sha256` are left out of a report on several models, `data` of one on none."""
    about = {"model": model, "checkpoint_sha256": checkpoint_sha256, "data": plain(data)}
    return {
        "schema": schema,
        "notice": NOTICE,
        "dermedge": edge.__version__,
        **{key: value for key, value in about.items() if value is not None},
    }


def data_block(photos: PhotoSet, **more: Any) -> dict[str, Any]:
    """What the photographs were; `more` is what one question alone says of them."""
    return {
        "name": photos.name,
        "images": len(photos),
        "patients": len(set(photos.patients)),
        "synthetic": photos.synthetic,
        "note": "; ".join(photos.notes),
        **more,
    }
