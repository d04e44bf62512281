"""What a .tflite says of its input: the normalisation in Google's metadata (TFLITE_METADATA, metadata_schema.fbs)."""

from __future__ import annotations

import math
import struct
from typing import Any

from edge.runtimes.litert import METADATA
from edge.tflite.google_metadata import ENTRY as GOOGLES

NORMALIZATION = 1  # of the union ProcessUnitOptions
# places in the tables of metadata_schema.fbs, counted from 0
SUBGRAPHS, INPUTS, UNITS, OPTIONS_TYPE, OPTIONS, MEAN, STD = 3, 2, 4, 0, 1, 0, 1


def stated_in(model: Any) -> tuple[tuple, tuple, str] | None:
    """Mean and standard deviation of the first input, (pixel - mean) / std, and who says so; None where nobody does.

    `model`: an unpacked file. What is damaged there counts as absent.
    """
    entries = {
        entry.name: bytes(model.buffers[entry.buffer].data)
        for entry in model.metadata or []
        if 0 <= entry.buffer < len(model.buffers) and model.buffers[entry.buffer].data is not None
    }
    if GOOGLES in entries:
        normal = normalization(entries[GOOGLES])
        if normal is not None:
            return *normal, "the file's TFLITE_METADATA"
    if METADATA in entries:  # dermedge's own files take 0..255
        return (0.0,) * 3, (1.0,) * 3, "the file's metadata of dermedge"
    return None


def normalization(content: bytes) -> tuple[tuple, tuple] | None:
    """Mean and standard deviation, three numbers each, of the NormalizationOptions of the first input."""
    from flatbuffers import encode, number_types
    from flatbuffers.table import Table

    def inside(table: Table, place: int, number: int | None = None) -> Table | None:
        """The table in a field, or the one of that number of the field's list."""
        at = table.Offset(4 + 2 * place)
        if not at or (number is not None and number >= table.VectorLen(at)):
            return None
        start = table.Indirect(at + table.Pos) if number is None else table.Indirect(table.Vector(at) + 4 * number)
        return Table(table.Bytes, start)

    def three(table: Table, place: int) -> tuple | None:
        at = table.Offset(4 + 2 * place)
        if not at or table.VectorLen(at) not in (1, 3):
            return None
        start = table.Vector(at)
        numbers = [table.Get(number_types.Float32Flags, start + 4 * i) for i in range(table.VectorLen(at))]
        return tuple(map(float, numbers * (3 // len(numbers)))) if all(map(math.isfinite, numbers)) else None

    try:
        root = Table(bytearray(content), encode.Get(number_types.UOffsetTFlags.packer_type, content, 0))
        graph = inside(root, SUBGRAPHS, 0)
        tensor = graph and inside(graph, INPUTS, 0)
        for number in range(8):  # units that a tensor goes through
            unit = tensor and inside(tensor, UNITS, number)
            if not unit:
                return None
            kind = unit.Offset(4 + 2 * OPTIONS_TYPE)
            if kind and unit.Get(number_types.Uint8Flags, kind + unit.Pos) == NORMALIZATION:
                options = inside(unit, OPTIONS)
                mean, std = (options and three(options, MEAN)), (options and three(options, STD))
                return (mean, std) if mean and std and all(std) else None
    except (struct.error, IndexError, ValueError, TypeError, AssertionError):
        return None
    return None
