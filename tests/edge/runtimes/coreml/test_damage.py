"""Packages that are damaged, foreign or hostile: each ends with an error that names what is wrong."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import coremltools as ct
import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb
from coremltools.proto import Model_pb2

from edge.errors import InputError
from edge.runtimes import coreml
from edge.runtimes.coreml import features
from tests.edge.runtimes.coreml._programs import saved

SPEC = Path("Data", "com.apple.CoreML", "model.mlmodel")
WEIGHTS = Path("Data", "com.apple.CoreML", "weights", "weight.bin")
X = {"x": np.random.default_rng(0).normal(size=(1, 8, 6, 6)).astype(np.float32)}
WEIGHT = np.random.default_rng(1).normal(size=(8, 8, 3, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The same bytes in every run, so that flipped bits are the same ones: maps of protobuf have no order."""
    folder = tmp_path_factory.mktemp("package")
    path = saved(lambda x: mb.relu(x=mb.conv(x=x, weight=WEIGHT, pad_type="same")), X, folder)
    return edited(path, lambda spec: None)


@pytest.fixture
def package(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "m.mlpackage"))


def edited(package: Path, change: Callable[[Model_pb2.Model], object]) -> Path:
    spec = Model_pb2.Model()
    spec.ParseFromString((package / SPEC).read_bytes())
    change(spec)
    (package / SPEC).write_bytes(spec.SerializeToString(deterministic=True))
    return package


def block(spec):
    function = spec.mlProgram.functions["main"]
    return function.block_specializations[function.opset]


def blob(spec):
    for op in block(spec).operations:
        if op.type == "const" and op.attributes["val"].WhichOneof("value") == "blobFileValue":
            return op.attributes["val"]
    raise AssertionError("the program has no weight in a file")


@pytest.mark.parametrize("name", ["", "prefill"])
def test_a_function_that_is_not_there(whole: Path, name: str) -> None:
    """Also the name of nothing: the default is opened only where no name is given."""
    with pytest.raises(InputError, match=f"no function {name or repr(name)}; it has main"):
        coreml.load(whole, function_name=name)


def test_the_whole_package_answers(whole: Path) -> None:
    assert next(iter(coreml.load(whole).predict(X).values())).shape == (1, 8, 6, 6)


def test_a_missing_package_and_missing_parts(package: Path) -> None:
    with pytest.raises(InputError, match=r"no Core ML package at .*nowhere"):
        coreml.load(package.parent / "nowhere.mlpackage")
    (package / WEIGHTS).unlink()
    with pytest.raises(InputError, match=r"weight.bin is missing"):
        coreml.load(package)
    (package / SPEC).unlink()
    with pytest.raises(InputError, match=r"model.mlmodel is missing"):
        coreml.load(package)


@pytest.mark.parametrize("left", [0, 10, 64, 100, 700])
def test_weights_that_are_cut_off(package: Path, left: int) -> None:
    (package / WEIGHTS).write_bytes((package / WEIGHTS).read_bytes()[:left])
    with pytest.raises(InputError, match=r"cut off|weight file"):
        coreml.load(package)


def test_a_spec_that_is_cut_off(package: Path) -> None:
    (package / SPEC).write_bytes((package / SPEC).read_bytes()[:-7])
    with pytest.raises(InputError, match="no Core ML model"):
        coreml.load(package)


def outside(spec) -> None:
    blob(spec).blobFileValue.fileName = "@model_path/../../../../etc/passwd"


def far(spec) -> None:
    blob(spec).blobFileValue.offset = 2**62


def said_twice(spec) -> None:
    """States of every constant what its value says of itself, without which it is refused for that."""
    for op in block(spec).operations:
        if op.type == "const":
            op.outputs[0].type.CopyFrom(op.attributes["val"].type)


def huge(spec) -> None:
    blob(spec).type.tensorType.dimensions[0].constant.size = 2**40
    said_twice(spec)


def filled(spec) -> None:
    """One number that says of itself that it is a thousand million; the memory for it would be taken."""
    numbers = (op.attributes["val"] for op in block(spec).operations if op.type == "const")
    one = next(value for value in numbers if len(value.immediateValue.tensor.ints.values) == 1)
    one.type.tensorType.dimensions.add().constant.size = 2**30
    said_twice(spec)


def unknown(spec) -> None:
    block(spec).operations[-1].type = "teleport"


def dangling(spec) -> None:
    block(spec).operations[-1].inputs["x"].arguments[0].name = "nobody"


def opset(spec) -> None:
    spec.mlProgram.functions["main"].opset = "CoreML99"


def output(spec) -> None:
    block(spec).outputs[0] = "nothing"


def valueless(spec) -> None:
    del next(op for op in block(spec).operations if op.type == "const").outputs[:]


def nested(spec) -> None:
    block(spec).operations[-1].blocks.add()


def state(spec) -> None:
    given = spec.mlProgram.functions["main"].inputs[0]
    given.type.stateType.wrappedType.tensorType.dataType = given.type.tensorType.dataType


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (outside, "outside the package"), (far, "cut off"), (huge, "expected a closed one of at most"),
        (unknown, "teleport"),
        (filled, "holds one value for all"),
        (dangling, "nobody"), (valueless, "const, gives 0 values, expected one"),
        (opset, "CoreML99"), (output, "nothing"), (nested, "relu .* holds 1 blocks, expected none"),
        (state, "describes the states none; its program has x"),
        (lambda spec: spec.neuralNetwork.layers.add(), "neural network"),
        (lambda spec: spec.pipeline.models.add(), "pipeline"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(package: Path, change, words: str) -> None:
    with pytest.raises(InputError, match=words):
        coreml.load(edited(package, change))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "missing"), ({"x": X["x"], "y": X["x"]}, "no input y"), ({"x": X["x"][:, :3]}, "shape"),
        ({"x": np.array([["a"]])}, "numbers"),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit(whole: Path, data: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        coreml.load(whole).predict(data)


def test_an_output_that_the_program_does_not_give(package: Path) -> None:
    def rename(spec) -> None:
        spec.description.output[0].name = "other"

    with pytest.raises(InputError, match="promises an output other; its program gives"):
        coreml.load(edited(package, rename))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "Manifest.json does not exist"),
        ("{", "is not JSON"),
        ("[]", "no JSON object"),
        ("{}", "fileFormatVersion is missing"),
        ('{"fileFormatVersion": "2.0.0"}', "fileFormatVersion is 2.0.0"),
        ('{"fileFormatVersion": "1.0.0"}', "does not say where"),
        ('{"fileFormatVersion": "1.0.0", "itemInfoEntries": {"a": {"path": "../../x"}}, "rootModelIdentifier": "a"}',
         "does not say where"),
        ('{"fileFormatVersion": "1.0.0", "itemInfoEntries": {"a": {"path": "x"}}, "rootModelIdentifier": "a"}',
         "Data/x is missing"),
    ],
)  # fmt: skip
def test_the_list_of_contents_is_needed(package: Path, content: str | None, words: str) -> None:
    """Core ML refuses a package without it."""
    file = package / "Manifest.json"
    file.unlink()
    if content is not None:
        file.write_text(content)
    with pytest.raises(InputError, match=words):
        coreml.load(package)


def test_errors_in_weights_name_the_package(package: Path) -> None:
    (package / WEIGHTS).write_bytes((package / WEIGHTS).read_bytes()[:200])
    with pytest.raises(InputError, match=f"{package.name}: .*cut off"):
        coreml.load(package)


def test_what_a_mac_user_hands_over(package: Path) -> None:
    model = coreml.load(str(package), compute_units=ct.ComputeUnit.CPU_ONLY)
    assert isinstance(model.user_defined_metadata, dict) and isinstance(model.version, str)
    assert (model.author, model.license, model.short_description) == ("", "", "")
    with pytest.raises(InputError, match="takes a dictionary"):
        model.predict(X["x"])
    with pytest.raises(InputError, match="rows of one length"):
        model.predict({"x": [[1, 2], [3]]})
    with pytest.raises(InputError, match="takes the path of a saved package"):
        coreml.load(model.get_spec())


@pytest.mark.slow(reason="a process of its own")
def test_loading_does_not_import_all_of_coremltools(whole: Path) -> None:
    """It takes 5 s and writes warnings about other packages to the screen."""
    code = (
        "import sys; from edge.runtimes import coreml; model = coreml.load(sys.argv[1]); "
        "assert 'coremltools' not in sys.modules; print(model.get_spec().specificationVersion); "
        "import coremltools.proto.Model_pb2 as m; assert isinstance(model.get_spec(), m.Model)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(whole)], capture_output=True, text=True, check=True)
    assert int(done.stdout) >= 6


def flexible(package: Path, change: Callable[[object], object]) -> Path:
    return edited(package, lambda spec: change(spec.description.input[0].type))


def test_ranges_of_shapes_are_kept_to(package: Path) -> None:
    def to_range(kind) -> None:
        for low, high in ((1, 1), (8, 8), (4, 12), (4, -1)):
            size = kind.multiArrayType.shapeRange.sizeRanges.add()
            size.lowerBound, size.upperBound = low, high

    model = coreml.load(flexible(package, to_range))
    with pytest.raises(InputError, match=r"takes the shape 1 x 8 x 4..12 x 4..inf, got \(1, 8, 3, 6\)"):
        model.predict({"x": np.zeros((1, 8, 3, 6), np.float32)})


def test_ranges_of_images_are_kept_to() -> None:
    from PIL import Image

    kind = Model_pb2.FeatureTypes__pb2.ImageFeatureType(width=32, height=32, colorSpace=20)
    wide, high = kind.imageSizeRange.widthRange, kind.imageSizeRange.heightRange
    wide.lowerBound, wide.upperBound, high.lowerBound, high.upperBound = 16, 64, 16, -1
    assert features.from_image("x", kind, Image.new("RGB", (20, 200))).shape == (1, 3, 200, 20)
    for size in ((8, 20), (65, 20), (20, 8)):
        with pytest.raises(InputError, match="16 to 64 pixels wide and 16 to inf high"):
            features.from_image("x", kind, Image.new("RGB", size))


def test_flipped_bits_end_in_an_answer_or_an_error(package: Path) -> None:
    pick = np.random.default_rng(0)
    good = {part: (package / part).read_bytes() for part in (SPEC, WEIGHTS)}
    refused = 0
    for _ in range(600):
        part = (SPEC, WEIGHTS)[int(pick.integers(2))]
        content = bytearray(good[part])
        place = int(pick.integers(min(len(content), 4000)))
        content[place] ^= 1 << int(pick.integers(8))
        (package / part).write_bytes(bytes(content))
        try:
            coreml.load(package).predict(X)
        except InputError:
            refused += 1
        (package / part).write_bytes(good[part])
    assert refused > 10


def test_apples_reader_takes_the_same_file(whole: Path) -> None:
    assert ct.models.MLModel(str(whole), skip_model_load=True).get_spec().WhichOneof("Type") == "mlProgram"


def argument_of(spec, name: str, kind: str = "conv"):
    """The input of the first operation of a kind."""
    return next(op for op in block(spec).operations if op.type == kind).inputs[name]


def no_argument(spec) -> None:
    del argument_of(spec, "x").arguments[:]


def two_arguments(spec) -> None:
    argument_of(spec, "x").arguments.append(argument_of(spec, "x").arguments[0])


def swapped(name: str, other: str) -> Callable[[Model_pb2.Model], None]:
    def change(spec) -> None:
        argument_of(spec, name).CopyFrom(argument_of(spec, other))

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (no_argument, r"op \d+, conv \(.*\): its x is \[\], expected a tensor"),
        (two_arguments, "its x is .*, expected a tensor"),
        (swapped("x", "pad_type"), "its x is 'same', expected a tensor"),
        (swapped("pad_type", "strides"), r"its pad_type is a tensor of shape \(2,\), expected a text"),
        (swapped("groups", "strides"), r"its groups is a tensor of shape \(2,\), expected a whole number"),
        (swapped("strides", "pad_type"), "its strides is 'same', expected whole numbers"),
        (swapped("dilations", "weight"), r"its dilations is \[.*, expected whole numbers"),
    ],
)
def test_an_argument_of_the_wrong_kind_is_named(package: Path, change, words: str) -> None:
    """Before anything is computed, and never as a traceback of the function behind the operation."""
    with pytest.raises(InputError, match=words):
        coreml.load(edited(package, change)).predict(X)


def test_a_computed_value_of_the_wrong_kind_is_named(package: Path) -> None:
    """By the type that it states, when the package is opened; its size only when the program runs."""

    def computed(spec) -> None:
        argument_of(spec, "pad_type").arguments[0].name = "x"

    with pytest.raises(InputError, match="its pad_type is x, a float32, expected a text"):
        coreml.load(edited(package, computed))


def test_a_computed_number_that_is_many_is_named(package: Path) -> None:
    def many(spec) -> None:
        argument_of(spec, "groups").CopyFrom(argument_of(spec, "x"))

    model = coreml.load(edited(package, many))
    with pytest.raises(InputError, match=r"its groups is a tensor of shape \(1, 8, 6, 6\), expected a whole number"):
        model.predict(X)


def a_list(kind) -> None:
    kind.stateType.wrappedType.listType.SetInParent()


def without_end(kind) -> None:
    wrapped = kind.stateType.wrappedType.tensorType
    wrapped.dataType = 11
    wrapped.dimensions.add().constant.size = 2**40


@pytest.mark.parametrize(
    ("change", "words"),
    [(a_list, "the state x holds a listType"), (without_end, "expected numbers of a closed shape")],
)
def test_a_state_that_cannot_be_kept(package: Path, change, words: str) -> None:
    with pytest.raises(InputError, match=words):
        coreml.load(edited(package, lambda spec: change(spec.mlProgram.functions["main"].inputs[0].type)))


def number(feature) -> None:
    feature.type.doubleType.SetInParent()


def picture(feature) -> None:
    feature.type.imageType.colorSpace = 20  # RGB


@pytest.mark.parametrize(("kind", "words"), [(number, "described as a number"), (picture, "described as a RGB image")])
def test_an_output_that_is_not_what_the_package_says_is_named(package: Path, kind, words: str) -> None:
    """The program gives an array of 8 channels. Found by flipped bits."""
    model = coreml.load(edited(package, lambda spec: kind(spec.description.output[0])))
    with pytest.raises(InputError, match=words):
        model.predict(X)


def test_an_optional_input_takes_the_value_that_the_package_states(package: Path) -> None:
    """Core ML fills it; where nothing is stated, the input is asked for by name."""

    def optional(spec) -> None:
        spec.description.input[0].type.isOptional = True

    def stated(spec) -> None:
        spec.description.input[0].type.multiArrayType.floatDefaultValue = 0.5

    model = coreml.load(edited(package, optional))
    with pytest.raises(InputError, match="input x was not given"):
        model.predict({})
    model = coreml.load(edited(package, stated))
    (mine,), (right,) = model.predict({}).values(), model.predict({"x": np.full((1, 8, 6, 6), 0.5)}).values()
    np.testing.assert_array_equal(mine, right)
    assert mine.any()
