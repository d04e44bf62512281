"""`predict` of an ML program, executed operation by operation with the types that it states.

An fp16 program computes in fp16: every result that the program calls fp16 is rounded to it; sums inside one operation
are made in float32. Weights are expanded as they are stored. How Apple's hardware schedules, fuses or rounds inside an
operation is not imitated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from edge.errors import InputError

from . import features
from .bind import Call, bind
from .described import Described
from .ops.states import State
from .program import Operation, Program
from .promised import check_promised
from .runtime_dependent import runtime_dependent
from .state import MLState, check_fits
from .stated import misfit

Observer = Callable[[Operation, tuple[Any, ...]], None]


class CoreMLModel(Described):
    """A program that answers, with the interface of coremltools' `MLModel`."""

    def __init__(self, spec: Any, program: Program, function_name: str | None = None) -> None:
        super().__init__(spec)
        self.program = program
        usual = spec.description.defaultFunctionName or "main"
        self.function_name = usual if function_name is None else function_name
        description = spec.description
        if description.functions:
            name = self.function_name
            description = next((f for f in description.functions if f.name == name), description.functions[0])
        self.input_description, self.output_description = list(description.input), list(description.output)
        strange = [feature.name for feature in self.output_description if feature.name not in program.outputs]
        if strange:
            raise InputError(
                f"the package promises an output {strange[0]}; its program gives {', '.join(program.outputs) or 'none'}"
            )
        check_promised(self.output_description, program)
        described = {feature.name for feature in description.state}
        if described != {kind.name for kind in program.states}:
            raise InputError(
                f"the package describes the states {', '.join(sorted(described)) or 'none'}; its program has "
                f"{', '.join(kind.name for kind in program.states) or 'none'}"
            )
        self.pictures = features.whole_pixels(self.input_description)
        self.calls, self.constants = bind(program)
        self.last_use = last_uses(self.calls, program.outputs)

    @property
    def notices(self) -> list[str]:
        """Operations of the program to which Apple's runtime is known to give other answers; usually none."""
        return runtime_dependent(self.program, self.calls)

    def make_state(self) -> MLState:
        """What the model keeps between predictions, all zero: give it to `predict`.

        Empty of a model that keeps nothing, as in Core ML, so that one call serves both kinds of models.
        """
        return MLState(self.program.states)

    @torch.inference_mode()
    def predict(
        self,
        data: Mapping[str, Any] | list[Mapping[str, Any]],
        state: MLState | None = None,
        *,
        observe: Observer | None = None,
    ) -> Any:
        """Answers for one dictionary of inputs, or a list of them: {output name: array, number, text or dictionary}.

        `state` is what `make_state` gave, of this model or of one with the same states; the prediction reads it and
        leaves its new values in it. A prediction that fails leaves it as it was. InputError if a model with states gets
        none, and for one of other states.
        `observe` is called after every operation with its results (float tensors hold the program's own values);
        of operations inside the blocks of another it is not.
        """
        if isinstance(data, list):
            if state is not None:
                raise InputError("a state goes with one dictionary of inputs, not with a list of them")
            return [self.predict(inputs, observe=observe) for inputs in data]
        self.check_state(state)
        values = self.run(features.read_inputs(self.input_description, data), observe, state)
        return features.write_outputs(self.output_description, values)

    def check_state(self, state: MLState | None) -> None:
        if state is not None:
            check_fits(state, self.program.states)
        elif self.program.states:
            names = ", ".join(kind.name for kind in self.program.states)
            raise InputError(f"the model keeps states ({names}): predict(data, state), state = model.make_state()")

    def run(
        self, inputs: Mapping[str, Any], observe: Observer | None = None, state: MLState | None = None
    ) -> dict[str, Any]:
        """The program on tensors by input name -> every output of the program."""
        values = self.starting_values(inputs)
        kept = {name: State(value) for name, value in state.values.items()} if state is not None else {}
        values |= kept
        for number, call in enumerate(self.calls):
            results = call.run(values)
            if observe is not None:
                observe(call.operation, results)
            for output, result in zip(call.operation.outputs, results, strict=True):
                values[output.name] = result
            for name in self.last_use.get(number, ()):
                values.pop(name, None)
        if state is not None:
            state.values.update((name, held.value) for name, held in kept.items())
        return {name: values[name] for name in self.program.outputs}

    def starting_values(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The values before the first operation: constants and inputs, in the types that operations expect.

        InputError for an input that is missing, or of another type or shape than the program states.
        """
        values: dict[str, Any] = dict(self.constants)
        for feature in self.program.inputs:
            if feature.name not in inputs:
                raise InputError(f"the program's input {feature.name} was not given")
            value = inputs[feature.name]
            if feature.sides == () and value.shape == (1,):  # packages describe a single number as an array of one
                value = value.reshape(())
            if feature.element == "UINT8" and feature.name in self.pictures:
                value = value.to(torch.uint8)
            came = misfit(value, feature)
            if came is not None:
                raise InputError(
                    f"the program states its input {feature.name} to be {feature.words}, it is {came}; the package "
                    "describes it otherwise: it is damaged or its converter was wrong, convert the model again"
                )
            if feature.element == "FLOAT16":
                value = value.half()
            values[feature.name] = value.float() if feature.is_float else value
        return values


def last_uses(calls: list[Call], outputs: tuple[str, ...]) -> dict[int, list[str]]:
    """Number of a call -> values that nothing needs after it."""
    last: dict[str, int] = {}
    for number, call in enumerate(calls):
        for output in call.operation.outputs:
            last[output.name] = number
        last.update(dict.fromkeys(call.reads(), number))
    dead_after: dict[int, list[str]] = {}
    for name, number in last.items():
        if name not in outputs:
            dead_after.setdefault(number, []).append(name)
    return dead_after
