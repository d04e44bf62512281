"""What a package says twice of a value is said alike: of constants, outputs, and inputs that have one type."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

from edge.errors import InputError
from edge.runtimes import coreml
from edge.runtimes.coreml.element_types import ALIKE
from tests.edge.runtimes.coreml._programs import saved
from tests.edge.runtimes.coreml.test_damage import block, edited
from tests.edge.runtimes.coreml.test_stated import element, operation, side

X = np.arange(6, dtype=np.float32).reshape(2, 3) - 2
ROW = np.array([0.5, 1, 2], np.float32)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    def build(x):
        row = mb.const(val=ROW, name="row")
        chosen = mb.select(cond=mb.greater(x=x, y=row), a=x, b=row)
        return mb.add(x=chosen, y=row, name="sum"), mb.reduce_sum(x=x, axes=[0, 1], keep_dims=False, name="single")

    return saved(build, {"x": X}, tmp_path_factory.mktemp("package"))


@pytest.fixture
def package(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "m.mlpackage"))


def test_the_package_answers_as_it_is(whole: Path) -> None:
    """A result without sides is described as an array of one, or without a shape."""
    answers = coreml.load(whole).predict({"x": X})
    np.testing.assert_array_equal(answers["sum"], np.maximum(X, ROW) + ROW)
    assert float(answers["single"]) == X.sum()


def row(spec: Any) -> Any:
    return operation(block(spec), "const", "row")


@pytest.mark.parametrize(
    ("change", "words"),
    [(lambda spec: element("INT32")(row(spec).attributes["val"].type.tensorType), r"\(3,\), its value is int32"),
     (lambda spec: side(0, 1)(row(spec).attributes["val"].type.tensorType), r"\(3,\), its value is float32 \(1,\)"),
     (lambda spec: row(spec).attributes["val"].type.tensorType.dimensions.pop(), r"its value is float32 \(\)"),
     (lambda spec: element("FLOAT16")(row(spec).outputs[0].type.tensorType), r"float16 \(3,\), its value is float32")],
)  # fmt: skip
def test_a_constant_whose_value_is_of_another_type_or_shape(package: Path, change, words: str) -> None:
    """Other numbers would be read from the same bytes."""
    with pytest.raises(InputError, match=r"op \d+, const: row is stated to be .*" + words):
        coreml.load(edited(package, change))


def promised(spec: Any, name: str) -> Any:
    return next(feature for feature in spec.description.output if feature.name == name).type


def array(change: Callable[[Any], object], name: str = "sum") -> Callable[[Any], object]:
    return lambda spec: change(promised(spec, name).multiArrayType)


@pytest.mark.parametrize(
    ("change", "words"),
    [(array(lambda kind: setattr(kind, "dataType", 131104)), r"sum as int32 \(2, 3\), its program states float32"),
     (array(lambda kind: setattr(kind, "dataType", 131080)), r"sum as int8 \(2, 3\), its program states float32"),
     (array(lambda kind: setattr(kind, "dataType", 0)), "sum in the type 0, which Core ML does not have"),
     (array(lambda kind: kind.shape.pop()), r"sum as float32 \(2,\), its program states float32 \(2, 3\)"),
     (array(lambda kind: kind.shape.append(2), "single"), r"single as float32 \(2,\), its program states"),
     (lambda spec: promised(spec, "sum").ClearField("multiArrayType"), "does not say what its output sum is")],
)  # fmt: skip
def test_an_output_that_the_package_promises_otherwise_than_its_program(package: Path, change, words: str) -> None:
    """Its fractions would be cut off without a word."""
    with pytest.raises(InputError, match=words):
        coreml.load(edited(package, change))


def test_a_result_of_whole_numbers_that_is_promised_in_fewer_bits(tmp_path: Path) -> None:
    path = saved(lambda x: mb.cast(x=x, dtype="int32", name="y"), {"x": X * 100}, tmp_path)
    edited(path, array(lambda kind: setattr(kind, "dataType", 131080), "y"))
    with pytest.raises(InputError, match=r"y as int8 \(2, 3\), its program states int32"):
        coreml.load(path)


@pytest.mark.parametrize(
    ("kind", "words"), [("add", "its x bool and its y float32"), ("select", "its a bool and its b")]
)
def test_inputs_of_two_types_are_named(package: Path, kind: str, words: str) -> None:
    """`True + 0.5` has a value, of which the program states a type that fits."""

    def mixed(spec: Any) -> None:
        taken = operation(block(spec), kind).inputs["x" if kind == "add" else "a"].arguments[0]
        taken.name = operation(block(spec), "greater").outputs[0].name

    with pytest.raises(InputError, match=rf"{kind} .*: {words}.*expected the same type"):
        coreml.load(edited(package, mixed))


@pytest.mark.parametrize("kind", ALIKE)
def test_inputs_of_one_type_are_those_of_apples_definitions(kind: str) -> None:
    for definition in SSAOpRegistry.core_ops[kind].values():
        domains = {definition.input_spec.input_types[name].type_domain_id for name in ALIKE[kind]}
        assert len(domains) == 1 and None not in domains
