"""A Core ML package with the second input `answers`, made of the one that takes a picture alone: nothing else changes.

The scores of the classes go into the last softmax; what is answered adds its log-odds there. A program that ends
otherwise gives probabilities, which are weighted by the odds and brought to the same sum again. Both are float32 in
every recipe, and neither changes anything where all answers are 0.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import InputError
from edge.models.deployed import LEAST_LOG_ODDS
from edge.runtimes.coreml.classifier import ANSWERS
from edge.runtimes.coreml.messages import messages
from edge.runtimes.coreml.program import listed, read_spec

SOFTMAX = "softmax"


def write_with_second_input(alone: Path, target: Path, log_odds: np.ndarray) -> Any:
    """Copy the package `alone` to `target`, which takes answers as well; returns its Model message, to be described.

    `log_odds`: float32 (K, Q), what a 1 in each place of `answers` adds to the logarithm of each class's odds. The
    weight file stays as it is. InputError where the program has no float32 scores of K classes at its end.
    """
    spec = read_spec(alone)
    Builder(spec).add(np.ascontiguousarray(log_odds, np.float32))
    shutil.copytree(alone, target)
    return spec


def store(spec: Any, package: Path) -> None:
    """Write the Model message into a package."""
    (package / listed(package)).write_bytes(spec.SerializeToString(deterministic=True))


class Builder:
    """The main function of a Model message, while operations are added to it."""

    def __init__(self, spec: Any) -> None:
        self.spec, self.mil = spec, messages("MIL_pb2")
        self.function = spec.mlProgram.functions["main"]
        self.block = self.function.block_specializations[self.function.opset]
        self.operations = list(self.block.operations)
        self.new: list[Any] = []
        self.taken = {output.name for op in self.operations for output in op.outputs}
        self.taken |= {tensor.name for tensor in self.function.inputs}

    def add(self, log_odds: np.ndarray) -> None:
        classify = next(op for op in self.operations if op.type == "classify")
        (binding,) = classify.inputs["probabilities"].arguments
        makers = {output.name: op for op in self.operations for output in op.outputs}
        result = makers[binding.name]
        while result.type == "cast" and self.read_once(result):
            result = makers[result.inputs["x"].arguments[0].name]
        before = result.type == SOFTMAX and self.read_once(result)
        (argument,) = result.inputs["x"].arguments if before else (binding,)
        scores = argument.name
        self.check(makers[scores], scores, len(log_odds))
        self.take(log_odds.shape[1])
        added = self.result("linear", "answered", (1, len(log_odds)), x=ANSWERS,
                            weight=self.constant("answers_log_odds", log_odds),
                            bias=self.constant("answers_bias", np.zeros(len(log_odds), np.float32)))  # fmt: skip
        if before:
            argument.name = self.result("add", "scores_with_answers", (1, len(log_odds)), x=scores, y=added)
        else:
            binding.name = self.weighed(scores, added, len(log_odds))
        place = self.operations.index(result if before else classify)
        del self.block.operations[:]
        self.block.operations.extend([*self.operations[:place], *self.new, *self.operations[place:]])

    def read_once(self, maker: Any) -> bool:
        """Whether one operation alone reads what this one gives; another would be told of the answers, too."""
        readers = [
            argument
            for operation in self.operations
            for value in operation.inputs.values()
            for argument in value.arguments
            if argument.name == maker.outputs[0].name
        ]
        return len(readers) == 1

    def check(self, maker: Any, scores: str, classes: int) -> None:
        """InputError unless the scores are float32 (1, K)."""
        kind = next(output.type.tensorType for output in maker.outputs if output.name == scores)
        sizes = [int(size.constant.size) for size in kind.dimensions]
        if kind.dataType != self.mil.DataType.FLOAT32 or sizes != [1, classes]:
            element = self.mil.DataType.Name(kind.dataType)
            raise InputError(
                f"no form of this package takes answers: they are added to float32 scores (1, {classes}), and here "
                f"{scores} is {element} {sizes}"
            )
        if ANSWERS in self.taken:
            raise InputError(f"a value of the network is called {ANSWERS}, as the second input has to be; rename it")

    def take(self, places: int) -> None:
        """The input, in the program and in the package's description."""
        tensor = self.function.inputs.add()
        tensor.name = ANSWERS
        self.typed(tensor.type.tensorType, (1, places), self.mil.DataType.FLOAT32)
        feature = self.spec.description.input.add()
        feature.name = ANSWERS
        feature.type.multiArrayType.shape.extend([1, places])
        feature.type.multiArrayType.dataType = messages("FeatureTypes_pb2").ArrayFeatureType.FLOAT32

    def weighed(self, probabilities: str, added: str, classes: int) -> str:
        """Probabilities by the odds, with the sum that they had before."""
        row, single = (1, classes), (1, 1)
        along: dict[str, str] = {
            "axes": self.constant("class_axis", np.array([1], np.int32)),
            "keep_dims": self.constant("keep_class_axis", np.bool_(True)),
        }
        largest = self.result("reduce_max", "largest_log_odds", single, x=added, **along)
        below = self.result("sub", "log_odds_below", row, x=added, y=largest)  # so that no power overflows
        least = self.constant("least_log_odds", np.float32(LEAST_LOG_ODDS))
        bounded = self.result("maximum", "bounded_log_odds", row, x=below, y=least)  # so that not all weighted are 0
        odds = self.result("exp", "odds", row, x=bounded)
        weighted = self.result("mul", "weighted", row, x=probabilities, y=odds)
        before = self.result("reduce_sum", "sum_before", single, x=probabilities, **along)
        after = self.result("reduce_sum", "sum_after", single, x=weighted, **along)
        ratio = self.result("real_div", "ratio", single, x=after, y=before)
        return self.result("real_div", "probabilities_with_answers", row, x=weighted, y=ratio)

    def constant(self, name: str, value: np.ndarray | np.generic) -> str:
        """A constant operation that holds its value in the program itself."""
        value = np.asarray(value)
        kind = {"float32": "FLOAT32", "int32": "INT32", "bool": "BOOL"}[value.dtype.name]
        operation = self.operation("const", name)
        held = operation.attributes["val"]
        for type_ in (operation.outputs[0].type.tensorType, held.type.tensorType):
            self.typed(type_, value.shape, self.mil.DataType.Value(kind))
        tensor = held.immediateValue.tensor
        field = {"FLOAT32": tensor.floats, "INT32": tensor.ints, "BOOL": tensor.bools}[kind]
        field.values.extend(value.reshape(-1).tolist())
        return str(operation.outputs[0].name)

    def result(self, kind: str, name: str, shape: Sequence[int], **inputs: str) -> str:
        """An operation with one float32 result of this shape; the result's name."""
        operation = self.operation(kind, name)
        self.typed(operation.outputs[0].type.tensorType, shape, self.mil.DataType.FLOAT32)
        for argument, value in inputs.items():
            operation.inputs[argument].arguments.add().name = value
        return str(operation.outputs[0].name)

    def operation(self, kind: str, name: str) -> Any:
        """An operation with one output of a free name like `name`, which is the operation's too."""
        chosen, number = name, 1
        while chosen in self.taken:
            chosen, number = f"{name}_{number}", number + 1
        self.taken.add(chosen)
        operation = self.mil.Operation(type=kind)
        operation.outputs.add().name = chosen
        held = operation.attributes["name"]
        held.type.tensorType.dataType = self.mil.DataType.STRING
        held.immediateValue.tensor.strings.values.append(chosen)
        self.new.append(operation)
        return operation

    def typed(self, type_: Any, shape: Sequence[int], element: int) -> None:
        type_.dataType, type_.rank = element, len(shape)
        for size in shape:
            type_.dimensions.add().constant.size = size
