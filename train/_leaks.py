"""A run looks at its own split before it trains: nothing may be in two parts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from edge.data.near_copies import MOST_PHOTOS, kept_near_copies
from edge.data.split_check.leaks import NEAR_COPY
from edge.data.split_check.photo_parts import leaks_between
from edge.data.squares import load_squares
from edge.data.table import PhotoSet
from edge.errors import InputError

from ._cut import ROLES, Cut

log = logging.getLogger("dermedge")

NAMES_SHOWN = 3


@dataclass(frozen=True)
class SplitLeaks:
    """What a look at a split gave; images and patients in two parts are none, or the run would not have begun."""

    compared: bool  # whether near-copies were looked for
    near_copies: int  # that are in two parts
    learned: int  # unseen photographs of which the same picture is learned


def check_leaks(cuts: Sequence[Cut], sets: Sequence[PhotoSet], side: int) -> SplitLeaks:
    """Say which near-copies the split parts; `sets` were read at `side` pixels, so that their near-copies are kept.

    Raises InputError where a photograph or a patient is in two parts.
    """
    photos = [photo for own in sets for photo in own.photos]
    pairs: list[tuple[int, int]] = []
    compared = len(photos) <= MOST_PHOTOS
    if compared:
        squares = chain.from_iterable(load_squares(own, side)[1] for own in sets)  # not read where pairs are kept
        pairs = kept_near_copies(photos, squares, side)
    parts = {role: [photo for cut in cuts for photo in getattr(cut, role).photos] for role in ROLES}
    leaks = leaks_between(parts, [(photos[i], photos[j]) for i, j in pairs])
    sure = [leak for leak in leaks if leak.kind != NEAR_COPY]
    if sure:
        raise InputError(
            f"the {sure[0].kind} {sure[0].name} is in {' and in '.join(sure[0].parts)}; nothing may be in two parts"
        )
    if not leaks:
        log.info("the split has no photograph, patient or near-copy in two parts")
        return SplitLeaks(compared, 0, 0)
    learned = {name for leak in leaks if {"train", "unseen"} <= set(leak.parts) for name in leak.images["unseen"]}
    shown = "; ".join(f"{leak.name} ({' and '.join(leak.parts)})" for leak in leaks[:NAMES_SHOWN])
    log.warning(
        f"the split parts {len(leaks)} near-copies: {shown}{'; …' if len(leaks) > NAMES_SHOWN else ''}; of "
        f"{len(learned)} unseen photographs the same picture is learned, and the figures flatter by that"
    )
    return SplitLeaks(compared, len(leaks), len(learned))
