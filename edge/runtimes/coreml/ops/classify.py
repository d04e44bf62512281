"""The class label and its probabilities."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def classify(probabilities: Tensor, classes: Any) -> tuple[Any, dict[Any, float]]:
    """The most probable class, and every class with its probability; `classes` are texts or whole numbers."""
    labels = classes.reshape(-1).tolist() if isinstance(classes, Tensor) else list(classes)
    values = probabilities.reshape(-1).tolist()
    if len(labels) != len(values):
        raise ValueError(f"{len(values)} probabilities for {len(labels)} classes")
    best = max(range(len(values)), key=values.__getitem__)
    return labels[best], dict(zip(labels, values, strict=True))


TABLE = {"classify": classify}
EXACT = frozenset({"classify"})
