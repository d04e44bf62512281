"""What a program states of inputs, of functions and of the blocks of control flow, is what they are handed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pytest
import torch
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import Function, Program
from PIL import Image

from edge.errors import InputError
from edge.runtimes import coreml
from tests.edge.runtimes.coreml._programs import saved
from tests.edge.runtimes.coreml.test_damage import block, edited
from tests.edge.runtimes.coreml.test_stated import element, operation, side

X = np.arange(6, dtype=np.float32).reshape(2, 3)
START = np.array([0], np.int32)
CLOSED = [2, 3]


def build(x, start):
    """A loop that squares, in a branch, and a loop whose value grows."""
    count = mb.squeeze(x=start)

    def squared():
        return mb.while_loop(
            _cond=lambda n, x: mb.less(x=n, y=2), _body=lambda n, x: (mb.add(x=n, y=1), mb.square(x=x)),
            loop_vars=(count, x),
        )[1]  # fmt: skip

    branch = mb.cond(pred=mb.equal(x=count, y=0), _true_fn=squared, _false_fn=lambda: mb.abs(x=x), name="branch")
    _, grown = mb.while_loop(
        _cond=lambda n, z: mb.less(x=n, y=2), _body=lambda n, z: (mb.add(x=n, y=1), mb.concat(values=(z, z), axis=0)),
        loop_vars=(count, x), name="growing",
    )  # fmt: skip
    return branch, grown


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return saved(build, {"x": X, "start": START}, tmp_path_factory.mktemp("package"))


@pytest.fixture
def package(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "m.mlpackage"))


def loop(spec: Any, inner: bool = True) -> Any:
    """The loop in the branch, or the one that grows."""
    branch = next(op for op in block(spec).operations if op.type == "cond")
    place = branch.blocks[0] if inner else block(spec)
    return next(op for op in place.operations if op.type == "while_loop")


def branch(spec: Any) -> Any:
    return operation(block(spec), "cond")


def kind(value: Any) -> Any:
    return value.type.tensorType


def predict(package: Path) -> list[np.ndarray]:
    return list(coreml.load(package).predict({"x": X, "start": START}).values())


def test_a_value_that_grows_in_a_loop_is_legal(package: Path) -> None:
    """Its sides are stated to be open."""
    first, second = predict(package)
    np.testing.assert_array_equal(first, X**4)
    np.testing.assert_array_equal(second, np.concatenate([X] * 4))


@pytest.mark.parametrize("number", [0, 1])
def test_a_block_that_takes_another_shape_is_named(package: Path, number: int) -> None:
    edited(package, lambda spec: side(1, 4)(kind(loop(spec).blocks[number].inputs[1])))
    words = r"in cond \(branch\), while_loop .*its block argument \w+ is stated to be float32 \(2, 4\), it is float32 "
    with pytest.raises(InputError, match=words + r"\(2, 3\)"):
        predict(package)


@pytest.mark.parametrize("number", [0, 1])
def test_a_value_that_no_longer_fits_in_a_later_round_is_named(package: Path, number: int) -> None:
    def closed(spec: Any) -> None:
        dimensions = kind(loop(spec, inner=False).blocks[number].inputs[1]).dimensions
        del dimensions[:]
        for size in CLOSED:
            dimensions.add().constant.size = size

    edited(package, closed)
    words = r"while_loop .*its block argument \w+ is stated to be float32 \(2, 3\), it is float32 \(4, 3\)"
    with pytest.raises(InputError, match=words):
        predict(package)


def first_result(control: Callable[[Any], Any], name: str, number: int = 0) -> Callable[[Any], None]:
    return lambda spec: element(name)(kind(control(spec).outputs[number]))


def taken_as(name: str, number: int) -> Callable[[Any], None]:
    return lambda spec: element(name)(kind(loop(spec).blocks[number].inputs[1]))


def halved_body(spec: Any) -> None:
    """The body takes and gives float16, the loop's variable is float32."""
    for inner in loop(spec).blocks:
        element("FLOAT16")(kind(inner.inputs[1]))
    element("FLOAT16")(kind(operation(block(spec), "square").outputs[0]))


def third_argument(spec: Any) -> None:
    extra = loop(spec).blocks[1].inputs.add()
    extra.CopyFrom(loop(spec).blocks[1].inputs[1])
    extra.name = "extra"


def argument_of_a_branch(spec: Any) -> None:
    branch(spec).blocks[1].inputs.add().CopyFrom(loop(spec).blocks[1].inputs[1])


def without_result(spec: Any) -> None:
    del loop(spec).blocks[1].outputs[0]


def two_answers(spec: Any) -> None:
    outputs = loop(spec).blocks[0].outputs
    outputs.append(outputs[0])


def number_for_an_answer(spec: Any) -> None:
    inside = loop(spec).blocks[0]
    inside.outputs[0] = inside.inputs[0].name


@pytest.mark.parametrize(
    ("change", "words"),
    [(first_result(loop, "FLOAT16", 1), r"it gives \w+ as float16, its loop_vars hold float32"),
     (taken_as("FLOAT16", 0), r"its first block takes \w+ as float16, its loop_vars hold float32"),
     (taken_as("INT32", 1), r"its second block takes \w+ as int32, its loop_vars hold float32"),
     (halved_body, r"its first block takes \w+ as float16, its loop_vars hold float32"),
     (third_argument, r"its second block takes 3 values, its loop_vars hold 2 values"),
     (without_result, r"its second block gives 1 value, its loop_vars hold 2 values"),
     (two_answers, r"its first block gives 2 values, the loop asks it for 1 value"),
     (number_for_an_answer, r"its first block gives \w+ as int32, the loop asks it for bool")],
)  # fmt: skip
def test_types_that_change_on_the_way_through_a_loop_are_named_before_it_runs(package: Path, change, words) -> None:
    """Half of the digits would be lost without a word."""
    with pytest.raises(InputError, match=r"op \d+ in cond \(branch\), while_loop .*" + words + "; convert"):
        coreml.load(edited(package, change))


@pytest.mark.parametrize(
    ("change", "words"),
    [(first_result(branch, "FLOAT16"), r"its first block gives \w+ as float32, its results are stated to be float16"),
     (lambda spec: branch(spec).blocks[0].outputs.pop(), "its first block gives no values, its results are stated to"),
     (argument_of_a_branch, "its second block takes 1 value, a branch is handed no values")],
)  # fmt: skip
def test_what_a_branch_gives_has_the_type_of_the_result(package: Path, change, words) -> None:
    with pytest.raises(InputError, match=r"cond \(branch\): " + words):
        coreml.load(edited(package, change))


def function_input(change: Callable[[Any], object]) -> Callable[[Any], object]:
    return lambda spec: change(kind(spec.mlProgram.functions["main"].inputs[0]))


@pytest.mark.parametrize(
    ("change", "words"),
    [(side(1, 4), r"float32 \(2, 4\), it is float32 \(2, 3\)"),
     (lambda kind: kind.dimensions.pop(), r"float32 \(2,\), it is float32 \(2, 3\)"),
     (element("INT32"), r"int32 \(2, 3\), it is float32 \(2, 3\)")],
)  # fmt: skip
def test_an_input_that_the_package_describes_otherwise_than_the_program(tmp_path: Path, change, words) -> None:
    """Whole numbers would be taken for fractions, or a shape that the operations can broadcast for the right one."""
    path = saved(lambda x: mb.reduce_sum(x=x, axes=[0, 1], keep_dims=False), {"x": X}, tmp_path)
    edited(path, function_input(change))
    with pytest.raises(InputError, match="the program states its input x to be " + words + ".* convert the model"):
        coreml.load(path).predict({"x": X})


def test_an_input_of_an_open_side_takes_any_length(tmp_path: Path) -> None:
    path = saved(lambda x: mb.square(x=x), {"x": X}, tmp_path)

    def opened(spec: Any) -> None:
        for values in (spec.mlProgram.functions["main"].inputs, operation(block(spec), "square").outputs):
            kind(values[0]).dimensions[0].unknown.variadic = False
        limits = spec.description.input[0].type.multiArrayType.shapeRange
        for low, high in ((1, -1), (3, 3)):
            limits.sizeRanges.add(lowerBound=low, upperBound=high)

    model = coreml.load(edited(path, opened))
    for rows in (1, 7):
        (squares,) = model.predict({"x": np.full((rows, 3), 3.0, np.float32)}).values()
        assert squares.tolist() == [[9.0] * 3] * rows


def test_a_single_number_is_described_as_an_array_of_one(tmp_path: Path) -> None:
    """So does coremltools write an input without sides."""
    program = Program()
    with Function({"x": mb.placeholder((), allow_rank0_input=True)}, opset_version=ct.target.iOS17) as function:
        function.set_outputs([mb.add(x=function.inputs["x"], y=np.float32([1, 2]))])
    program.add_function("main", function)

    ct.convert(program, compute_precision=ct.precision.FLOAT32, minimum_deployment_target=ct.target.iOS17,
               skip_model_load=True).save(str(tmp_path / "m.mlpackage"))  # fmt: skip
    (result,) = coreml.load(tmp_path / "m.mlpackage").predict({"x": np.float32([3])}).values()
    assert result.tolist() == [4, 5]


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:DeprecationWarning")
def test_a_picture_that_the_program_takes_as_whole_numbers(tmp_path: Path) -> None:
    """coremltools' `grayscale_use_uint8`."""

    class Doubled(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.float() * 2 + 1

    picture = np.random.default_rng(0).integers(0, 256, (4, 5)).astype(np.uint8)
    grey = ct.ImageType("x", (1, 1, 4, 5), color_layout=ct.colorlayout.GRAYSCALE, grayscale_use_uint8=True)
    traced = torch.jit.trace(Doubled(), torch.zeros(1, 1, 4, 5))
    ct.convert(
        traced,
        inputs=[grey],
        outputs=[ct.TensorType("y")],
        compute_precision=ct.precision.FLOAT32,
        minimum_deployment_target=ct.target.iOS17,
        skip_model_load=True,
    ).save(str(tmp_path / "m.mlpackage"))
    model = coreml.load(tmp_path / "m.mlpackage")
    assert model.program.inputs[0].element == "UINT8"
    (result,) = model.predict({"x": Image.fromarray(picture)}).values()
    np.testing.assert_array_equal(result[0, 0], Doubled()(torch.from_numpy(picture)).numpy())
