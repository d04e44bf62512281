"""Control flow: `cond` and `while_loop`, whose blocks see what their surroundings have made before them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from .ops.kinds import Values
from .program import Operation

MAX_ROUNDS = 1_000_000  # of a loop; phone models stay far below, damaged files may not


class Runs(Protocol):
    """An operation that is ready to run."""

    @property
    def operation(self) -> Operation: ...

    def run(self, values: Mapping[str, Any]) -> tuple[Any, ...]: ...


@dataclass(frozen=True)
class Body:
    """A block that is ready to run."""

    inputs: tuple[str, ...]
    calls: Sequence[Runs]
    constants: Mapping[str, Any]  # that it gives as outputs
    outputs: tuple[str, ...]
    captured: tuple[str, ...]  # names of the values around it that it needs

    @cached_property
    def steps(self) -> list[tuple[Callable[..., tuple[Any, ...]], str | None, tuple[str, ...]]]:
        """What runs each call, with the name of its only result, as nearly always, or the names of its results."""
        named = [(call.run, tuple(output.name for output in call.operation.outputs)) for call in self.calls]
        return [(run, names[0] if len(names) == 1 else None, names) for run, names in named]

    def surroundings(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {**self.constants, **{name: values[name] for name in self.captured}}

    def run(self, values: dict[str, Any], arguments: Sequence[Any]) -> list[Any]:
        """Its outputs; `values` are the surroundings, and what it makes is left in them."""
        values.update(zip(self.inputs, arguments, strict=True))
        for run, name, names in self.steps:
            if name is not None:
                (values[name],) = run(values)
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

    ValueError for a loop of more than MAX_ROUNDS.
    """
    test, body = bodies
    around_test, around_body = test.surroundings(values), body.surroundings(values)
    current: Sequence[Any] = loop_vars
    for _ in range(MAX_ROUNDS):
        (going,) = test.run(around_test, current)
        if not going:
            return list(current)
        current = body.run(around_body, current)
    raise ValueError(f"the loop has not ended after {MAX_ROUNDS} rounds")


# Operation -> what runs it; each has two blocks. Their parameters after the first two are the operation's inputs.
CONTROL: Mapping[str, Callable[..., list[Any]]] = {"cond": cond, "while_loop": while_loop}
BLOCKS = 2
