"""The same check for photographs that are read already, as those of a training run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from edge.data.identity import patient_keys
from edge.data.table import Photo

from .belonging import PATIENT, Belonging
from .leaks import Leak, Placed, leaks_of


def leaks_between(parts: Mapping[str, Iterable[Photo]], near_copies: Sequence[tuple[Photo, Photo]]) -> list[Leak]:
    """Files, patients and near-copies that are in two of the parts; `near_copies`: pairs that look the same."""
    belonging = Belonging([])
    own: dict[str, dict[str, None]] = {}
    names: dict[str, str] = {}
    for part, photos in parts.items():
        for photo in photos:
            key = str(photo.path)
            own.setdefault(key, {})[part] = None
            names.setdefault(key, photo.image_id)
            belonging.owners.setdefault(key, {}).setdefault(PATIENT, set()).update(patient_keys(photo))
    images = Placed({key: tuple(inside) for key, inside in own.items()}, names)
    return leaks_of(images, belonging, [(str(first.path), str(second.path)) for first, second in near_copies])
