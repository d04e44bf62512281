"""What every report begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import edge
from edge.report import class_counts
from edge.report.strict import plain

if TYPE_CHECKING:
    from edge.checkpoint import Checkpoint
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


def data_block(photos: PhotoSet, checkpoint: Checkpoint | None = None, **more: Any) -> dict[str, Any]:
    """What the photographs were; `more` is what one question alone says of them.

    `patients_unknown` stands there where nobody knows which patients trained the network: some of these may have. The
    note also says which classes have no photograph, or hardly any.
    """
    counts = {label.code: sum(photo.label == label.code for photo in photos.photos) for label in photos.classes}
    rough = class_counts.remarks(counts) if any(counts.values()) else []
    return {
        "name": photos.name,
        "images": len(photos),
        "patients": len(set(photos.patients)),
        "synthetic": photos.synthetic,
        **({"patients_unknown": True} if checkpoint is not None and maybe_seen(checkpoint) else {}),
        "note": "; ".join([*photos.notes, *(remark.removesuffix(".") for remark in rough)]),
        **more,
    }


def maybe_seen(checkpoint: Checkpoint) -> bool:
    """Whether patients that a network is judged on may have trained it; random weights were trained by nobody."""
    return checkpoint.patients_unknown
