"""Runs a package as if chosen tensors were rounded to 8 bits, without writing each trial to disk.

Apple's passes write a quantize and a dequantize with one scale and zero point; here the same numbers are rounded in
place. A test checks that the written package then gives the same answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edge.errors import InputError
from edge.runtimes import Outputs, coreml, joined
from edge.runtimes.coreml import features
from edge.runtimes.coreml.classifier import mask_of, torch_threads
from edge.runtimes.coreml.program import Ref
from edge.scheme import Layer, Range

from .layers import Weighted, weighted

LOW, HIGH = -128, 127
SMALLEST_SCALE = 1e-6  # of float16, whose smallest number is 6e-8


class Imitation:
    """One classifier package, opened once and run under many choices."""

    def __init__(self, path: Path) -> None:
        self.model = coreml.load_program(path)
        self.layers: list[Weighted] = weighted(self.model.program)
        self.reads = {layer.operation.name: layer.input for layer in self.layers}
        self.halves = {  # names of the tensors that the program holds in fp16
            output.name for op in self.model.program.operations for output in op.outputs if output.element == "FLOAT16"
        }
        self.places = {call.operation.name: number for number, call in enumerate(self.model.calls)}
        classify = next((op for op in self.model.program.operations if op.kind == "classify"), None)
        if classify is None or not isinstance(classify.inputs["probabilities"], Ref):
            raise InputError(f"{path} is no classifier; expected a package with class labels")
        self.answer = classify.inputs["probabilities"].name
        self.mask = mask_of(self.model)
        self.image = self.model.input_description[0].name

    def starting_values(self, image: np.ndarray) -> dict[str, Any]:
        """The values before the first operation: constants, and the inputs for a uint8 image (S, S, 3)."""
        from PIL import Image

        inputs = features.read_inputs(self.model.input_description, {self.image: Image.fromarray(image)})
        return self.model.starting_values(inputs)

    @torch.inference_mode()
    def go_on(
        self, values: dict[str, Any], first: int, inputs: Mapping[str, Range], outputs: Mapping[str, Range]
    ) -> Outputs:
        """Run from call number `first` on, and return the outputs for the one image. Every result is left in `values`.

        `inputs` round what the layer of that name reads, for it alone; `outputs` round a tensor for all that read it.
        """
        for call in self.model.calls[first:]:
            wanted = inputs.get(call.operation.name)
            if wanted is not None:
                tensor = self.reads[call.operation.name]
                whole = values[tensor]
                values[tensor] = on_grid(whole, wanted)
                results = call.run(values)
                values[tensor] = whole
            else:
                results = call.run(values)
            for output, result in zip(call.operation.outputs, results, strict=True):
                chosen = outputs.get(output.name)
                values[output.name] = result if chosen is None else on_grid(result, chosen)
        mask = None if self.mask is None else values[self.mask].float().numpy()[:, 0]
        return Outputs(values[self.answer].reshape(1, -1).double().numpy(), mask)

    def answers(self, images: np.ndarray, layers: Sequence[Layer]) -> Outputs:
        """Outputs for uint8 images (N, S, S, 3), every layer rounded as its kind says."""
        inputs, outputs = ranges_in(layers, self.layers)
        with torch_threads(1):
            return joined([self.go_on(self.starting_values(image), 0, inputs, outputs) for image in images])


def ranges_in(layers: Sequence[Layer], places: Sequence[Weighted]) -> tuple[dict[str, Range], dict[str, Range]]:
    """The ranges that a choice rounds to: of inputs by name of the layer, of outputs by name of the tensor."""
    by_tensor = {place.operation.outputs[0].name: place for place in places}
    inputs: dict[str, Range] = {}
    outputs: dict[str, Range] = {}
    for layer in layers:
        place = by_tensor[layer.tensor]
        if layer.kind in {"input", "static"} and layer.input:
            inputs[place.operation.name] = layer.input
        if layer.kind == "static" and layer.output and place.output:
            outputs[place.output] = layer.output
    return inputs, outputs


def grid_of(wanted: Range) -> tuple[float, float]:
    """Scale and zero point as coremltools 9.0 computes them from a range, in float16 throughout."""
    low, high = np.float16(min(wanted[0], 0.0)), np.float16(max(wanted[1], 0.0))
    width = high - low
    scale = width / np.float16(HIGH - LOW)
    zero = np.clip(np.round((np.float16(LOW) * high - np.float16(HIGH) * low) / width), LOW, HIGH)
    return float(scale), float(zero)


def fits(wanted: Range) -> bool:
    """Whether float16 holds all numbers from which coremltools computes scale and zero point."""
    with np.errstate(all="ignore"):
        low, high = np.float16(min(wanted[0], 0.0)), np.float16(max(wanted[1], 0.0))
        between = (high - low, np.float16(LOW) * high, np.float16(HIGH) * low, np.float16(LOW) * high - HIGH * low)
        scale = between[0] / np.float16(HIGH - LOW)
    return bool(np.isfinite(between).all() and scale > SMALLEST_SCALE)


def on_grid(x: Tensor, wanted: Range) -> Tensor:
    """Each number rounded to the nearest of 256 values that fp16 holds; the result is float32."""
    scale, zero = grid_of(wanted)
    whole = (torch.round(x / scale) + zero).clamp(LOW, HIGH)
    return ((whole - zero) * scale).half().float()
