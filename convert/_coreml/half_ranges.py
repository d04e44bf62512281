"""Finds where float16 cannot hold a program's numbers, by running the float32 program on photographs.

The largest float16 number is 65504; below 6.1e-5 (the smallest normal one) rounding gets coarser, and numbers below
3e-8 become zero. An operation that reads or gives numbers beyond half of 65504 stays float32, because other photographs
may reach further. So does one whose result in float16 has an SQNR below `LEAST_DB`; ordinary numbers have 70 dB and
more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edge.files import write_json
from edge.manifest import HalfRanges
from edge.runtimes import coreml
from edge.runtimes.coreml.classifier import torch_threads
from edge.runtimes.coreml.program import Operation, Ref

LARGEST, SMALLEST_NORMAL = 65504.0, 2.0**-14
HEADROOM = 2.0
LEAST_DB = 50.0
SCHEMA = "dermedge/half-ranges/1"


@dataclass(frozen=True)
class RangeRow:
    """One operation's results over all images, as float32 computes them."""

    name: str  # of the result
    operation: str  # MIL op type
    largest: float  # |value|
    subnormal: float  # share of the numbers other than zero that are below float16's smallest normal one
    lost: float  # share of the numbers other than zero that become zero
    rounding_db: float | None  # signal over what rounding the result to float16 loses; None if nothing is lost
    float32: bool  # stays float32


def half_ranges(path: Path, images: np.ndarray) -> list[RangeRow]:
    """Every operation of a float32 classifier package that makes float numbers, on uint8 images (N, S, S, 3)."""
    from PIL import Image

    model = coreml.load_program(path)
    name = model.input_description[0].name
    sums: dict[str, np.ndarray] = {}  # largest, numbers other than zero, subnormal, lost, signal, noise

    def look(operation: Operation, results: tuple[Any, ...]) -> None:
        for output, result in zip(operation.outputs, results, strict=True):
            if output.is_float and isinstance(result, Tensor):
                now, before = sums_over(result), sums.get(output.name)
                sums[output.name] = now if before is None else np.append(max(now[0], before[0]), now[1:] + before[1:])

    with torch_threads(1):
        for image in images:
            model.predict({name: Image.fromarray(image)}, observe=look)
    operations = [operation for operation in model.program.operations if operation.outputs[0].name in sums]
    beyond = {name for name, total in sums.items() if total[0] * HEADROOM > LARGEST}
    beyond |= {name for name, value in model.constants.items() if does_not_fit(value)}
    return [row_of(operation, sums[operation.outputs[0].name], beyond) for operation in operations]


def sums_over(result: Tensor) -> np.ndarray:
    """Infinity (exp of a large number) counts as float32's largest number, and loses nothing by rounding."""
    x = result.double()
    size = x.abs().nan_to_num(0.0, torch.finfo(torch.float32).max)
    x = x.nan_to_num(0.0, 0.0, 0.0)
    some = size > 0
    half = x.half().double()
    lost = torch.where(half.isfinite(), half - x, x)
    return np.array([
        float(size.max()) if x.numel() else 0.0, float(some.sum()), float((some & (size < SMALLEST_NORMAL)).sum()),
        float(((x != 0) & (half == 0)).sum()), float(x.square().sum()), float(lost.square().sum()),
    ])  # fmt: skip


def does_not_fit(value: Any) -> bool:
    """Whether float16 cannot hold a constant: a number overflows, or all become zero that were not."""
    if not isinstance(value, Tensor) or not value.is_floating_point() or not value.numel():
        return False
    largest = float(value.abs().max())
    return largest > LARGEST or (largest > 0 and not bool(value.half().any()))


def row_of(operation: Operation, total: np.ndarray, beyond: set[str]) -> RangeRow:
    largest, some, subnormal, lost, signal, noise = (float(v) for v in total)
    decibel = 10 * np.log10(signal / noise) if noise > 0 and signal > 0 else None
    touched = {*names_of(operation), *(output.name for output in operation.outputs)}
    return RangeRow(
        name=operation.outputs[0].name,
        operation=operation.kind,
        largest=largest,
        subnormal=subnormal / max(1.0, some),
        lost=lost / max(1.0, some),
        rounding_db=None if decibel is None else float(decibel),
        float32=bool(touched & beyond) or bool(decibel is not None and decibel < LEAST_DB),
    )


def names_of(operation: Operation) -> Iterable[str]:
    for key, argument in operation.inputs.items():
        if key == "epsilon":  # keeps a division from zero; Core ML has a smallest value of its own
            continue
        for value in argument if isinstance(argument, list) else [argument]:
            if isinstance(value, Ref):
                yield value.name


def kept_float32(ranges: Sequence[RangeRow]) -> frozenset[str]:
    """Names of the results that stay float32."""
    return frozenset(row.name for row in ranges if row.float32)


def summary(ranges: Sequence[RangeRow]) -> HalfRanges:
    """For the manifest: the operation that comes nearest to the end of float16, and how many stay float32."""
    top = max(ranges, key=lambda row: row.largest)
    return HalfRanges(
        largest_activation=top.largest,
        largest_activation_at=f"{top.operation} {top.name}",
        kept_float32=len(kept_float32(ranges)),
        subnormal=max(row.subnormal for row in ranges),
        lost=max(row.lost for row in ranges),
    )


def save(path: Path, ranges: Sequence[RangeRow], *, images: int, data: str) -> None:
    """Every operation, those nearest to the end of float16 first."""
    rows = [asdict(row) for row in sorted(ranges, key=lambda row: -row.largest)]
    write_json(path, {"schema": SCHEMA, "data": data, "images": images, "limit": LARGEST, "operations": rows})
