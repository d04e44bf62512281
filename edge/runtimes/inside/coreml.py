"""Inner values of a Core ML package, from our interpreter, and the precision that each operation states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from edge.runtimes.coreml.classifier import CoreML
from edge.runtimes.coreml.program import Operation, Program, Ref

from .operations import FLOAT16, FLOAT32, Inside, Op, Precision


def of_package(path: Path, images_u8: np.ndarray) -> Inside:
    package = CoreML(path)
    model = package.engine
    weights = stored_weights(model.program)
    computed = {feature.name for feature in model.program.inputs}
    image = next(iter(computed))
    ops = []
    for call in model.calls:
        op = call.operation
        flat = [item for value in op.inputs.values() for item in (value if isinstance(value, list) else [value])]
        names = [item.name for item in flat if isinstance(item, Ref)]
        live = tuple(name for name in names if name in computed)
        if not live:
            continue
        computed.update(output.name for output in op.outputs)
        held = [weights[name] for name in names if name in weights]
        half = op.outputs[0].element == "FLOAT16"
        precision = Precision(result=FLOAT16 if half else FLOAT32, step=step_of(op, model.program))
        for bits, by_channel in held:
            precision = precision.coarser(Precision(weights=bits, by_channel=by_channel))
        ops.append(Op(op.place, op.kind, op.name, live, tuple(o.name for o in op.outputs), precision))
    values: dict[str, list[np.ndarray]] = {name: [] for name in computed}

    def keep(op: Operation, results: tuple[Any, ...]) -> None:
        for output, result in zip(op.outputs, results, strict=True):
            if isinstance(result, torch.Tensor) and result.dtype.is_floating_point and output.name in values:
                values[output.name].append(result.numpy().astype(np.float32))

    for picture in images_u8:
        values[image].append(picture.astype(np.float32).transpose(2, 0, 1)[None])
        model.predict({package.image: Image.fromarray(picture)}, observe=keep)
    return Inside(image, tuple(ops), {key: value for key, value in values.items() if len(value) == len(images_u8)})


def step_of(op: Operation, program: Program) -> float | None:
    """The step between two values of an 8-bit activation; None for an operation that neither makes nor reads one."""
    if op.kind not in {"quantize", "dequantize"}:
        return None
    scale = op.inputs["scale"]
    held = program.constants.get(scale.name) if isinstance(scale, Ref) else scale
    return float(held.max()) if isinstance(held, torch.Tensor) else None


def stored_weights(program: Program) -> dict[str, tuple[int, bool]]:
    """Constant -> bits of one stored value, and whether every output channel has a grid of its own."""
    weights = {
        name: (FLOAT16, True)
        for name, value in program.constants.items()
        if isinstance(value, torch.Tensor) and value.dtype == torch.float16
    }
    for op in program.operations:
        if op.kind.startswith("constexpr_"):
            table = op.inputs.get("lut")
            if isinstance(table, Ref):
                table = program.constants.get(table.name)
            places = table.shape[-2 if table.ndim > 1 else -1] if isinstance(table, torch.Tensor) else 256
            weights |= {output.name: (max(1, (places - 1).bit_length()), table is None) for output in op.outputs}
    return weights
