"""Pipelines: several models in one package, and the suppression of boxes with which object detectors end."""

from __future__ import annotations

from pathlib import Path

import coremltools as ct
import cv2
import numpy as np
import pytest
import torch
from coremltools.converters.mil import Builder as mb
from coremltools.proto import FeatureTypes_pb2, Model_pb2
from torch import nn

from edge.errors import InputError
from edge.runtimes import coreml
from edge.runtimes.coreml.pipeline import check_kind
from tests.edge.runtimes.coreml._programs import saved
from tests.edge.runtimes.coreml.test_damage import SPEC, edited

DRAW = np.random.default_rng(3)
X = DRAW.normal(size=(1, 3, 8, 8)).astype(np.float32)
BOXES, CLASSES = 40, 5


def model(build, inputs: dict[str, np.ndarray], folder: Path, output: str) -> ct.models.MLModel:
    """A saved program whose only output has that name."""
    path = saved(build, inputs, folder)
    spec = ct.utils.load_spec(str(path))
    ct.utils.rename_feature(spec, spec.description.output[0].name, output)
    weights = path / "Data" / "com.apple.CoreML" / "weights"
    return ct.models.MLModel(spec, weights_dir=str(weights), skip_model_load=True)


@pytest.fixture(scope="module")
def conv() -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(3, 4, 3)


@pytest.fixture(scope="module")
def two(tmp_path_factory, conv) -> Path:
    """A convolution whose weights lie in a file, then a product with a second input of the pipeline."""
    folder = tmp_path_factory.mktemp("pipeline")
    weight, bias = conv.weight.detach().numpy(), conv.bias.detach().numpy()
    first = model(lambda x: mb.conv(x=x, weight=weight, bias=bias, pad_type="valid"), {"x": X}, folder, "middle")
    second = model(
        lambda middle, scale: mb.mul(x=mb.relu(x=middle), y=scale),
        {"middle": np.zeros((1, 4, 6, 6), np.float32), "scale": np.zeros((1,), np.float32)},
        folder,
        "y",
    )
    ct.utils.make_pipeline(first, second).save(str(folder / "m.mlpackage"))
    return folder / "m.mlpackage"


def right(conv: nn.Conv2d, scale: float) -> np.ndarray:
    with torch.no_grad():
        return (conv(torch.from_numpy(X)).relu() * scale).numpy()


def test_each_model_takes_what_came_before_it(two, conv) -> None:
    opened = coreml.load(two)
    answers = opened.predict({"x": X, "scale": np.array([2.5], np.float32)})
    assert set(answers) == {"y"}
    np.testing.assert_allclose(answers["y"], right(conv, 2.5), rtol=1e-5, atol=1e-6)
    both = opened.predict([{"x": X, "scale": np.ones(1)}, {"x": X, "scale": np.zeros(1)}])
    np.testing.assert_allclose(both[0]["y"], right(conv, 1), rtol=1e-5, atol=1e-6)
    assert not both[1]["y"].any()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"x": X}, "scale is missing"),
        ({"x": X, "scale": np.ones(1), "z": X}, "no input z"),
        ({"x": X[..., :4], "scale": np.ones(1)}, "takes the shape"),
    ],
)
def test_inputs_are_those_of_the_pipeline(two, data, words) -> None:
    with pytest.raises(InputError, match=words):
        coreml.load(two).predict(data)


def test_a_pipelines_state_is_empty_and_it_has_no_functions(two, conv) -> None:
    opened = coreml.load(two)
    data = {"x": X, "scale": np.ones(1)}
    np.testing.assert_allclose(opened.predict(data, opened.make_state())["y"], right(conv, 1), rtol=1e-5, atol=1e-6)
    with pytest.raises(InputError, match="got object"):
        opened.predict(data, object())
    with pytest.raises(InputError, match="not with a list"):
        opened.predict([data], opened.make_state())
    with pytest.raises(InputError, match="no functions"):
        coreml.load(two, function_name="second")
    with pytest.raises(InputError, match=r"pipeline of models.*dermedge\.coreml\.load"):
        coreml.load_program(two)


def copied(two: Path, folder: Path, change) -> Path:
    """The pipeline with another description of itself."""
    import shutil

    return edited(Path(shutil.copytree(two, folder / "m.mlpackage")), change)


def without_input(spec) -> None:
    del spec.description.input[:]


def with_strange_output(spec) -> None:
    spec.description.output.add().name = "other"


def with_whole_numbers(spec) -> None:
    spec.description.output[0].type.multiArrayType.dataType = 131104


def without_a_type(spec) -> None:
    spec.description.output[0].type.multiArrayType.dataType = 0


def without_models(spec) -> None:
    del spec.pipeline.models[:]


def with_old_network(spec) -> None:
    spec.pipeline.models[1].neuralNetwork.SetInParent()


def with_trees(spec) -> None:
    spec.pipeline.models[1].treeEnsembleClassifier.SetInParent()


def with_states(spec) -> None:
    program = spec.pipeline.models[0].mlProgram.functions["main"]
    value = program.inputs.add()
    value.name = "kept"
    wrapped = value.type.stateType.wrappedType.tensorType
    wrapped.CopyFrom(program.inputs[0].type.tensorType)
    spec.pipeline.models[0].description.state.add().name = "kept"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without_input, r"model 1 of the pipeline takes x, which nothing before it gives"),
        (with_strange_output, "promises an output other"),
        (with_whole_numbers, r"promises its output \w+ as int32, the model that gives it has float32"),
        (without_a_type, r"promises its output \w+ as nothing, the model that gives it has float32"),
        (without_models, "holds no model"),
        (with_old_network, r"model 2 of the pipeline: holds a neural network.*convert_to='mlprogram'"),
        (with_trees, "model 2 of the pipeline: holds a treeEnsembleClassifier"),
        (with_states, "model 1 of the pipeline keeps states; Apple states no way .* open the package"),
    ],
)
def test_what_is_not_run_is_refused_by_name(two, tmp_path, change, words) -> None:
    with pytest.raises(InputError, match=words):
        coreml.load(copied(two, tmp_path, change))


def test_whole_numbers_are_not_promised_as_narrower_ones() -> None:
    """300 as int8 would be 44; the other way round nothing is lost."""

    def described(kind: int) -> Model_pb2.FeatureDescription:
        feature = Model_pb2.FeatureDescription(name="y")
        feature.type.multiArrayType.dataType = kind
        return feature

    narrow, wide = (described(getattr(FeatureTypes_pb2.ArrayFeatureType, name)) for name in ("INT8", "INT32"))
    check_kind(wide, narrow)
    with pytest.raises(InputError, match="promises its output y as int8, the model that gives it has int32"):
        check_kind(narrow, wide)


def test_an_output_that_was_not_given_is_named(two, tmp_path) -> None:
    """A pipeline may pass on an input, which may be optional."""

    def passed_on(spec) -> None:
        extra = spec.description.input.add()
        extra.name = "extra"
        extra.type.doubleType.SetInParent()
        extra.type.isOptional = True
        spec.description.output.add().CopyFrom(extra)

    opened = coreml.load(copied(two, tmp_path, passed_on))
    assert opened.predict({"x": X, "scale": np.ones(1), "extra": 3.5})["extra"] == 3.5
    with pytest.raises(InputError, match="output extra, which is an input that was not given"):
        opened.predict({"x": X, "scale": np.ones(1)})


def test_a_model_that_fails_is_named(two, tmp_path) -> None:
    """The second model gets another shape than it takes."""

    def other_shape(spec) -> None:
        spec.pipeline.models[1].description.input[0].type.multiArrayType.shape[1] = 3

    opened = coreml.load(copied(two, tmp_path, other_shape))
    with pytest.raises(InputError, match="model 2 of the pipeline: the input middle takes the shape"):
        opened.predict({"x": X, "scale": np.ones(1)})


def test_a_classifier_at_the_end_gives_its_label(two, conv, tmp_path) -> None:
    """A pipelineClassifier: the same list of models under another name."""

    def renamed(spec) -> None:
        inner = Model_pb2.Pipeline()
        inner.CopyFrom(spec.pipeline)
        spec.pipelineClassifier.pipeline.CopyFrom(inner)

    opened = coreml.load(copied(two, tmp_path, renamed))
    answers = opened.predict({"x": X, "scale": np.ones(1)})
    np.testing.assert_allclose(answers["y"], right(conv, 1), rtol=1e-5, atol=1e-6)


def detector(folder: Path, *, per_class: bool, rows: int | None = None) -> Path:
    """A program that passes on confidences and boxes, and a NonMaximumSuppression model behind it."""
    inputs = {"rated": np.zeros((BOXES, CLASSES), np.float32), "places": np.zeros((BOXES, 4), np.float32)}
    first = saved(lambda rated, places: (mb.relu(x=rated), mb.relu(x=places)), inputs, folder)
    spec = ct.utils.load_spec(str(first))
    for old, new in zip([feature.name for feature in spec.description.output], ("raw", "raw_boxes"), strict=True):
        ct.utils.rename_feature(spec, old, new)
    whole = Model_pb2.Model()
    whole.specificationVersion = spec.specificationVersion
    last = Model_pb2.Model()
    double = FeatureTypes_pb2.ArrayFeatureType.ArrayDataType.Value("DOUBLE")
    for description, names in ((last.description.input, ("raw", "raw_boxes")),
                               (last.description.output, ("confidence", "coordinates"))):  # fmt: skip
        for name in names:
            feature = description.add()
            feature.name = name
            feature.type.multiArrayType.dataType = double
            if rows is not None and name == "confidence":
                feature.type.multiArrayType.shape.extend([rows, CLASSES])
    for name in ("least", "overlap"):
        feature = last.description.input.add()
        feature.name = name
        feature.type.doubleType.SetInParent()
        feature.type.isOptional = True
    boxes = last.nonMaximumSuppression
    boxes.pickTop.perClass = per_class
    boxes.iouThreshold, boxes.confidenceThreshold = 0.45, 0.4
    boxes.confidenceInputFeatureName, boxes.coordinatesInputFeatureName = "raw", "raw_boxes"
    boxes.confidenceOutputFeatureName, boxes.coordinatesOutputFeatureName = "confidence", "coordinates"
    boxes.confidenceThresholdInputFeatureName, boxes.iouThresholdInputFeatureName = "least", "overlap"
    whole.pipeline.models.extend([spec, last])
    whole.pipeline.names.extend(["network", "boxes"])
    whole.description.input.extend([*spec.description.input, *last.description.input[2:]])
    whole.description.output.extend(last.description.output)
    (first / SPEC).write_bytes(whole.SerializeToString())
    return first


@pytest.fixture(scope="module")
def scene() -> dict[str, np.ndarray]:
    """Boxes that overlap, of several classes, with different confidences."""
    draw = np.random.default_rng(8)
    centres, sizes = draw.uniform(0.3, 0.7, (BOXES, 2)), draw.uniform(0.2, 0.5, (BOXES, 2))
    return {"rated": draw.uniform(0, 1, (BOXES, CLASSES)) ** 3, "places": np.concatenate([centres, sizes], 1)}


def kept_by_opencv(scene, least: float, overlap: float, *, per_class: bool) -> list[int]:
    places = scene["places"].copy()
    places[:, :2] -= places[:, 2:] / 2  # OpenCV takes the corner
    best, classes = scene["rated"].max(1), scene["rated"].argmax(1)
    if per_class:
        kept = cv2.dnn.NMSBoxesBatched(places.tolist(), best.tolist(), classes.tolist(), least, overlap)
    else:
        kept = cv2.dnn.NMSBoxes(places.tolist(), best.tolist(), least, overlap)
    return sorted(map(int, kept), key=lambda row: -best[row])


@pytest.mark.parametrize("per_class", [False, True])
def test_overlapping_boxes_go_as_in_opencv(scene, tmp_path, per_class) -> None:
    opened = coreml.load(detector(tmp_path, per_class=per_class))
    for given in ({}, {"least": 0.2, "overlap": 0.3}):
        answers = opened.predict({**scene, **given})
        rows = kept_by_opencv(scene, given.get("least", 0.4), given.get("overlap", 0.45), per_class=per_class)
        assert 2 < len(rows) < BOXES - 5
        np.testing.assert_allclose(answers["confidence"], scene["rated"][rows], rtol=1e-6)
        np.testing.assert_allclose(answers["coordinates"], scene["places"][rows], rtol=1e-6)
    nothing = opened.predict({**scene, "least": 1.5})
    assert nothing["confidence"].shape == (0, CLASSES) and nothing["coordinates"].shape == (0, 4)


def test_a_stated_number_of_boxes_is_filled_with_zeros(scene, tmp_path) -> None:
    opened = coreml.load(detector(tmp_path, per_class=False, rows=30))
    answers = opened.predict({**scene})
    count = len(kept_by_opencv(scene, 0.4, 0.45, per_class=False))
    assert answers["coordinates"].shape == (30, 4) and answers["confidence"][:count].any(1).all()
    assert not answers["coordinates"][count:].any() and not answers["confidence"][count:].any()


def test_too_many_boxes_are_refused(tmp_path) -> None:
    """Their comparison would take hours; the threshold that leaves fewer is asked for."""

    def of_any_size(spec) -> None:
        del spec.pipeline.models[:1]
        del spec.description.input[:2]
        spec.description.input.extend(spec.pipeline.models[0].description.input[:2])

    opened = coreml.load(edited(detector(tmp_path, per_class=False), of_any_size))
    many = {"raw": np.ones((2**17 + 1, 1)), "raw_boxes": np.ones((2**17 + 1, 4))}
    with pytest.raises(InputError, match="131073 boxes reach the confidence"):
        opened.predict(many)
    assert len(opened.predict({**many, "least": 2.0})["confidence"]) == 0


def optional_boxes(last) -> None:
    last.description.input[1].type.isOptional = True


def third_output(last) -> None:
    last.description.output.add().name = "third"


def unnamed(last) -> None:
    last.nonMaximumSuppression.confidenceInputFeatureName = ""


def too_many(last) -> None:
    last.description.output[0].type.multiArrayType.shape.extend([2**40, CLASSES])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (optional_boxes, "needs raw_boxes, which is described as optional"),
        (third_output, "described are confidence, coordinates, third"),
        (unnamed, "works with nothing"),
        (too_many, "expected up to"),
    ],
)
def test_a_damaged_suppression_is_named(tmp_path, change, words) -> None:
    """Found by flipped bits."""
    path = edited(detector(tmp_path, per_class=False), lambda spec: change(spec.pipeline.models[1]))
    with pytest.raises(InputError, match=rf"model 2 \(boxes\) of the pipeline: .*{words}"):
        coreml.load(path)


def test_a_threshold_that_is_no_number_is_refused(scene, tmp_path) -> None:
    opened = coreml.load(detector(tmp_path, per_class=False))
    for value in ("0.5", None, [0.1, 0.2], {}):
        with pytest.raises(InputError, match="the input least is a number"):
            opened.predict({**scene, "least": value})
