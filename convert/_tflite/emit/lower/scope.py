"""What every lowering works with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from torch import fx

from ..writer import Writer

Options = schema.BuiltinOptions


class Scope:
    """The writer, and the tensor of every node lowered so far."""

    def __init__(self, writer: Writer, constants: dict[fx.Node, np.ndarray]) -> None:
        self.writer = writer
        self.constants = constants
        self.at: dict[fx.Node, int | list[int]] = {}

    def __getitem__(self, value: object) -> int:
        """The tensor of a node, a constant's data as floats, or a number."""
        if isinstance(value, fx.Node):
            if value in self.constants:
                return self.writer.constant(self.constants[value].astype(np.float64), value.name)
            found = self.at[value]
            assert isinstance(found, int)
            return found
        return self.writer.constant(np.array(value, np.float32), "number")

    def one(self, code: int, inputs: Sequence[int], shape: Sequence[int], name: str, options=None, kind=0) -> int:
        return self.writer.operator(code, inputs, [list(shape)], name, options, kind)[0]

    def held(self, node: fx.Node, operand: str) -> np.ndarray:
        """A constant's data, where the operator has no form that takes a computed one."""
        if node not in self.constants:
            raise NotImplementedError(f"{operand} that is computed")
        return self.constants[node]

    def integers(self, values: Sequence | np.ndarray, name: str) -> int:
        return self.writer.constant(np.array(values, np.int32), name)


Lowering = Callable[[Scope, fx.Node], int | list[int]]


def shape_of(node: fx.Node) -> list[int]:
    return [int(n) for n in node.meta["val"].shape]
