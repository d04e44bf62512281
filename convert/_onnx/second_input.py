"""An ONNX model with the second input `answers`, made of the model that takes a picture alone: nothing else changes.

As in a .tflite (`convert/_tflite/second_input.py`): the scores of the classes go into the last Softmax; what is
answered adds its log-odds there. A model that ends otherwise gives probabilities, which are weighted by the odds and
brought to the same sum again. Neither changes anything where all answers are 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge.errors import InputError
from edge.models.deployed import LEAST_LOG_ODDS, OUTPUTS
from edge.runtimes.onnx import ANSWERS


def with_second_input(content: bytes, log_odds: np.ndarray) -> Any:
    """`log_odds`: float32 (K, Q), what a 1 in each place of `answers` adds to the logarithm of each class's odds."""
    from onnx import ModelProto, TensorProto, helper

    model = ModelProto.FromString(content)
    graph = model.graph
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    if ANSWERS in taken:
        raise InputError(f"a value of the network is called {ANSWERS}, as the second input has to be; rename it")
    places = log_odds.shape[1]
    maker = next(node for node in graph.node if OUTPUTS[0] in node.output)
    read = any(OUTPUTS[0] in node.input for node in graph.node)  # such a reader would be told of the answers, too
    graph.input.append(helper.make_tensor_value_info(ANSWERS, TensorProto.FLOAT, [1, places]))
    tail = Tail(graph)
    tail.stored("log_odds", log_odds)
    added = tail.node("Gemm", [ANSWERS, tail.name("log_odds")], "answered", transB=1)
    if maker.op_type == "Softmax" and not read:
        total = tail.node("Add", [maker.input[0], added], "scores_with_answers")
        end = helper.make_node("Softmax", [total], [OUTPUTS[0]], name=maker.name, axis=1)
        graph.node.remove(maker)
        tail.nodes.append(end)
    else:
        alone = tail.name("of_the_picture")
        for node in graph.node:
            node.input[:] = [alone if name == OUTPUTS[0] else name for name in node.input]
        maker.output[:] = [alone if name == OUTPUTS[0] else name for name in maker.output]
        tail.weigh(alone, added)
    graph.node.extend(tail.nodes)
    return model


class Tail:
    """Nodes that are added at the end of a graph, under names of their own."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.nodes: list[Any] = []

    def name(self, part: str) -> str:
        return f"{ANSWERS}_{part}"

    def stored(self, part: str, values: np.ndarray) -> str:
        from onnx import numpy_helper

        kind = np.int64 if values.dtype == np.int64 else np.float32
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(values, kind), self.name(part)))
        return self.name(part)

    def node(self, kind: str, inputs: list[str], part: str, **attributes: Any) -> str:
        from onnx import helper

        name = part if part in OUTPUTS else self.name(part)
        self.nodes.append(helper.make_node(kind, inputs, [name], name=self.name(part), **attributes))
        return name

    def weigh(self, alone: str, added: str) -> None:
        """Probabilities by the odds, with the sum that they had before."""
        axis = self.stored("axis", np.array([1], np.int64))
        least = self.stored("least_log_odds", np.array([LEAST_LOG_ODDS]))
        largest = self.node("ReduceMax", [added], "largest", axes=[1], keepdims=1)
        below = self.node("Sub", [added, largest], "below")  # so that no power overflows
        bounded = self.node("Max", [below, least], "bounded")  # so that not all weighted ones are 0
        weighted = self.node("Mul", [alone, self.node("Exp", [bounded], "odds")], "weighted")
        before = self.node("ReduceSum", [alone, axis], "before", keepdims=1)
        after = self.node("ReduceSum", [weighted, axis], "after", keepdims=1)
        self.node("Div", [weighted, self.node("Div", [after, before], "ratio")], OUTPUTS[0])
