"""On how many photographs and views the files of a conversion are judged."""

from __future__ import annotations

from collections.abc import Mapping

from edge.checkpoint import Checkpoint
from edge.data.views import usual_views
from edge.models.cost import cost
from edge.recipes import Gate, Recipe

PHOTOGRAPHS = 192  # in four views each, they settle the gates of the shipped networks
PHOTOGRAPHS_FOR_LOGITS = 64  # logits differ on every image: the gates of float files need no more
LIGHT = 400_000_000  # multiply-accumulates; a heavier network is judged in as many fewer views


def limits_changes(gate: Gate) -> bool:
    """Whether a gate limits how often the class may change, which is rare and takes many images to tell."""
    return gate.agreement is not None or gate.balanced_accuracy_drop is not None


def wants_views(checkpoint: Checkpoint, recipes: Mapping[str, Recipe]) -> bool:
    """Whether any recipe's gate does. Of random weights none: their classes mean nothing."""
    untrained = bool(checkpoint.untrained)
    return any(limits_changes(recipe.gate_for(untrained=untrained)) for recipe in recipes.values())


def photographs_for(checkpoint: Checkpoint, recipes: Mapping[str, Recipe]) -> int:
    """At most so many photographs."""
    return PHOTOGRAPHS if wants_views(checkpoint, recipes) else PHOTOGRAPHS_FOR_LOGITS


def views_for(checkpoint: Checkpoint, recipes: Mapping[str, Recipe], photographs: int) -> int:
    """Views of each of so many photographs."""
    if not wants_views(checkpoint, recipes):
        return 1
    _, macs = cost(checkpoint.network(), checkpoint.preprocess.side)
    return max(1, round(usual_views(photographs) * min(1.0, LIGHT / max(1, macs))))
