"""Control flow: `cond` and `while_loop`, whose blocks see what their surroundings have made before them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any, Protocol

import torch
from torch import Tensor

from .ops.kinds import Values
from .program import Operation, Output
from .stated import misfit

MAX_ROUNDS = 1_000_000  # of a loop and those inside it; phone models stay far below, damaged files may not
LOOKED_AT = 1000  # rounds after which it is seen whether anything changes
# Operations that give another answer to the same inputs.
CHANGING = {"read_state", "random_bernoulli", "random_categorical", "random_normal", "random_uniform"}
_rounds: ContextVar[Iterator[int] | None] = ContextVar("the rounds of the outermost loop that runs", default=None)


class Runs(Protocol):
    """An operation that is ready to run."""

    @property
    def operation(self) -> Operation: ...

    @property
    def bodies(self) -> tuple[Body, ...]: ...

    @property
    def single(self) -> Callable[[Mapping[str, Any]], Any]: ...

    def run(self, values: Mapping[str, Any]) -> tuple[Any, ...]: ...


@dataclass(frozen=True)
class Body:
    """A block that is ready to run."""

    inputs: tuple[Output, ...]
    calls: Sequence[Runs]
    constants: Mapping[str, Any]  # that it gives as outputs
    outputs: tuple[str, ...]
    captured: tuple[str, ...]  # names of the values around it that it needs

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(value.name for value in self.inputs)

    @cached_property
    def gives(self) -> tuple[Output | None, ...]:
        """What is stated of its outputs, which the values are then known to fit; None for what it does not make."""
        stated = {value.name: value for value in self.inputs}
        stated |= {output.name: output for call in self.calls for output in call.operation.outputs}
        return tuple(stated.get(name) for name in self.outputs)

    @cached_property
    def steps(self) -> list[tuple[Callable[..., Any], str | None, tuple[str, ...]]]:
        """What runs each call, with the name of its only result, as nearly always, or the names of its results."""
        steps: list[tuple[Callable[..., Any], str | None, tuple[str, ...]]] = []
        for call in self.calls:
            names = tuple(output.name for output in call.operation.outputs)
            steps.append((call.single, names[0], names) if len(names) == 1 else (call.run, None, names))
        return steps

    @cached_property
    def steady(self) -> bool:
        """Whether it gives the same answer to the same inputs."""
        return all(
            call.operation.kind not in CHANGING and all(body.steady for body in call.bodies) for call in self.calls
        )

    def surroundings(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {**self.constants, **{name: values[name] for name in self.captured}}

    def run(self, values: dict[str, Any], arguments: Sequence[Any]) -> list[Any]:
        """Its outputs; `values` are the surroundings, and what it makes is left in them."""
        for taken, value in zip(self.names, arguments, strict=True):
            values[taken] = value
        for run, name, names in self.steps:
            if name is not None:
                values[name] = run(values)
            else:
                values.update(zip(names, run(values), strict=True))
        return [values[name] for name in self.outputs]


def cond(bodies: tuple[Body, ...], values: Mapping[str, Any], pred: bool) -> list[Any]:
    """The outputs of the first block where `pred` is true, of the second where not; the other is not run."""
    if_true, if_false = bodies
    body = if_true if pred else if_false
    return body.run(body.surroundings(values), ())


def while_loop(bodies: tuple[Body, ...], values: Mapping[str, Any], loop_vars: Values) -> list[Any]:
    """The second block again and again, on its own outputs, as long as the first says so of them.

    ValueError for a loop of more than MAX_ROUNDS, those of loops inside it counted too, for one that goes on without
    changing anything, and for a value that is not what the block which takes it states.
    """
    test, body = bodies
    hold(loop_vars, [*enumerate(test.inputs), *enumerate(body.inputs)])
    unproven = [*may_differ(body.gives, test.inputs), *may_differ(body.gives, body.inputs)]
    around_test, around_body = test.surroundings(values), body.surroundings(values)
    current: Sequence[Any] = loop_vars
    outer = _rounds.get()
    total = count(1) if outer is None else outer
    token = _rounds.set(total) if outer is None else None
    try:
        for number in count(1):
            (going,) = test.run(around_test, current)
            if not going:
                break
            if next(total) > MAX_ROUNDS:
                raise ValueError(f"the loop has not ended after {MAX_ROUNDS} rounds, those inside it counted too")
            following = body.run(around_body, current)
            if unproven:
                hold(following, unproven)
            if number % LOOKED_AT == 0 and test.steady and body.steady and unchanged(current, following):
                raise ValueError(f"the loop never ends: in round {number} its values no longer change")
            current = following
    finally:
        if token is not None:
            _rounds.reset(token)
    return list(current)


def may_differ(gives: Sequence[Output | None], takes: Sequence[Output]) -> Iterator[tuple[int, Output]]:
    """Places of a block's outputs, with the inputs they become, of which not the same is stated as of those inputs."""
    for place, (given, taken) in enumerate(zip(gives, takes, strict=True)):
        if given is None or (given.element, given.sides) != (taken.element, taken.sides):
            yield place, taken


def hold(values: Sequence[Any], wanted: Iterable[tuple[int, Output]]) -> None:
    """ValueError where the value at one of the places cannot be the input of a block, with both in words."""
    for place, taken in wanted:
        came = misfit(values[place], taken)
        if came is not None:
            raise ValueError(
                f"its block argument {taken.name} is stated to be {taken.words}, it is {came}; the package is damaged "
                "or its converter was wrong: convert the model again"
            )


def unchanged(before: Sequence[Any], after: Sequence[Any]) -> bool:
    return all(
        old is new or (isinstance(old, Tensor) and isinstance(new, Tensor) and torch.equal(old, new))
        for old, new in zip(before, after, strict=True)
    )


# Operation -> what runs it; each has two blocks. Their parameters after the first two are the operation's inputs.
CONTROL: Mapping[str, Callable[..., list[Any]]] = {"cond": cond, "while_loop": while_loop}
BLOCKS = 2
