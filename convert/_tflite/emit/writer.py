"""A TFLite flatbuffer under construction: tensors, constants, operators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edge.tflite.flatbuffer import pack
from edge.tflite.versions import set_versions

Code = schema.BuiltinOperator
SIGNATURE = "serving_default"
SCHEMA_VERSION = 3
TYPES = {"float32": schema.TensorType.FLOAT32, "int32": schema.TensorType.INT32, "bool": schema.TensorType.BOOL}


class Writer:
    """Collects one subgraph. A tensor is its index."""

    def __init__(self) -> None:
        self.graph = schema.SubGraphT()
        self.graph.name = b"main"
        self.graph.tensors, self.graph.operators = [], []
        self.buffers = [schema.BufferT()]  # the first stands for "no data"
        self.codes: dict[int, int] = {}  # code -> its place
        self.constants: dict[tuple, int] = {}
        self.names: set[str] = set()

    def tensor(self, shape: Sequence[int], name: str, *, dtype: type = np.float32, buffer: int = 0) -> int:
        tensor = schema.TensorT()
        tensor.shape = np.array(shape, np.int32)
        tensor.type = TYPES[np.dtype(dtype).name]
        tensor.buffer = buffer
        tensor.name = self.free(name).encode()
        tensor.hasRank = True
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def free(self, name: str) -> str:
        chosen, number = name, 1
        while chosen in self.names:
            chosen, number = f"{name}_{number}", number + 1
        self.names.add(chosen)
        return chosen

    def constant(self, value: np.ndarray, name: str = "c") -> int:
        """A tensor with data, float32, int32 or bool; equal ones are stored once."""
        kind = bool if value.dtype == bool else np.int32 if np.issubdtype(value.dtype, np.integer) else np.float32
        value = np.ascontiguousarray(value, kind)
        key = (value.dtype.str, value.shape, value.tobytes())
        if key not in self.constants:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(key[2], np.uint8)
            self.buffers.append(buffer)
            self.constants[key] = self.tensor(value.shape, name, dtype=value.dtype.type, buffer=len(self.buffers) - 1)
        return self.constants[key]

    def operator(
        self,
        code: int,
        inputs: Sequence[int],
        shapes: Sequence[Sequence[int]],
        name: str,
        options: object = None,
        kind: int = schema.BuiltinOptions.NONE,
        types: Sequence[type] = (),
    ) -> list[int]:
        """Append an operator; its results, one tensor per shape, float32 where `types` do not say otherwise."""
        kinds = types or [np.float32] * len(shapes)
        outputs = [self.tensor(shape, name, dtype=dtype) for shape, dtype in zip(shapes, kinds, strict=True)]
        operator = schema.OperatorT()
        operator.opcodeIndex = self.codes.setdefault(code, len(self.codes))
        operator.inputs = np.array(inputs, np.int32)
        operator.outputs = np.array(outputs, np.int32)
        operator.builtinOptions, operator.builtinOptionsType = options, kind
        self.graph.operators.append(operator)
        return outputs

    def shape(self, tensor: int) -> list[int]:
        return [int(n) for n in self.graph.tensors[tensor].shape]

    def rename(self, tensor: int, name: str) -> None:
        self.graph.tensors[tensor].name = name.encode()

    def finish(self, inputs: dict[str, int], outputs: dict[str, int], *, description: str) -> bytes:
        """The file, with one signature of the given names."""
        self.graph.inputs = np.array(list(inputs.values()), np.int32)
        self.graph.outputs = np.array(list(outputs.values()), np.int32)
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = SIGNATURE.encode(), 0
        signature.inputs, signature.outputs = maps(inputs), maps(outputs)
        for name, tensor in (inputs | outputs).items():
            self.rename(tensor, name)
        model = schema.ModelT()
        model.version = SCHEMA_VERSION
        model.description = description.encode()
        model.subgraphs, model.buffers, model.signatureDefs = [self.graph], self.buffers, [signature]
        model.operatorCodes = [operator_code(code) for code in self.codes]
        set_versions(model)
        return pack(model)


def maps(named: dict[str, int]) -> list:
    entries = []
    for name, tensor in named.items():
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name.encode(), tensor
        entries.append(entry)
    return entries


def operator_code(code: int):
    entry = schema.OperatorCodeT()
    entry.builtinCode = code
    entry.deprecatedBuiltinCode = min(code, 127)  # what readers older than 2020 look at
    entry.version = 1
    return entry
