"""How near a file's answers are to its float model's: what the choice of 8-bit layers goes by."""

from __future__ import annotations

import numpy as np

from edge.metrics import statistics as st
from edge.runtimes import Outputs

FLOOR = 1e-4  # of a pixel's probability, as of a class's
EQUAL_DB = 200.0  # of answers that are the same, or all but
# A mask may be so much noisier than a class: only its edge can move, and the logits rise steeply there. Measured with
# a resformer_lite in training at 64 pixels, 57 drawn lesions: at 27 dB a median Dice of 0.98, at 31 dB of 0.99,
# where the budget of the class is 35 dB.
MASK_ALLOWANCE_DB = 10.0


def sqnr(wanted: Outputs, outputs: Outputs) -> np.ndarray:
    """dB per image, (N,): of the logits, or of the mask's with its allowance, whichever is worse. At most EQUAL_DB.

    A layer that only the mask reads would look harmless by the class alone.
    """
    worst = st.sqnr_db(st.read_back_logits(wanted.probabilities), st.read_back_logits(outputs.probabilities))
    if wanted.masks is not None and outputs.masks is not None:
        mask = st.sqnr_db(mask_logits(wanted.masks), mask_logits(outputs.masks))
        worst = np.minimum(worst, mask + MASK_ALLOWANCE_DB)
    return np.minimum(worst, EQUAL_DB)


def mask_logits(masks: np.ndarray) -> np.ndarray:
    """(N, S, S) probabilities -> (N, S S) logits, float64; the floor keeps certain pixels from drowning the rest."""
    p = np.clip(masks.reshape(len(masks), -1).astype(np.float64), FLOOR, 1 - FLOOR)
    return np.log(p / (1 - p))
