"""Models of type NonMaximumSuppression, with which object detectors end: of boxes that overlap, the best."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from edge.errors import InputError

from . import features
from .described import Described
from .ops.making import survivors

MAX_BOXES = 2**17  # that are compared, and in the result: the time grows with the square


class Suppression(Described):
    """Boxes (N, 4) and their confidences (N, C) in, those that stay out, by falling confidence.

    Source: NonMaximumSuppression.proto of coremltools. A box is (x and y of its centre, width, height). InputError for
    a method that is not known, and for inputs and outputs that the model does not describe.
    """

    def __init__(self, spec: Any) -> None:
        super().__init__(spec)
        self.input_description, self.output_description = list(spec.description.input), list(spec.description.output)
        facts = spec.nonMaximumSuppression
        if facts.WhichOneof("SuppressionMethod") not in {"pickTop", None}:
            raise InputError(f"boxes are suppressed by {facts.WhichOneof('SuppressionMethod')}; pickTop is known")
        self.per_class = bool(facts.pickTop.perClass)
        self.confidence, self.boxes = facts.confidenceInputFeatureName, facts.coordinatesInputFeatureName
        self.rated, self.placed = facts.confidenceOutputFeatureName, facts.coordinatesOutputFeatureName
        # Input that may set it -> what holds where it is not given.
        self.overlap = (facts.iouThresholdInputFeatureName, float(facts.iouThreshold))
        self.least = (facts.confidenceThresholdInputFeatureName, float(facts.confidenceThreshold))
        inputs = {feature.name for feature in self.input_description}
        outputs = {feature.name: feature for feature in self.output_description}
        for name, there in (
            (self.confidence, inputs),
            (self.boxes, inputs),
            (self.rated, outputs),
            (self.placed, outputs),
        ):
            if name not in there:
                raise InputError(
                    f"the suppression of boxes works with {name or 'nothing'}; described are {', '.join(there)}"
                )
        for feature in self.input_description:
            needed = feature.name in {self.confidence, self.boxes}
            if needed and (feature.type.isOptional or feature.type.WhichOneof("Type") != "multiArrayType"):
                raise InputError(
                    f"the suppression of boxes needs {feature.name}, which is described as optional or no array"
                )
        if set(outputs) != {self.rated, self.placed}:
            raise InputError(
                f"the suppression of boxes gives {self.rated} and {self.placed}; described are {', '.join(outputs)}"
            )
        limits = [rows_of(outputs[name]) for name in (self.rated, self.placed)]
        self.fewest, self.most = max(low for low, _ in limits), min(high for _, high in limits)
        if not 0 <= self.fewest <= self.most <= MAX_BOXES:
            raise InputError(
                f"the suppression of boxes gives {self.fewest} to {self.most} boxes; expected up to {MAX_BOXES}"
            )

    @property
    def calls(self) -> tuple[()]:
        return ()

    @property
    def notices(self) -> list[str]:
        return []

    @torch.inference_mode()
    def predict(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """{output name: confidences (M, C) or boxes (M, 4) of those that stay}, zeros where M has a minimum."""
        values = features.read_inputs(self.input_description, data)
        rated, boxes = values[self.confidence].float(), values[self.boxes].float()
        if rated.ndim != 2 or tuple(boxes.shape) != (len(rated), 4) or not rated.shape[1]:
            raise InputError(
                f"{self.confidence} is {tuple(rated.shape)} and {self.boxes} {tuple(boxes.shape)}; "
                "expected (N, C) and (N, 4)"
            )
        overlap, least = (
            number(name, values[name]) if name in values else usual for name, usual in (self.overlap, self.least)
        )
        best, classes = rated.max(dim=1)
        left = (best >= least).nonzero()[:, 0]
        if len(left) > MAX_BOXES:
            raise InputError(
                f"{len(left)} boxes reach the confidence {least}; at most {MAX_BOXES} are compared, "
                "ask for more confidence"
            )
        if len(left):
            of_class = classes[left] if self.per_class else None
            left = left[survivors(boxes[left], best[left], of_class, overlap, float("-inf"), self.most)]
        results = {self.rated: self.padded(rated[left]), self.placed: self.padded(boxes[left])}
        return features.write_outputs(self.output_description, results)

    def padded(self, rows: Tensor) -> Tensor:
        missing = max(0, self.fewest - len(rows))
        return torch.cat([rows, rows.new_zeros(missing, rows.shape[1])])


def number(name: str, value: Tensor) -> float:
    if value.numel() != 1:
        raise InputError(f"the threshold {name} is one number, got {tuple(value.shape)}")
    return float(value)


def rows_of(feature: Any) -> tuple[int, int]:
    """The fewest and the most rows that an output has."""
    kind = feature.type.multiArrayType
    if kind.WhichOneof("ShapeFlexibility") == "shapeRange" and kind.shapeRange.sizeRanges:
        rows = kind.shapeRange.sizeRanges[0]
        return int(rows.lowerBound), MAX_BOXES if rows.upperBound < 0 else min(int(rows.upperBound), MAX_BOXES)
    return (int(kind.shape[0]), int(kind.shape[0])) if len(kind.shape) else (0, MAX_BOXES)
