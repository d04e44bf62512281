"""Rows whose class would change if the file's error were larger: they tell how changes cluster before any is seen."""

from __future__ import annotations

import numpy as np

from edge.metrics.clustered import Bools, Clusters
from edge.metrics.statistics import Floats

ENOUGH = 30  # rows
STEP, STEPS = 1.25, 32  # by which the error is enlarged, up to 1.25^32 = 1,260 times


def correlation_of_changes(logits: Floats, candidate_logits: Floats, clusters: Clusters) -> float:
    """Correlation within a patient, 0..1, of changes of the class, both (N, K) logits of the same rows.

    The error of every row is enlarged until ENOUGH rows change their class. Which rows these are depends on how near
    the two first classes are and on how large the error is there, as it does for the changes that are seen, of which
    there are too few. USUAL where even the largest enlargement changes nothing.
    """
    changed = enlarged(logits, candidate_logits)
    return clusters.correlation(changed)


def enlarged(logits: Floats, candidate_logits: Floats) -> Bools:
    """(N,): whose class changes under the smallest enlargement that changes ENOUGH of them, or the largest there is."""
    first, error = logits.argmax(axis=1), candidate_logits - logits
    changed = np.zeros(len(first), bool)
    for power in range(STEPS + 1):
        changed = (logits + STEP**power * error).argmax(axis=1) != first
        if np.count_nonzero(changed) >= ENOUGH:
            break
    return changed
