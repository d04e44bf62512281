"""A plugin of pytest under which coremltools' own tests of its operations predict with dermedge's interpreter.

Off a Mac those tests build a program and compare nothing. Here they take the machine for a Mac, and `MLModel.predict`
runs the saved package. Each test's outcome goes to the file that --outcomes names, a JSON line each.
"""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

NO_PROGRAM, PASSED, REFUSED, WRONG, BROKEN = "no program", "passed", "refused", "wrong", "broken"
STEP = "within a step of float16"  # passed, but for a limit that is finer than the type of the result
ROUNDED = "within what float16 makes"  # of the inputs and weights, in results that were computed from unrounded ones
NUMBERS_RIGHT = "another program"  # all numbers are right; the test also asks how coremltools wrote the program
HALF_STEP = 2**-10  # the largest step of float16, relative to the number; here to the largest of a result
ROUNDING = 2**-11  # the largest error of float16, relative to the number
TRIALS = 16
CASTS = "assert number_of_cast =="  # the line of a test that counts coremltools' casts to float16, which float32 lacks


def pytest_addoption(parser: Any) -> None:
    parser.addoption("--outcomes", type=Path, required=True)
    parser.addoption("--every", type=int, default=1)
    parser.addoption("--first", type=int, default=0)


def pytest_configure(config: Any) -> None:
    config.pluginmanager.register(Outcomes(config.getoption("--outcomes")))
    import coremltools as ct
    from coremltools import _deps
    from coremltools.converters.mil import testing_utils
    from coremltools.converters.mil.mil.ops.tests import testing_utils as ops_utils
    from coremltools.models import utils

    from edge.runtimes import coreml

    _deps._IS_MACOS = testing_utils._IS_MACOS = True
    utils._macos_version = lambda: (15, 0)
    opened: dict[str, coreml.CoreMLModel] = {}

    def ours(model: Any) -> coreml.CoreMLModel:
        path = model.package_path
        if path not in opened:
            opened.clear()
            opened[path] = coreml.load_program(path, model.function_name)
        return opened[path]

    def predict(model: Any, data: Any, state: Any = None) -> Any:
        if model.package_path is None:
            pytest.skip("a neural network, which this test makes whatever the backend")
        Outcomes.predicted = True
        return ours(model).predict(data, state)

    plain = testing_utils.compare_backend

    parameters = inspect.signature(plain)

    def compare(*args: Any, **keywords: Any) -> Any:
        """Tests of the float32 setting allow 1e-4 on float16 results too, which is less than a step of float16."""
        try:
            return plain(*args, **keywords)
        except AssertionError:
            asked = parameters.bind(*args, **keywords).arguments
            expected = asked["expected_outputs"]
            half = holds_half(ours(asked["mlmodel"]).program)
            if not half or not expected or asked.get("state") is not None:
                raise
            largest = max(float(np.abs(array).max(initial=0)) for array in map(np.asarray, expected.values()))
            step = HALF_STEP * largest
            try:
                result = plain(**{**asked, "atol": step, "rtol": 0})
                Outcomes.allowed = STEP
            except AssertionError:
                moved = moved_by_rounding(ours(asked["mlmodel"]), asked["input_key_values"])
                result = plain(**{**asked, "atol": step + moved, "rtol": 0})
                Outcomes.allowed = ROUNDED
            return result

    for module in (testing_utils, ops_utils):
        module.compare_backend = compare
    ct.models.MLModel.predict = predict
    ct.models.MLModel.make_state = lambda model: ours(model).make_state()


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    items[:] = items[config.getoption("--first") :: config.getoption("--every")]


def holds_half(program: Any) -> bool:
    """Whether an input, a constant or a result is float16; Apple's numbers come from ones that were not rounded."""
    import torch

    results = (output for operation in program.operations for output in operation.outputs)
    stored = (value for value in program.constants.values() if isinstance(value, torch.Tensor))
    return any(value.element == "FLOAT16" for value in (*program.inputs, *results)) or any(
        value.dtype == torch.float16 for value in stored
    )


def moved_by_rounding(model: Any, inputs: Any) -> float:
    """The most that any result moves when what is float16 in inputs and weights moves by less than its rounding.

    Apple's numbers come from inputs and weights that were not rounded, so a right answer differs by no more.
    """
    import torch

    from edge.runtimes.coreml import features
    from edge.runtimes.coreml.model import CoreMLModel

    draw = torch.Generator().manual_seed(0)

    def moved(value: Any, half: bool = False) -> Any:
        if not isinstance(value, torch.Tensor) or not (half or value.dtype == torch.float16):
            return value
        value = value.float()
        return value * (1 + ROUNDING * (2 * torch.rand(value.shape, generator=draw) - 1))

    program = model.program
    halves = {feature.name for feature in program.inputs if feature.element == "FLOAT16"}
    wide = tuple(replace(f, element="FLOAT32") if f.name in halves else f for f in program.inputs)
    plain = features.read_inputs(model.input_description, inputs)
    right = model.run(plain)
    most = 0.0
    for _ in range(TRIALS):
        constants = {name: moved(value) for name, value in program.constants.items()}
        other = CoreMLModel(model.spec, replace(program, inputs=wide, constants=constants), model.function_name)
        results = other.run({name: moved(value, name in halves) for name, value in plain.items()})
        most = max(most, *(float((results[name] - value).abs().max()) for name, value in right.items()))
    return most


class Outcomes:
    """Writes what became of each test."""

    predicted = False  # by the test that runs
    allowed: str | None = None  # why its numbers count as right where it expects them to be nearer

    def __init__(self, path: Path) -> None:
        self.path = path

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: Any, call: Any) -> Any:
        from edge.errors import InputError

        outcome = yield
        if call.when != "call":
            return
        error = call.excinfo.value if call.excinfo is not None else None
        skipped = isinstance(error, pytest.skip.Exception | pytest.xfail.Exception)
        kind = PASSED
        if error is not None and not skipped:
            kind = REFUSED if isinstance(error, InputError) else WRONG if isinstance(error, AssertionError) else BROKEN
        elif skipped or not Outcomes.predicted:
            kind = NO_PROGRAM
        elif Outcomes.allowed:
            kind = Outcomes.allowed
        if kind == WRONG and call.excinfo is not None and CASTS in str(call.excinfo.traceback[-1].statement):
            kind = NUMBERS_RIGHT
        Outcomes.predicted, Outcomes.allowed = False, None
        line = {"test": item.nodeid, "outcome": kind, "said": "" if error is None else f"{error}"[:400],
                "expected_to_fail": bool(getattr(outcome.get_result(), "wasxfail", ""))}  # fmt: skip
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
