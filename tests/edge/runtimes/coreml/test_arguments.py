"""Arguments that no converter writes: whatever an operation is handed, it answers or says in words what it was."""

from __future__ import annotations

import inspect
import random
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from edge.errors import InputError
from edge.runtimes.coreml.bind import ready
from edge.runtimes.coreml.ops import TABLE
from edge.runtimes.coreml.program import OPSETS, Operation, Output, Ref

SIZES = (0, 1, 1, 2, 3, 4, 5)
WHOLE = (0, 1, 1, 2, 3, 4, -1, -2, 7, 100, 2**40, -(2**31), 2**62)
NUMBERS = (0.0, 1.0, -1.0, 1e-5, 1e38, float("nan"), float("inf"))
TEXTS = (
    "", "valid", "same", "custom", "fp16", "int32", "reverse", "bidirectional", "sigmoid", "reflect", "constant", "add",
    "ij,jk->ik", "STRICT_ALIGN_CORNERS", "é",
)  # fmt: skip
# What torch says of means of nothing: the answer is there, NaN.
pytestmark = pytest.mark.filterwarnings("ignore:.*degrees of freedom:UserWarning")
PATIENCE_S = 10  # of the processor, for one operation on a few numbers


def tensor(draw: random.Random) -> Tensor:
    shape = [draw.choice(SIZES) for _ in range(draw.choice((0, 1, 2, 3, 4, 4, 5, 6)))]
    makers: tuple[Callable[[], Tensor], ...] = (
        lambda: torch.randn(shape),
        lambda: torch.full(shape, draw.choice(NUMBERS)),
        lambda: torch.randint(-3, 5, shape, dtype=torch.int32),
        lambda: torch.rand(shape) > 0.5,
        lambda: torch.randint(0, 255, shape, dtype=torch.uint8),
        lambda: torch.tensor([draw.choice(WHOLE) for _ in range(draw.choice((0, 1, 2, 4, 8)))]),
    )
    return draw.choice(makers)()


def value(draw: random.Random, kind: str) -> Any:
    """Of the kind that a parameter declares, or of any other."""
    fitting: dict[str, Callable[[], Any]] = {
        "int": lambda: torch.tensor(draw.choice(WHOLE)),
        "float": lambda: torch.tensor(draw.choice(NUMBERS)),
        "bool": lambda: torch.tensor(draw.random() > 0.5),
        "str": lambda: draw.choice(TEXTS),
        "Ints": lambda: torch.tensor([draw.choice(WHOLE[:7]) for _ in range(draw.choice((0, 1, 2, 2, 3, 4, 6)))]),
        "Floats": lambda: torch.rand(draw.choice((0, 1, 4))),
        "Tensors": lambda: [tensor(draw) for _ in range(draw.choice((0, 1, 2, 3)))],
    }
    strange = (lambda: tensor(draw), lambda: draw.choice(TEXTS), list, lambda: ["a", tensor(draw)])
    fits = fitting.get({"Sizes": "Ints", "Values": "Tensors"}.get(kind, kind), lambda: tensor(draw))
    return (fits if draw.random() < 0.7 else draw.choice(strange))()


def handed(draw: random.Random, kind: str, function: Callable[..., Any]) -> tuple[Operation, dict[str, Any]]:
    """An operation with some of its arguments written in it and others made by the program."""
    inputs: dict[str, Any] = {}
    computed: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        optional = parameter.default is not inspect.Parameter.empty
        if draw.random() < (0.5 if optional else 0.02):
            continue
        argument = value(draw, str(parameter.annotation).removesuffix(" | None").split(" | ")[0])
        if draw.random() < 0.5:
            inputs[name] = argument
            continue
        parts = argument if isinstance(argument, list) else [argument]
        refs = [Ref(f"{name} {number}") for number in range(len(parts))]
        computed |= {ref.name: part for ref, part in zip(refs, parts, strict=True)}
        inputs[name] = refs if isinstance(argument, list) else refs[0]
    output = Output("result", draw.choice(("FLOAT32", "FLOAT16", "INT32", "BOOL")), None)
    return Operation(kind, "it", inputs, (output,), 0), computed


def functions() -> list[tuple[str, str, Callable[..., Any]]]:
    """(operation, op set, function) of all that the interpreter knows."""
    return [
        (kind, opset, function)
        for kind, versions in TABLE.items()
        for opset, function in ({OPSETS[-1]: versions} if callable(versions) else versions).items()
    ]


def try_all(seed: int, times: int) -> dict[str, int]:
    """How many calls ended in an answer, and how many in words; anything else that ends one is raised."""
    draw = random.Random(seed)
    torch.manual_seed(seed)
    ends = {"answer": 0, "words": 0}
    for kind, opset, function in functions():
        for _ in range(times):
            operation, computed = handed(draw, kind, function)
            begun = time.process_time()
            try:
                with torch.inference_mode():
                    ready(operation, opset, {}, {}).run(computed)
                ends["answer"] += 1
            except InputError as error:
                assert kind in str(error), f"{kind} is not named: {error}"
                ends["words"] += 1
            except Exception as error:
                raise AssertionError(f"{operation} of {computed} ended in {error!r}") from error
            assert time.process_time() - begun < PATIENCE_S, f"{operation} of {computed}"
    return ends


def test_strange_arguments_end_in_an_answer_or_in_words() -> None:
    ends = try_all(seed=0, times=4)
    assert min(ends.values()) > 50


@pytest.mark.slow(reason="40 calls of each operation, half a minute")
@pytest.mark.parametrize("seed", [1, 2])
def test_many_strange_arguments_end_in_an_answer_or_in_words(seed: int) -> None:
    try_all(seed, times=40)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("written", [True, False])
def test_weights_that_cannot_be_divided_among_gates_are_named(kind: str, written: bool) -> None:
    """Whether they are written in the program or computed by it."""
    rows = torch.zeros(5, 2)
    state = torch.zeros(1, 1)
    inputs: dict[str, Any] = {
        "x": torch.zeros(1, 1, 2), "initial_h": state, **({"initial_c": state} if kind == "lstm" else {}),
        "weight_ih": rows if written else Ref("rows"), "weight_hh": torch.zeros(4 if kind == "lstm" else 3, 1),
    }  # fmt: skip
    outputs = tuple(Output(name, "FLOAT32", None) for name in ("y", "h", "c")[: 3 if kind == "lstm" else 2])
    with pytest.raises(InputError, match=rf"{kind} \(it\).* cannot be divided among [34] gates"):
        ready(Operation(kind, "it", inputs, outputs, 0), OPSETS[-1], {}, {}).run({"rows": rows})


def test_a_failure_without_a_word_is_named_too(monkeypatch) -> None:
    """An exception may have an empty message."""

    def fails(x: Tensor) -> Tensor:
        raise ValueError

    monkeypatch.setitem(TABLE, "relu", fails)
    operation = Operation("relu", "it", {"x": Ref("x")}, (Output("y", "FLOAT32", None),), 0)
    with pytest.raises(InputError, match=r"relu \(it\) failed .*ValueError"):
        ready(operation, OPSETS[-1], {}, {}).run({"x": torch.zeros(1)})


def test_a_window_of_far_more_channels_than_there_are_takes_no_longer() -> None:
    """All channels lie in it, and the sum of their squares is divided by its size all the same."""
    x = torch.arange(1.0, 7.0).reshape(1, 3, 2, 1)
    operation = Operation(
        "local_response_norm", "it", {"x": x, "size": torch.tensor(2**40), "alpha": torch.tensor(2.0**40)},
        (Output("y", "FLOAT32", None),), 0,
    )  # fmt: skip
    begun = time.process_time()
    (mine,) = ready(operation, OPSETS[-1], {}, {}).run({})
    assert time.process_time() - begun < 1
    torch.testing.assert_close(mine, x / (1 + (x * x).sum(1, keepdim=True)) ** 0.75)
