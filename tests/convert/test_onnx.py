"""A network as .onnx files, from the module to the answers: by ONNX Runtime, and by ONNX's own definition in NumPy."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn

import dermedge
from convert._first_off import first_off
from convert._onnx.program import lower
from convert._onnx.second_input import with_second_input
from dermedge.commands import predict
from edge import artifact
from edge.build import Build
from edge.checkpoint import Checkpoint
from edge.errors import InputError
from edge.models.deployed import Deployed
from edge.phones import netron
from edge.runtimes.inside import look_inside
from edge.runtimes.onnx import MODES, OnnxRuntime
from edge.runtimes.open import open_any
from edge.runtimes.reference import Reference
from tests._answering import SIDE, K, Q, small, sure, with_log_odds
from tests._phones import needs_netron

pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec:FutureWarning")


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return small(temperature=1.5)


@pytest.fixture(scope="module")
def build(tmp_path_factory, sample: Path, checkpoint: Checkpoint) -> Build:
    folder = tmp_path_factory.mktemp("onnx") / "build"
    return dermedge.convert(
        checkpoint, formats=["onnx"], recipes=["fp32", "fp16"], photos=sample, out=folder, answers=True
    )


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)


@needs_netron
def test_netron_opens_every_file_and_shows_its_facts(build: Build) -> None:
    for entry in build.manifest.files:
        seen = netron.shown(build.folder / entry.file)
        assert seen.format.startswith("ONNX") and "Conv" in seen.operators
        assert json.loads(seen.metadata["dermedge"])["labels"][0]["code"] == build.manifest.labels[0].code
        names = [end.name for end in (*seen.inputs, *seen.outputs)]
        assert names == (["image", "answers", "probabilities"] if entry.answers else ["image", "probabilities"])


def test_every_recipe_passes_and_says_what_it_is(build: Build, checkpoint: Checkpoint) -> None:
    assert build.rejected == ()
    assert {entry.file: entry.parity.verdict for entry in build.manifest.files if entry.parity} == {
        f"small-{kind}{recipe}.onnx": "pass" for kind in ("", "answers-") for recipe in ("fp32", "fp16")
    }
    for entry in build.manifest.files:
        model = onnx.load(build.folder / entry.file)
        onnx.checker.check_model(model, full_check=True)
        assert [(one.domain, one.version) for one in model.opset_import] == [("", 13)]
        facts = json.loads({prop.key: prop.value for prop in model.metadata_props}["dermedge"])
        assert facts["recipe"] == entry.recipe and facts["labels"] == build.manifest.facts_inside()["labels"]
        stored = {tensor.data_type for tensor in model.graph.initializer if np.prod(tensor.dims) >= 64}
        half = entry.recipe == "fp16" and not entry.answers  # what is answered is added in float32
        assert (TensorProto.FLOAT in stored) != half and (TensorProto.FLOAT16 in stored) == (entry.recipe == "fp16")


def test_onnx_itself_computes_what_the_network_does(build: Build, checkpoint: Checkpoint, images: np.ndarray) -> None:
    """By the definition of every operator in ONNX's own NumPy code, which shares nothing with the runtime."""
    expected = Reference(checkpoint).run(images).probabilities
    for recipe, near in (("fp32", 1e-6), ("fp16", 1e-3)):
        evaluator = ReferenceEvaluator(onnx.load(build.folder / f"small-{recipe}.onnx"))
        rows = [evaluator.run(["probabilities"], {"image": image[None].astype(np.float32)})[0][0] for image in images]
        np.testing.assert_allclose(rows, expected, atol=near)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ending", ["logits", "softmax", "mixed"])
def test_answers_are_added_as_in_the_network(ending: str, mode: str, images: np.ndarray, tmp_path: Path) -> None:
    """And nothing changes, not by a bit, where nothing is answered."""
    checkpoint = small(ending, temperature=1.5 if ending == "logits" else 1.0)
    image = torch.zeros(1, SIDE, SIDE, 3)
    content = lower(checkpoint.deployed(layout="NHWC"), image).content
    (tmp_path / "alone.onnx").write_bytes(content)
    both = with_second_input(content, np.array(checkpoint.log_odds, np.float32))
    onnx.checker.check_model(both, full_check=True)
    (tmp_path / "both.onnx").write_bytes(both.SerializeToString())
    alone, answered = (OnnxRuntime(tmp_path / f"{name}.onnx", mode=mode) for name in ("alone", "both"))
    assert (alone.answer_places, answered.answer_places) == (0, Q)
    vectors = (np.random.default_rng(1).random((3, Q)) < 0.3).astype(np.float32)
    expected = alone.run(images).probabilities
    if ending == "logits":
        np.testing.assert_array_equal(answered.run(images).probabilities, expected)
    np.testing.assert_allclose(answered.run(images).probabilities, expected, atol=1e-7)
    wanted = with_log_odds(expected, checkpoint, vectors)
    assert np.abs(wanted - expected).max() > 0.1
    np.testing.assert_allclose(answered.run(images, vectors).probabilities, wanted, atol=1e-5)


def test_a_sure_picture_and_answers_against_it_leave_numbers(tmp_path: Path) -> None:
    """In float32 the picture says 1 and 0, and the answers take 200 away from the logarithm of that 1."""
    checkpoint = sure()
    content = lower(checkpoint.deployed(layout="NHWC"), torch.zeros(1, SIDE, SIDE, 3)).content
    model = with_second_input(content, np.array(checkpoint.log_odds, np.float32))
    (tmp_path / "sure.onnx").write_bytes(model.SerializeToString())
    runtime = OnnxRuntime(tmp_path / "sure.onnx")
    dark = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    answer = runtime.run(dark, np.eye(1, Q, dtype=np.float32)).probabilities
    np.testing.assert_allclose(answer, runtime.run(dark).probabilities, atol=1e-6)


def test_a_mask_comes_with_the_class(images: np.ndarray, tmp_path: Path) -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.mask, self.head = nn.Conv2d(3, 1, 3, padding=1), nn.Linear(3, K)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.head(x.mean((2, 3))), self.mask(x)

    deployed = Deployed(Both(), mean=(0.5,) * 3, std=(0.2,) * 3, temperature=1.0, layout="NHWC").eval()
    (tmp_path / "x.onnx").write_bytes(lower(deployed, torch.zeros(1, SIDE, SIDE, 3)).content)
    answers = OnnxRuntime(tmp_path / "x.onnx").run(images)
    assert answers.masks is not None and answers.masks.shape == (3, SIDE, SIDE)
    with torch.inference_mode():
        wanted = deployed(torch.from_numpy(images[:1]).float())[1][0, ..., 0]
    np.testing.assert_allclose(answers.masks[0], wanted.numpy(), atol=1e-5)


def test_an_operation_without_operator_is_refused_by_its_module() -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.special.bessel_j0(x.mean((1, 2)))

    with pytest.raises(InputError, match=r"special_bessel_j0.*module odd \(Odd\).*no ONNX operator"):
        lower(Holder(Odd()), torch.zeros(1, 8, 8, 3))


class Holder(nn.Module):
    def __init__(self, odd: nn.Module) -> None:
        super().__init__()
        self.odd = odd

    def forward(self, x: Tensor) -> Tensor:
        return self.odd(x)


def test_predict_reads_a_file(build: Build, capsys) -> None:
    photo, file = build.folder / "self_test_0.png", build.folder / "small-fp32.onnx"
    assert predict.main([str(photo), "--json", "--with", str(file)]) == 0
    answer = json.loads(capsys.readouterr().out)[0]["probabilities"]
    assert list(answer.values()) == pytest.approx(build.manifest.self_test[0].expected[file.name], abs=1e-6)


def test_every_inner_value_is_looked_at(build: Build, checkpoint: Checkpoint, images: np.ndarray) -> None:
    inside = look_inside(build.folder / "small-fp16.onnx", "onnx", images)
    assert {op.kind for op in inside.ops} >= {"Conv", "Relu", "Gemm", "Softmax"}
    assert {op.precision.weights for op in inside.ops if op.kind == "Conv"} == {11}
    convolution = next(op for op in inside.ops if op.kind == "Conv")
    net = copy.deepcopy(checkpoint.network()).double()
    with torch.inference_mode():
        x = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255.0 - 0.5) / 0.25
        wanted = next(m for m in net.modules() if isinstance(m, nn.Conv2d))(x.double()).numpy()
    np.testing.assert_allclose(np.concatenate(inside.values[convolution.outputs[0]]), wanted, atol=2e-3)


def test_the_operation_that_is_off_is_named(checkpoint: Checkpoint, images: np.ndarray, tmp_path: Path) -> None:
    model = onnx.ModelProto.FromString(lower(checkpoint.deployed(layout="NHWC"), torch.zeros(1, SIDE, SIDE, 3)).content)
    second = [node for node in model.graph.node if node.op_type == "Conv"][1]
    weight = next(entry for entry in model.graph.initializer if entry.name == second.input[1])
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight)[::-1].copy(), weight.name))
    (tmp_path / "wrong.onnx").write_bytes(model.SerializeToString())
    said = first_off(checkpoint, tmp_path / "wrong.onnx", "onnx", images)
    assert "Conv" in said and "second" in said


def other(change: str, content: bytes) -> bytes:
    """A file that is not as it should be."""
    model = onnx.ModelProto.FromString(content)
    if change == "cut":
        return content[: len(content) // 2]
    if change == "text":
        return b"<html>no model</html>"
    if change == "input":
        next(node for node in model.graph.node if "image" in node.input).input[0] = "picture"
        model.graph.input[0].name = "picture"
    if change == "shape":
        model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "height"
    if change == "elsewhere":
        tensor = max(model.graph.initializer, key=lambda entry: len(entry.raw_data))
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="/etc/hostname")
    if change == "operator":
        model.graph.node[0].op_type = "Nonsense"
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("cut", "cannot open it"),
        ("text", "cannot open it"),
        ("input", r"expected an input image \(1, S, S, 3\).*picture"),
        ("shape", "expected an input image"),
        ("elsewhere", "cannot open it"),
        ("operator", "cannot open it.*Nonsense"),
    ],
)
def test_another_file_is_refused_in_words(change: str, words: str, build: Build, tmp_path: Path) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(other(change, (build.folder / "small-fp32.onnx").read_bytes()))
    with pytest.raises(InputError, match=words):
        OnnxRuntime(path)


def test_a_file_of_other_classes_is_refused(build: Build, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(build.folder, tmp_path / "build"))
    manifest = json.loads((folder / "manifest.json").read_text())
    labels = manifest["labels"]
    labels[0], labels[1] = labels[1], labels[0]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="convert again"):
        open_any(folder / "small-fp32.onnx")
    assert artifact.read(folder).codes != build.manifest.codes


def test_the_checker_sees_what_the_writer_could_get_wrong(build: Build) -> None:
    """What `save` leans on: a shape that is stated wrongly is noticed."""
    model = onnx.load(build.folder / "small-fp32.onnx")
    stated = next(entry for entry in model.graph.value_info if len(entry.type.tensor_type.shape.dim) == 4)
    stated.CopyFrom(helper.make_tensor_value_info(stated.name, TensorProto.FLOAT, [1, 7, 7, 7]))
    with pytest.raises(Exception, match=r"[Ii]nferred shape"):
        onnx.checker.check_model(model, full_check=True)
