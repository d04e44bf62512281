"""From photographs to what parity judges on, and from its findings to what manifests and screens say."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge.data.identity import patient_key
from edge.data.table import PhotoSet
from edge.manifest import MaskParity, Parity
from edge.metrics.gates import FileParity, Verdict
from edge.metrics.masks import Masks
from edge.metrics.observations import UNKNOWN, Observations
from edge.report.strict import plain
from edge.report.words import in_words


def observations_of(
    photos: PhotoSet, reference: np.ndarray, masks: np.ndarray | None = None, *, views: int = 1
) -> Observations:
    """`reference`: probabilities (N, K) of the float32 torch model on these photographs, in their order; `masks`
    (N, S, S) where it gives them. With several `views`: of the photographs, then of all in another view, and so on."""
    index = {code: i for i, code in enumerate(photos.codes)}
    return Observations(
        image_ids=tuple(
            f"{photo.domain}/{photo.image_id}{of_view(v)}" for v in range(views) for photo in photos.photos
        ),
        groups=tuple(patient_key(photo) for photo in photos.photos) * views,
        domains=tuple(photo.domain for photo in photos.photos) * views,
        labels=np.array([index.get(photo.label, UNKNOWN) for photo in photos.photos] * views, np.int64),
        class_codes=photos.codes,
        class_names=tuple(label.name for label in photos.classes),
        malignant=tuple(label.malignant for label in photos.classes),
        reference=reference,
        masks=masks,
        views=views,
    )


def of_view(number: int) -> str:
    """What the id of an image has behind that of its photograph."""
    return f", view {number}" if number else ""


def parity_summary(result: FileParity, *, runtime: str, photos: PhotoSet, binding: bool) -> Parity:
    """The manifest's `parity` of a file."""
    statistics = result.statistics
    sqnr = statistics.sqnr_db.value if statistics else None
    return Parity(
        runtime=runtime,
        images=result.images,
        data=photos.name,
        synthetic=photos.synthetic,
        verdict=str(result.verdict),
        binding=binding,
        sqnr_db_median=sqnr if sqnr is not None and np.isfinite(sqnr) else None,
        agreement=statistics.agreement.value if statistics else 0.0,
        largest_delta_p=min(1.0, statistics.largest_delta_p) if statistics else 1.0,
        masks=mask_summary(statistics.masks) if statistics and statistics.masks else None,
        patients=len(set(photos.patients)),
        views=statistics.views if statistics else 1,
    )


def mask_summary(masks: Masks) -> MaskParity:
    """The manifest's `masks` of a file: null where no image had a mask."""
    values = (masks.dice.value, masks.iou, masks.boundary.value)
    return MaskParity(*(float(value) if np.isfinite(value) else None for value in values))


def shortfalls(found: FileParity) -> tuple[str, ...]:
    """What failed, in words."""
    return tuple(f"{check.name}: {in_words(plain(check))}" for check in found.checks if check.verdict is Verdict.FAIL)


def undecided(found: FileParity) -> tuple[dict[str, Any], ...]:
    """The checks for which too few patients were seen, as a report has them (`edge.report.words.undecided`)."""
    return tuple(plain(check) for check in found.checks if check.verdict is Verdict.INCONCLUSIVE)
