"""A rewritten graph -> a TFLite file, one operator for each operation, nothing added and nothing decided on the way."""

from __future__ import annotations

from collections.abc import Sequence

from torch import fx

from ..._graph.graph import constant, results
from ..._graph.lowering import NoOperator, unknown
from .lower import TABLE, Scope
from .writer import Writer

__all__ = ["TABLE", "NoOperator", "emit", "unknown_operations"]


def unknown_operations(graph: fx.GraphModule) -> list[str]:
    """The names of the operations that `emit` has no operator for."""
    return sorted({str(node.target) for node in unknown(graph, TABLE)})


def emit(graph: fx.GraphModule, *, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """The float32 file of a graph whose values know their shapes (`meta["val"]`).

    `inputs` and `outputs` name the tensors and the signature's entries, in the graph's order. Raises
    NoOperator, with the node, for an operation or a form of one that there is no operator for.
    """
    writer = Writer()
    constants = {
        node: value.double().numpy() if value.is_floating_point() else value.numpy()
        for node in graph.graph.nodes
        if (value := constant(graph, node)) is not None
    }
    scope = Scope(writer, constants)
    input_tensors, output_tensors = {}, {}
    names = iter(inputs)
    for node in graph.graph.nodes:
        if node.op == "placeholder":
            name = next(names)
            input_tensors[name] = scope.at[node] = writer.tensor(node.meta["val"].shape, name)
        elif node.op == "call_function":
            lower = TABLE.get(node.target)
            if lower is None:
                raise NoOperator(node, str(node.target), "TFLite")
            try:
                scope.at[node] = lower(scope, node)
            except NotImplementedError as error:
                raise NoOperator(node, str(error), "TFLite") from None
        elif node.op == "output":
            output_tensors = {name: scope[result] for name, result in zip(outputs, results(graph), strict=True)}
    return writer.finish(input_tensors, output_tensors, description="dermedge")
