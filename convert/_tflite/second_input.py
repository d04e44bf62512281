"""A .tflite file with the second input `answers`, made of the file that takes a picture alone: nothing else changes.

The scores of the classes go into the last SOFTMAX; what is answered adds its log-odds there. A file that ends otherwise
gives probabilities, which are weighted by the odds and brought to the same sum again. Both are float32 in every recipe,
and neither changes anything where all answers are 0. The product is a FULLY_CONNECTED of rank 2 with float32 weights
and a bias of zeros, which every TFLite knows (docs/edge_graph.md, The form of a product).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge.errors import InputError
from edge.models.deployed import LEAST_LOG_ODDS, OUTPUTS
from edge.runtimes.litert import ANSWERS
from edge.tflite.flatbuffer import code_name, pack, unpack
from edge.tflite.versions import set_versions

SOFTMAX = "SOFTMAX"


def with_second_input(content: bytes, log_odds: np.ndarray) -> bytes:
    """`log_odds`: float32 (K, Q), what a 1 in each place of `answers` adds to the logarithm of each class's odds.

    InputError where the file has no float32 scores of K classes at its end, as one in whole numbers has.
    """
    file = File(content)
    classes, places = log_odds.shape
    result = file.output(OUTPUTS[0])
    maker = next(operator for operator in reversed(file.graph.operators) if result in list(operator.outputs))
    # another reader of the softmax would be told of the answers, too
    read = any(result in list(operator.inputs) for operator in file.graph.operators)
    behind = file.name(maker) != SOFTMAX or maker.builtinOptions.beta != 1 or read
    scores = result if behind else int(maker.inputs[0])
    if file.type(scores) != file.schema.TensorType.FLOAT32 or file.shape(scores) != [1, classes]:
        raise InputError(
            f"no form of this file takes answers: they are added to float32 scores (1, {classes}), and here "
            f"{file.graph.tensors[scores].name.decode()} has type {file.type(scores)} and shape {file.shape(scores)}"
        )
    answers = file.tensor([1, places], ANSWERS)
    place = len(file.graph.operators) if behind else file.graph.operators.index(maker)
    added = file.product(answers, log_odds, place)
    if behind:
        file.weigh(result, added)
    else:
        maker.inputs = np.array([file.sum_of(scores, added, place + 1)], np.int32)
    file.take(answers)
    set_versions(file.model)
    return pack(file.model)


class File:
    """An unpacked file that grows."""

    def __init__(self, content: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema = schema
        self.model = unpack(content)
        self.graph = self.model.subgraphs[0]

    def name(self, operator: Any) -> str:
        return code_name(self.model.operatorCodes[operator.opcodeIndex])

    def type(self, tensor: int) -> int:
        return int(self.graph.tensors[tensor].type)

    def shape(self, tensor: int) -> list[int]:
        return [int(n) for n in self.graph.tensors[tensor].shape]

    def output(self, name: str) -> int:
        """The output that the signature calls so."""
        signature = self.model.signatureDefs[0]
        return next(int(entry.tensorIndex) for entry in signature.outputs if entry.name.decode() == name)

    def tensor(self, shape: list[int], name: str, *, buffer: int = 0) -> int:
        tensor = self.schema.TensorT()
        tensor.shape, tensor.type, tensor.hasRank = np.array(shape, np.int32), self.schema.TensorType.FLOAT32, True
        tensor.name, tensor.buffer = self.free(name).encode(), buffer
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def free(self, name: str) -> str:
        """The name, or one like it, that no tensor has; of the input itself InputError where it is taken."""
        taken = {tensor.name.decode() for tensor in self.graph.tensors}
        if name == ANSWERS and name in taken:
            raise InputError(f"a tensor of the network is called {ANSWERS}, as the second input has to be; rename it")
        chosen, number = name, 1
        while chosen in taken:
            chosen, number = f"{name}_{number}", number + 1
        return chosen

    def constant(self, values: np.ndarray, name: str, dtype: Any = np.float32) -> int:
        buffer = self.schema.BufferT()
        buffer.data = np.ascontiguousarray(values, dtype).view(np.uint8).reshape(-1)
        self.model.buffers.append(buffer)
        place = self.tensor(list(values.shape), name, buffer=len(self.model.buffers) - 1)
        if dtype is np.int32:
            self.graph.tensors[place].type = self.schema.TensorType.INT32
        return place

    def operator(self, kind: str, inputs: list[int], output: int, place: int | None = None, **fields: Any) -> None:
        """An operator of the schema's name `kind`, the last one where no `place` is given; `fields` of its options."""
        code = self.schema.OperatorCodeT()
        code.builtinCode = getattr(self.schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = 1
        self.model.operatorCodes.append(code)
        operator = self.schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
        stem = OPTIONS[kind]
        operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, stem)
        operator.builtinOptions = getattr(self.schema, f"{stem}T")()
        for field, value in fields.items():
            setattr(operator.builtinOptions, field, value)
        self.graph.operators.insert(len(self.graph.operators) if place is None else place, operator)

    def product(self, answers: int, log_odds: np.ndarray, place: int) -> int:
        weight = self.constant(log_odds, "answers_log_odds")
        bias = self.constant(np.zeros(len(log_odds), np.float32), "answers_bias")
        added = self.tensor([1, len(log_odds)], "answered")
        self.operator("FULLY_CONNECTED", [answers, weight, bias], added, place)
        return added

    def sum_of(self, scores: int, added: int, place: int) -> int:
        total = self.tensor(self.shape(scores), "scores_with_answers")
        self.operator("ADD", [scores, added], total, place)
        return total

    def weigh(self, result: int, added: int) -> None:
        """Probabilities by the odds, with the sum that they had before; the output's name goes to what is made."""
        row, single = self.shape(result), [1, 1]
        name = self.graph.tensors[result].name
        self.graph.tensors[result].name = self.free(f"{name.decode()}_of_the_picture").encode()
        axis = self.constant(np.array([1]), "axis", np.int32)
        largest, before, after, ratio = (self.tensor(single, part) for part in ("largest", "before", "after", "ratio"))
        below, bounded, odds, weighted = (self.tensor(row, part) for part in ("below", "bounded", "odds", "weighted"))
        least = self.constant(np.full(row, LEAST_LOG_ODDS), "least_log_odds")
        reweighted = self.tensor(row, name.decode())
        self.operator("REDUCE_MAX", [added, axis], largest, keepDims=True)
        self.operator("SUB", [added, largest], below)  # so that no power overflows
        self.operator("MAXIMUM", [below, least], bounded)  # so that not all weighted ones are 0
        self.operator("EXP", [bounded], odds)
        self.operator("MUL", [result, odds], weighted)
        self.operator("SUM", [result, axis], before, keepDims=True)
        self.operator("SUM", [weighted, axis], after, keepDims=True)
        self.operator("DIV", [after, before], ratio)
        self.operator("DIV", [weighted, ratio], reweighted)
        self.graph.outputs = np.array(
            [reweighted if int(n) == result else int(n) for n in self.graph.outputs], np.int32
        )
        for signature in self.model.signatureDefs:
            for entry in signature.outputs:
                entry.tensorIndex = reweighted if int(entry.tensorIndex) == result else entry.tensorIndex

    def take(self, answers: int) -> None:
        """Make the tensor an input of the file, behind the picture."""
        self.graph.inputs = np.array([*self.graph.inputs, answers], np.int32)
        for signature in self.model.signatureDefs:
            entry = self.schema.TensorMapT()
            entry.name, entry.tensorIndex = ANSWERS.encode(), answers
            signature.inputs = [*signature.inputs, entry]


# operator -> the schema's name of its options
OPTIONS = {
    "FULLY_CONNECTED": "FullyConnectedOptions", "ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions",
    "DIV": "DivOptions", "EXP": "ExpOptions", "MAXIMUM": "MaximumMinimumOptions",
    "REDUCE_MAX": "ReducerOptions", "SUM": "ReducerOptions",
}  # fmt: skip
