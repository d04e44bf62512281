"""Typed values of a MIL program: constants in the program and in the weight file -> torch tensors."""

from __future__ import annotations

import struct
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edge.errors import InputError

from .messages import messages

MAX_VALUES = 2**31  # in one constant
MAX_FILLED = 2**26  # in one that a single value fills, which no file's size bounds
SENTINEL = 0xDEADBEEF  # begins the description of every blob
HEADER, DESCRIPTION = 64, 64  # bytes, of the file and of a blob
VERSION = 2

# MIL element type -> (NumPy type it is kept in, bits of one value). Names are those of MIL.proto.
ELEMENTS: dict[str, tuple[type, int]] = {
    "FLOAT64": (np.float64, 64), "FLOAT32": (np.float32, 32), "FLOAT16": (np.float16, 16),
    "INT64": (np.int64, 64), "INT32": (np.int32, 32), "INT16": (np.int16, 16), "INT8": (np.int8, 8),
    "INT4": (np.int8, 4),
    "UINT64": (np.uint64, 64), "UINT32": (np.uint32, 32), "UINT16": (np.uint16, 16), "UINT8": (np.uint8, 8),
    "UINT6": (np.uint8, 6), "UINT4": (np.uint8, 4), "UINT3": (np.uint8, 3), "UINT2": (np.uint8, 2),
    "UINT1": (np.uint8, 1),
    "BOOL": (np.bool_, 8),
}  # fmt: skip
FLOATS = {"FLOAT64", "FLOAT32", "FLOAT16"}
Value = Tensor | str | list[str]
Sides = tuple[int | None, ...]  # of a shape; None: of any length


class Weights:
    """The weight files of a package, read by offset. Every offset and size is checked before it is followed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder  # that `@model_path` in file names stands for
        self.files: dict[str, np.ndarray] = {}

    def bytes_at(self, name: str, offset: int) -> np.ndarray:
        """The uint8 data of the blob whose description lies at `offset`; InputError if the file does not hold it."""
        content = self.file(name)
        if not HEADER <= offset <= len(content) - DESCRIPTION:
            raise InputError(f"{name}: a weight at byte {offset} of {len(content)}; the file is cut off: copy it again")
        sentinel, _, size, start = struct.unpack("<IIQQ", content[offset : offset + 24].tobytes())
        if sentinel != SENTINEL:
            raise InputError(f"{name}: no weight begins at byte {offset}; the file belongs to another program")
        if start + size > len(content):
            raise InputError(
                f"{name}: a weight of {size} bytes at {start}, of {len(content)}; the file is cut off: copy it again"
            )
        return content[start : start + size]

    def file(self, name: str) -> np.ndarray:
        if name not in self.files:
            path = (self.folder / name.removeprefix("@model_path/")).resolve()
            if not path.is_relative_to(self.folder.resolve()):
                raise InputError(f"the program names a weight file outside the package: {name}")
            if not path.is_file():
                raise InputError(f"{path} is missing: the package is not whole; copy the folder with all that is in it")
            content = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8)
            if len(content) < HEADER or struct.unpack("<I", content[4:8].tobytes())[0] != VERSION:
                raise InputError(f"{path} is no weight file of version {VERSION}, or it is cut off")
            self.files[name] = content
        return self.files[name]


def shape_of(kind: Any) -> tuple[int, ...] | None:
    """Of a TensorType; None where a dimension is open."""
    return closed(sides_of(kind))


def closed(sides: Sides | None) -> tuple[int, ...] | None:
    """The shape, if no side of it is open."""
    known = tuple(n for n in sides if n is not None) if sides is not None else None
    return known if known is not None and sides is not None and len(known) == len(sides) else None


def sides_of(kind: Any) -> Sides | None:
    """The dimensions of a TensorType, None for each that is open; None where their number is open too."""
    sides: list[int | None] = []
    for dimension in kind.dimensions:
        if dimension.WhichOneof("dimension") == "constant":
            sides.append(int(dimension.constant.size))
        elif dimension.unknown.variadic:
            return None
        else:
            sides.append(None)
    return tuple(sides)


def element_of(kind: Any) -> str:
    """Element type of a TensorType, by its name in MIL.proto."""
    try:
        return messages("MIL_pb2").DataType.Name(kind.dataType)
    except ValueError:
        raise InputError(f"{kind.dataType} is no element type that MIL has; the program is damaged") from None


def constant(value: Any, weights: Weights) -> Value:
    """A MIL `Value` as a torch tensor of its own type (fp16 stays fp16, a byte for each sub-byte integer), or text."""
    if value.type.WhichOneof("type") == "listType":
        return listed_texts(value)
    if value.type.WhichOneof("type") != "tensorType":
        raise InputError(f"a constant is a {value.type.WhichOneof('type')}; only tensors are known")
    kind = value.type.tensorType
    element, shape = element_of(kind), shape_of(kind)
    if shape is None or prod(shape) > MAX_VALUES:
        raise InputError(f"a constant has the shape {shape}; expected a closed one of at most {MAX_VALUES} values")
    if value.WhichOneof("value") == "blobFileValue":
        blob = value.blobFileValue
        return numbers(weights.bytes_at(blob.fileName, int(blob.offset)), element, shape)
    tensor = value.immediateValue.tensor
    held = tensor.WhichOneof("value")
    if held == "strings" or element == "STRING":
        texts = list(tensor.strings.values)
        return texts if shape else (texts[0] if texts else "")
    if held == "bytes":
        return numbers(np.frombuffer(tensor.bytes.values, np.uint8), element, shape)
    if element not in ELEMENTS:
        raise InputError(f"a constant of type {element} is not known here")
    listed: np.ndarray = np.array(getattr(tensor, held).values if held else [], ELEMENTS[element][0])
    if listed.size == 1 and prod(shape) != 1:
        if prod(shape) > MAX_FILLED:
            raise InputError(f"a constant of shape {shape} holds one value for all; at most {MAX_FILLED} are known")
        listed = np.broadcast_to(listed, shape)
    if listed.size != prod(shape):
        raise InputError(f"a constant of shape {shape} holds {listed.size} values")
    return as_tensor(listed.reshape(shape))


def listed_texts(value: Any) -> Value:
    """A list of texts or of whole numbers, as class labels are stored."""
    items = [item.immediateValue.tensor for item in value.immediateValue.list.values]
    texts = [text for item in items for text in item.strings.values]
    if texts:
        return texts
    return torch.tensor([n for item in items for n in (*item.ints.values, *item.longInts.values)], dtype=torch.int64)


def numbers(raw: np.ndarray, element: str, shape: tuple[int, ...]) -> Tensor:
    """Little-endian bytes, values of less than a byte packed from the lowest bit on, as a tensor."""
    if element not in ELEMENTS:
        raise InputError(f"a constant of type {element} is not known here")
    kind, bits = ELEMENTS[element]
    count = prod(shape)
    needed = -(-count * bits // 8)
    if len(raw) < needed:
        raise InputError(f"a constant of shape {shape} and type {element} needs {needed} bytes, {len(raw)} are there")
    raw = np.ascontiguousarray(raw[:needed])
    if bits >= 8:
        return as_tensor(raw.view(kind).reshape(shape))
    values = unpacked(raw, bits, count)
    if element == "INT4":
        values = np.where(values > 7, values.astype(np.int8) - 16, values.astype(np.int8)).astype(np.int8)
    return as_tensor(values.reshape(shape))


def unpacked(raw: np.ndarray, bits: int, count: int) -> np.ndarray:
    """The first `count` numbers of at most 8 bits out of bytes; they are packed from the lowest bit on."""
    if bits == 8:
        return raw[:count]
    spread = np.unpackbits(raw, bitorder="little")[: count * bits].reshape(count, bits)
    values = np.zeros(count, np.uint8)
    for bit in range(bits):
        values |= spread[:, bit] << bit
    return values


def as_tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(values))
