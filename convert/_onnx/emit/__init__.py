"""A rewritten graph -> an ONNX model, its operators one by one, nothing added and nothing decided on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import fx

from ..._graph.graph import constant, results
from ..._graph.lowering import NoOperator
from .lower import TABLE, Scope
from .writer import OPSET, Writer

__all__ = ["OPSET", "TABLE", "emit"]


def emit(
    graph: fx.GraphModule,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    opset: int = OPSET,
    without: Mapping[str, str] | None = None,
) -> Any:
    """The float32 model (`onnx.ModelProto`) of a graph whose values know their shapes (`meta["val"]`).

    `inputs` and `outputs` name the values of the contract, in the graph's order. Raises NoOperator, with the node, for
    an operation or a form of one that there is no operator for, or only one of `without`, operator -> why not.
    """
    writer = Writer(opset, without)
    constants = {
        node: value.double().numpy() if value.is_floating_point() else value.numpy()
        for node in graph.graph.nodes
        if (value := constant(graph, node)) is not None
    }
    scope = Scope(writer, constants)
    taken, answered = {}, {}
    names = iter(inputs)
    for node in graph.graph.nodes:
        if node.op == "placeholder":
            name = next(names)
            taken[name] = scope.at[node] = writer.value(node.meta["val"].shape, name)
        elif node.op == "call_function":
            lower = TABLE.get(node.target)
            if lower is None:
                raise NoOperator(node, str(node.target), "ONNX")
            try:
                scope.at[node] = lower(scope, node)
            except NotImplementedError as error:
                raise NoOperator(node, str(error), "ONNX") from None
        elif node.op == "output":
            answered = {name: scope[result] for name, result in zip(outputs, results(graph), strict=True)}
    return writer.finish(taken, answered)
