"""What every lowering works with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import fx

from ..writer import Writer


class Scope:
    """The writer, and the value of every graph node lowered so far."""

    def __init__(self, writer: Writer, constants: dict[fx.Node, np.ndarray]) -> None:
        self.writer = writer
        self.constants = constants
        self.at: dict[fx.Node, str | list[str]] = {}

    def __getitem__(self, value: object) -> str:
        """The value of a node, a constant's data as floats, or a number."""
        if isinstance(value, fx.Node):
            if value in self.constants:
                return self.writer.constant(self.constants[value].astype(np.float64), value.name)
            lowered = self.at[value]
            assert isinstance(lowered, str)
            return lowered
        return self.writer.constant(np.array(value, np.float32), "number")

    def one(self, kind: str, inputs: Sequence[str], shape: Sequence[int], name: str, **attributes: Any) -> str:
        return self.writer.operator(kind, inputs, [list(shape)], name, **attributes)[0]

    def held(self, node: fx.Node, operand: str) -> np.ndarray:
        """A constant's data, where the operator has no form that takes a computed one."""
        if node not in self.constants:
            raise NotImplementedError(f"{operand} that is computed")
        return self.constants[node]

    def integers(self, values: Sequence | np.ndarray | int, name: str) -> str:
        return self.writer.constant(np.array(values, np.int64), name)


Lowering = Callable[[Scope, fx.Node], str | list[str]]


def shape_of(node: fx.Node) -> list[int]:
    return [int(n) for n in node.meta["val"].shape]
