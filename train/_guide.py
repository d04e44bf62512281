"""A linear classifier on hand-made descriptors, which a network may listen to while its own features grow.

On some hundred photographs it generalises better than a network trained from nothing on the same labels; and it has
an answer for every augmented view, so that the network can learn its function from far more than the labels
(Beyer et al., "Knowledge distillation: a good teacher is patient and consistent", CVPR 2022).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

from edge.progress import track

from ._augment import augment
from ._descriptors import describe

REGULARISATION = 1e-3  # C of the logistic regression for one view per photograph
CLIP = 5.0  # standard deviations
VIEWS = 4  # of each photograph, to fit the guide on
MOST_PHOTOGRAPHS = 20_000  # beyond, so many of them drawn at random; a linear classifier learns no more from others


@dataclass(frozen=True)
class Guide:
    """Scale of the descriptors (D,), and the classifier's weight (D, K) and bias (K,) on scaled ones; float32."""

    mean: np.ndarray
    deviation: np.ndarray
    weight: np.ndarray
    bias: np.ndarray

    def scaled(self, view: np.ndarray) -> np.ndarray:
        """Descriptors of a view, uint8 (S, S, 3) RGB, in standard deviations; float32 (D,)."""
        return np.clip((describe(view) - self.mean) / self.deviation, -CLIP, CLIP).astype(np.float32)


def fit_guide(views: Iterable[Sequence[np.ndarray]], targets: np.ndarray, classes: int) -> Guide:
    """Fit on N times V views, uint8 (S, S, 3), V of each photograph, and class indices (N,); classes weigh alike.

    A class without a photograph gets a bias that never wins.
    """
    descriptors = np.array([[describe(view) for view in several] for several in views])
    _, per_photo, size = descriptors.shape
    flat = descriptors.reshape(-1, size)
    guide = Guide(flat.mean(axis=0), flat.std(axis=0) + 1e-3, np.zeros((size, classes)), np.full(classes, -10.0))
    scaled = np.clip((flat - guide.mean) / guide.deviation, -CLIP, CLIP)
    if len(np.unique(targets)) > 1:
        model = LogisticRegression(C=REGULARISATION / per_photo, class_weight="balanced", max_iter=3000)
        model.fit(scaled, np.repeat(targets, per_photo))
        weight, bias = model.coef_, model.intercept_
        if len(model.classes_) == 2:  # scikit-learn then keeps one row, the second class against the first
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        guide.weight[:, model.classes_] = weight.T
        guide.bias[model.classes_] = bias
    return Guide(*(part.astype(np.float32) for part in (guide.mean, guide.deviation, guide.weight, guide.bias)))


def drawn(own: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """MOST_PHOTOGRAPHS of these indices where they are more, in their order."""
    return np.sort(rng.choice(own, MOST_PHOTOGRAPHS, replace=False)) if len(own) > MOST_PHOTOGRAPHS else own


def guide_for(
    images: np.ndarray, targets: np.ndarray, own: np.ndarray, side: int, classes: int, *, seed: int, strength: float
) -> Guide:
    """Fitted on views of at most MOST_PHOTOGRAPHS with the indices `own`, of uint8 (N, C, C, 3), classes (N,)."""
    rng = np.random.default_rng((seed, 3, side))
    own = drawn(own, rng)
    views = (
        [augment(images[index], side, rng, strength=strength) for _ in range(VIEWS)]
        for index in track(own, f"guide at {side} pixels", len(own))
    )
    return fit_guide(views, targets[own], classes)
