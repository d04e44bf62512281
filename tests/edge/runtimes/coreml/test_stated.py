"""What a program states of its results is what they are: another type or shape is refused, with both in words."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coremltools.converters.mil import Builder as mb
from coremltools.proto import MIL_pb2

from edge.errors import InputError
from edge.runtimes import coreml
from edge.runtimes.coreml.program import Output
from edge.runtimes.coreml.stated import misfit
from tests.edge.runtimes.coreml._programs import run, saved
from tests.edge.runtimes.coreml.test_damage import block, edited

X = np.arange(12, dtype=np.float32).reshape(1, 3, 4) - 5
START = np.array([0], np.int32)


def several(x, start):
    """One of each kind of operation that the tests change."""
    _, looped = mb.while_loop(
        _cond=lambda count, x: mb.less(x=count, y=2),
        _body=lambda count, x: (mb.add(x=count, y=1), mb.square(x=x)),
        loop_vars=(mb.squeeze(x=start), x),
    )
    halved = mb.cast(x=x, dtype="fp16")
    return (
        mb.relu(x=mb.abs(x=x, name="size")),
        *(mb.identity(x=part) for part in mb.split(x=x, axis=1, split_sizes=[1, 2], name="parts")),
        mb.cast(x=mb.greater(x=x, y=np.float32(0)), dtype="int32"),
        mb.reduce_argmax(x=x, axis=2),
        mb.reduce_mean(x=x, axes=[2]),
        mb.cast(x=halved, dtype="fp32", name="widened"),
        looped,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return saved(several, {"x": X, "start": START}, tmp_path_factory.mktemp("package"))


@pytest.fixture
def package(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "m.mlpackage"))


def operation(message: Any, kind: str, name: str = "") -> Any:
    """The first of its kind, with a result of this name, also in the blocks of others."""
    for op in message.operations:
        if op.type == kind and name in {"", op.outputs[0].name}:
            return op
        for inner in op.blocks:
            if (hit := operation(inner, kind, name)) is not None:
                return hit
    return None


def planted(package: Path, kind: str, change: Callable[[Any], object], result: int = 0, name: str = "") -> Path:
    """The package with another type stated of an operation's result."""
    return edited(package, lambda spec: change(operation(block(spec), kind, name).outputs[result].type.tensorType))


def predict(package: Path) -> dict[str, Any]:
    return coreml.load(package).predict({"x": X, "start": START})


def side(number: int, size: int) -> Callable[[Any], object]:
    return lambda kind: setattr(kind.dimensions[number].constant, "size", size)


def element(name: str) -> Callable[[Any], object]:
    return lambda kind: setattr(kind, "dataType", MIL_pb2.DataType.Value(name))


def test_the_package_answers_as_it_is(whole: Path) -> None:
    """Operations whose results are rounded, counted or converted among them."""
    answers = list(predict(whole).values())
    assert len(answers) == 8
    np.testing.assert_array_equal(answers[0], np.abs(X))
    np.testing.assert_array_equal(answers[-1], X**4)


def test_another_shape_is_named(package: Path) -> None:
    stated = r"abs \(size\): its result size is stated to be float32 \(1, 3, 5\), it is float32 \(1, 3, 4\); .*convert"
    with pytest.raises(InputError, match=stated):
        predict(planted(package, "abs", side(2, 5)))


def test_another_number_of_sides_is_named(package: Path) -> None:
    with pytest.raises(InputError, match=r"stated to be float32 \(1, 3\), it is float32 \(1, 3, 4\)"):
        predict(planted(package, "abs", lambda kind: kind.dimensions.pop()))


def test_the_second_result_of_an_operation_is_compared_too(package: Path) -> None:
    with pytest.raises(InputError, match=r"split .*its result parts_1 is .* \(1, 1, 4\), it is float32 \(1, 2, 4\)"):
        predict(planted(package, "split", side(1, 1), result=1))


@pytest.mark.parametrize(
    ("kind", "name", "came"),
    [("greater", "FLOAT32", "bool"), ("greater", "INT32", "bool"), ("abs", "INT32", "float32"),
     ("abs", "BOOL", "float32"), ("reduce_argmax", "BOOL", "int64")],
)  # fmt: skip
def test_another_kind_of_number_is_named(package: Path, kind: str, name: str, came: str) -> None:
    """It would be converted without a word otherwise, and be wrong."""
    with pytest.raises(InputError, match=rf"{kind} .*is stated to be {name.lower()} \(.*, it is {came} \("):
        predict(planted(package, kind, element(name)))


@pytest.mark.parametrize("name", ["FLOAT16", "FLOAT64"])
def test_a_float_type_that_nothing_the_operation_takes_has_is_named_before_anything_runs(package: Path, name) -> None:
    planted(package, "abs", element(name))
    with pytest.raises(InputError, match=rf"abs .*its result size is stated to be {name.lower()}, it takes float32"):
        coreml.load(package)


def test_a_cast_that_is_stated_to_give_another_type(package: Path) -> None:
    """Half of the digits would be lost."""
    planted(package, "cast", element("FLOAT16"), name="widened")
    with pytest.raises(InputError, match=r"cast \(widened\).*is stated to be float16, its dtype is fp32"):
        coreml.load(package)


def test_whole_numbers_made_in_floats_from_floats(package: Path) -> None:
    """A mean of whole numbers is a whole number in MIL; of floats it is not."""
    planted(package, "reduce_mean", element("INT32"))
    with pytest.raises(InputError, match=r"reduce_mean .*is stated to be int32, it takes float32"):
        coreml.load(package)


def test_sides_that_are_open_take_any_length(package: Path) -> None:
    def opened(kind: Any) -> None:
        kind.dimensions[1].unknown.variadic = False

    np.testing.assert_array_equal(next(iter(predict(planted(package, "abs", opened)).values())), np.abs(X))
    with pytest.raises(InputError, match=r"stated to be float32 \(1, \?, 5\), it is float32 \(1, 3, 4\)"):
        predict(planted(package, "abs", side(2, 5)))


def test_a_number_of_sides_that_is_open_takes_any_shape(package: Path) -> None:
    def opened(kind: Any) -> None:
        del kind.dimensions[1:]
        kind.dimensions[0].unknown.variadic = True

    np.testing.assert_array_equal(next(iter(predict(planted(package, "abs", opened)).values())), np.abs(X))


def test_a_result_inside_a_loop_is_compared(package: Path) -> None:
    with pytest.raises(InputError, match=r"op \d+ in while_loop \(\w+\), square .*is stated to be"):
        predict(planted(package, "square", side(1, 4)))


def test_shapes_that_coremltools_states_wrongly_do_not_refuse_right_packages() -> None:
    """Nor those of what is computed from them, in a loop as well."""
    cond, row, stack = np.array([[1], [0]], np.int32), X[0, 0], np.stack([X[0].T, 2 * X[0].T])

    def build(c, row, stack):
        chosen = mb.select(cond=mb.cast(x=c, dtype="bool"), a=row, b=np.float32(9))  # stated as (4,), is (2, 4)
        product = mb.matmul(x=row, y=stack)  # stated as (1, 3), is (2, 3)
        _, looped = mb.while_loop(
            _cond=lambda n, z: mb.less(x=n, y=2), _body=lambda n, z: (mb.add(x=n, y=1), mb.square(x=z)),
            loop_vars=(np.int32(0), mb.exp2(x=mb.sign(x=chosen))),
        )  # fmt: skip
        return mb.abs(x=chosen), mb.abs(x=product), looped

    chosen, product, looped = run(build, {"c": cond, "row": row, "stack": stack})
    expected = np.where(cond, row, 9).astype(np.float32)
    np.testing.assert_array_equal(chosen, np.abs(expected))
    np.testing.assert_allclose(product, np.abs(row @ stack), rtol=1e-6)
    np.testing.assert_allclose(looped, (2 ** np.sign(expected)) ** 4, rtol=1e-6)


def test_a_product_has_the_type_of_the_factor_that_is_not_stored() -> None:
    """From iOS 17 on the other may have any type, as in Apple's own test of mixed precision."""
    x, y = np.arange(6, dtype=np.int32).reshape(2, 3), np.arange(12, dtype=np.float32).reshape(3, 4)
    (result,) = run(lambda x: mb.matmul(x=x, y=y), {"x": x}, ios=17)
    assert result.dtype == np.int32
    np.testing.assert_array_equal(result, x @ y.astype(np.int32))


def test_a_pool_whose_last_window_torch_leaves_out() -> None:
    """coremltools states 4, torch, as which Apple describes `ceil_mode`, gives 3."""
    x = np.arange(9, dtype=np.float32).reshape(1, 1, 9)

    def build(x):
        return mb.abs(x=mb.max_pool(x=x, kernel_sizes=[2], strides=[3], pad_type="custom", pad=[0, 0], ceil_mode=True))

    (result,) = run(build, {"x": x})
    expected = torch.nn.functional.max_pool1d(torch.from_numpy(x), 2, 3, ceil_mode=True)
    np.testing.assert_array_equal(result, expected.numpy())


def test_numbers_that_a_narrow_type_cannot_hold() -> None:
    places = torch.tensor([0, 300])
    assert misfit(places, Output("places", "UINT8", (2,)), "topk") == "int64 (2,)"
    assert misfit(places, Output("places", "UINT16", (2,)), "topk") is None
    assert misfit(places.int(), Output("sum", "INT16", (2,)), "add") == "int32 (2,)"
    assert misfit(places[:0], Output("places", "UINT8", (0,)), "topk") is None


def test_what_is_no_tensor() -> None:
    assert misfit(torch.zeros(2), Output("ls", "LIST", None), "make_list") == "float32 (2,)"
    assert misfit("nevus", Output("y", "FLOAT32", ()), "classify") == "str"
    assert misfit("nevus", Output("y", "STRING", ()), "classify") is None
