"""Pictures that should be sent back: what the gate and the model make of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from edge.capture import read_photo
from edge.data.table import PhotoSet
from edge.decision import CHECKS, OUTCOMES, RETAKE, Thresholds, decide, retake
from edge.metrics.statistics import wilson
from edge.progress import counting, track
from edge.questions.decision.pictures import WORSE, corners, cuts_of_other_photographs, drawings
from edge.runtimes.reference import Reference


def worse_copies(
    sets: Mapping[str, list[int]], squares: np.ndarray, network: Reference, rule: Thresholds
) -> list[dict[str, Any]]:
    """Every photograph, made worse in every way: what becomes of it."""
    done, total, rows = 0, len(WORSE) * sum(map(len, sets.values())), []
    with counting("making photographs worse") as advance:
        for way, spoil in WORSE.items():
            for name, places in sets.items():
                copies = [spoil(np.array(squares[i]), n) for n, i in enumerate(places)]
                rows.append({"what": way, "photographs": name} | outcomes_of(copies, network, rule))
                done += len(places)
                advance(done, total)
    return rows


def skin_without_spot(
    sets: Mapping[str, list[int]], photos: PhotoSet, network: Reference, rule: Thresholds
) -> list[dict[str, Any]]:
    """The corners of every photograph instead of its middle: what becomes of skin without a spot."""
    rows = []
    for name, places in sets.items():
        cuts = []
        for i in track(places, f"corners of {name}", len(places)):
            cuts += corners(read_photo(photos.photos[i].path), rule.side)
        rows.append({"what": "a corner of the photograph", "photographs": name} | outcomes_of(cuts, network, rule))
    return rows


def not_skin(network: Reference, rule: Thresholds) -> list[dict[str, Any]]:
    """Drawings, and cuts of photographs of other things: what becomes of pictures without skin."""
    kinds = [*drawings(rule.side), *cuts_of_other_photographs(rule.side).items()]
    return [
        {"what": kind} | outcomes_of(pictures, network, rule)
        for kind, pictures in track(kinds, "pictures without skin", len(kinds))
    ]


def outcomes_of(pictures: Iterable[np.ndarray], network: Reference, rule: Thresholds) -> dict[str, Any]:
    # run the model only on pictures that pass: most of these do not
    decisions = [
        retake(picture, rule) or decide(picture, network.run(picture[None]).probabilities[0], rule)
        for picture in pictures
    ]
    counted = Counter(decision.outcome for decision in decisions)
    return {
        "images": len(decisions),
        "outcomes": {outcome: counted[outcome] for outcome in OUTCOMES},
        "sent_back": wilson(counted[RETAKE], len(decisions)),
        "by_check": {check: sum(check in decision.failed for decision in decisions) for check in CHECKS},
    }
