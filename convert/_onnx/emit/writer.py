"""An ONNX graph under construction: values by name, constants, nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import AttributeProto, ModelProto, TensorProto, helper, numpy_helper

# The oldest operator set with scales by channel; ONNX Runtime 1.6 (December 2020) and later open it.
OPSET = 13
IR_VERSION = 7  # of files with operator sets 12 and 13
TYPES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "bool": TensorProto.BOOL}


class Writer:
    """Collects one graph. A value is its name."""

    def __init__(self, opset: int = OPSET, without: Mapping[str, str] | None = None) -> None:
        self.opset, self.without = opset, without or {}
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.constants: dict[tuple, str] = {}
        self.names: set[str] = set()
        self.shapes: dict[str, list[int]] = {}
        self.types: dict[str, int] = {}

    def free(self, name: str) -> str:
        chosen, number = name, 1
        while chosen in self.names:
            chosen, number = f"{name}_{number}", number + 1
        self.names.add(chosen)
        return chosen

    def value(self, shape: Sequence[int], name: str, *, dtype: type = np.float32) -> str:
        chosen = self.free(name)
        self.shapes[chosen] = [int(n) for n in shape]
        self.types[chosen] = TYPES[np.dtype(dtype).name]
        return chosen

    def constant(self, value: np.ndarray, name: str = "c") -> str:
        """A stored value, float32, int64 or bool; equal ones are stored once."""
        kind = bool if value.dtype == bool else np.int64 if np.issubdtype(value.dtype, np.integer) else np.float32
        value = np.asarray(value, kind, order="C")
        key = (value.dtype.str, value.shape, value.tobytes())
        if key not in self.constants:
            self.constants[key] = self.value(value.shape, name, dtype=value.dtype.type)
            self.initializers.append(numpy_helper.from_array(value, self.constants[key]))
        return self.constants[key]

    def operator(
        self,
        kind: str,
        inputs: Sequence[str],
        shapes: Sequence[Sequence[int]],
        name: str,
        types: Sequence[type] = (),
        **attributes: Any,
    ) -> list[str]:
        """Append a node; its results, one value per shape, float32 where `types` do not say otherwise.

        NotImplementedError for an operator that the graph has to do `without`, with the reason.
        """
        if kind in self.without:
            raise NotImplementedError(f"{kind}: {self.without[kind]}")
        kinds = types or [np.float32] * len(shapes)
        outputs = [self.value(shape, name, dtype=dtype) for shape, dtype in zip(shapes, kinds, strict=True)]
        self.nodes.append(helper.make_node(kind, list(inputs), outputs, name=outputs[0], **attributes))
        return outputs

    def finish(self, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> ModelProto:
        """The model; `inputs` and `outputs`: the names of the contract -> values."""
        renamed = {value: name for name, value in (*inputs.items(), *outputs.items())}
        for node in self.nodes:
            node.input[:] = [renamed.get(name, name) for name in node.input]
            node.output[:] = [renamed.get(name, name) for name in node.output]
        read = {name for node in self.nodes for name in node.input}
        graph = helper.make_graph(
            self.nodes,
            "dermedge",
            [self.described(name, value) for name, value in inputs.items()],
            [self.described(name, value) for name, value in outputs.items()],
            [stored for stored in self.initializers if stored.name in read],
            # what lies between, so that readers know shapes without working them out
            value_info=[
                self.described(name, name) for node in self.nodes for name in node.output if name not in outputs
            ],
        )
        return helper.make_model(
            graph,
            producer_name="dermedge",
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", self.opset)],
        )

    def described(self, name: str, value: str) -> Any:
        return helper.make_tensor_value_info(name, self.types[value], self.shapes[value])


def attribute(node: Any, name: str, default: Any = None) -> Any:
    """An attribute of a node, or what it is where it is left out."""
    found = next((entry for entry in node.attribute if entry.name == name), None)
    return default if found is None else helper.get_attribute_value(found)


__all__ = ["IR_VERSION", "OPSET", "AttributeProto", "Writer", "attribute"]
