"""A network with class and mask through TFLite and Core ML, from the module to the answers of the files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from convert._coreml.audit import audit
from convert._coreml.program import exported, float_program, rewritten, save, with_int8_weights
from convert._fidelity import sqnr
from convert._self_test import add_expected, self_test_images, write_self_test
from convert._tflite.choose import ranges_of
from convert._tflite.file import float_model, unpack
from convert._tflite.layers import described
from convert._tflite.quantise import apply, quantise, with_byte_input
from edge.checkpoint import Checkpoint, Preprocess
from edge.labels import PAD_UFES_20
from edge.manifest import Mask, from_json_value, to_json_value
from edge.models import create_model, resformer_lite
from edge.preprocess import PREPROCESS_VERSION
from edge.runtimes import Outputs
from edge.runtimes.coreml.classifier import CoreML
from edge.runtimes.coreml_package import describe, read_spec, shortcomings
from edge.runtimes.litert import MODES, LiteRT
from edge.runtimes.reference import Reference
from tests.edge._manifests import manifest

pytestmark = [
    pytest.mark.filterwarnings("ignore:Function _TORCH_OPS_REGISTRY:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Saving value type of int64:UserWarning"),
]
SIDE = 64
TINY = resformer_lite.Config(channels=(8, 8, 16, 16, 24), blocks=(1, 1, 1, 1, 1), attention=(1, 1), features=32)


@pytest.fixture(scope="module")
def checkpoint():
    """resformer_lite made narrow, with answers that depend on the picture."""
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(resformer_lite.VARIANTS, "resformer_lite", TINY)
        net = create_model("resformer_lite", 6)
        torch.nn.init.normal_(net.mask.weight, std=1.0)  # masks that are sure of something
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 1.0
        with torch.inference_mode():  # batch norm sees colours
            net.train()(torch.rand(16, 3, SIDE, SIDE))
        yield Checkpoint(
            model="resformer_lite", labels=PAD_UFES_20, preprocess=Preprocess(PREPROCESS_VERSION, SIDE),
            state=net.state_dict(), temperature=1.3, sha256="0" * 64,
        )  # fmt: skip


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, SIDE, SIDE, 3), np.uint8)


@pytest.fixture(scope="module")
def wanted(checkpoint: Checkpoint, images: np.ndarray) -> Outputs:
    return Reference(checkpoint).run(images)


@pytest.fixture(scope="module")
def float32(checkpoint: Checkpoint) -> bytes:
    return float_model(checkpoint).content


def opened(content: bytes, path: Path, mode: str = "xnnpack") -> LiteRT:
    path.write_bytes(content)
    return LiteRT(path, mode=mode)


def test_the_float_model_gives_probabilities_and_a_mask_by_pixel(checkpoint, images, wanted) -> None:
    """By the network itself, without what wraps it."""
    x = torch.from_numpy(images[:2]).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        logits, mask = checkpoint.network()(x)
    np.testing.assert_allclose(wanted.probabilities[:2], torch.softmax(logits / 1.3, 1).numpy(), atol=1e-5)
    np.testing.assert_allclose(wanted.masks[:2], torch.sigmoid(mask[:, 0]).numpy(), atol=1e-5)
    assert wanted.masks.std() > 0.05


def test_the_file_names_both_outputs(float32: bytes) -> None:
    model = unpack(float32)
    graph, signature = model.subgraphs[0], model.signatureDefs[0]
    found = {entry.name: graph.tensors[entry.tensorIndex] for entry in signature.outputs}
    assert [graph.tensors[t].name for t in graph.outputs] == [b"probabilities", b"mask"]
    assert found[b"probabilities"].shape.tolist() == [1, 6]
    assert found[b"mask"].shape.tolist() == [1, SIDE, SIDE, 1]
    assert max(len(t.shape) for t in graph.tensors) <= 4


@pytest.mark.parametrize("mode", MODES)
def test_tflite_fp32_and_fp16_answer_as_the_model(mode, float32, images, wanted, tmp_path) -> None:
    content = quantise(float32, "fp16") if mode == "xnnpack-fp16" else float32
    runtime = opened(content, tmp_path / "m.tflite", mode)
    found = runtime.run(images)
    near = 0.02 if mode == "xnnpack-fp16" else 1e-5
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, atol=near)
    # a processor with fp16 products sums them in fp16 too, and these random masks lie around a half
    np.testing.assert_allclose(found.masks, wanted.masks, atol=0.05 if mode == "xnnpack-fp16" else near)
    np.testing.assert_array_equal(runtime.run(images).probabilities, found.probabilities)


def test_tflite_int8_has_static_convolutions_and_a_float_mask(float32, images, wanted, tmp_path) -> None:
    ranges = ranges_of(float32, images)
    layers = [
        dataclasses.replace(layer, kind="static", input=ranges[layer.tensor]["widest"][0],
                            output=ranges[layer.tensor]["widest"][1])
        if layer.tensor in ranges
        else layer
        for layer in described(float32)
    ]  # fmt: skip
    assert sum(layer.kind == "static" for layer in layers) > 20
    content = with_byte_input(apply(float32, layers))
    found = opened(content, tmp_path / "m.tflite").run(images)
    assert found.masks.dtype == np.float32
    assert np.median(sqnr(wanted, found)) > 15
    assert np.median(sqnr(wanted, opened(float32, tmp_path / "f.tflite").run(images))) > 80


def test_a_layer_of_the_mask_alone_does_not_look_harmless(wanted) -> None:
    """What the choice of 8-bit layers goes by sees a mask that is wrong beside a class that is right."""
    rng = np.random.default_rng(0)
    noisy = np.clip(wanted.masks + rng.normal(0, 0.1, wanted.masks.shape), 0, 1).astype(np.float32)
    assert (sqnr(wanted, wanted) == 200).all()
    assert (sqnr(wanted, Outputs(wanted.probabilities, noisy)) < 40).all()


@pytest.fixture(scope="module")
def program(checkpoint: Checkpoint):
    return exported(checkpoint, rewritten(checkpoint))


MASK = Mask("where", SIDE, 0.5)


@pytest.mark.parametrize(
    ("recipe", "near"),
    [
        ("fp32", 1e-5),
        pytest.param("fp16", 0.02, marks=pytest.mark.slow(reason="a second Core ML package")),
        pytest.param("int8-weights", 0.1, marks=pytest.mark.slow(reason="a third Core ML package")),
    ],
)
def test_core_ml_packages_answer_as_the_model(recipe, near, checkpoint, program, images, wanted, tmp_path) -> None:
    model = float_program(checkpoint, program, "fp32" if recipe == "fp32" else "fp16")
    model = with_int8_weights(model) if recipe == "int8-weights" else model
    path = tmp_path / "m.mlpackage"
    save(model, path, manifest(side=SIDE, mask=MASK), recipe)
    labels = [label.code for label in PAD_UFES_20]
    assert shortcomings(describe(path), recipe=recipe, side=SIDE, labels=labels, mask=True) == []
    assert shortcomings(describe(path), recipe=recipe, side=SIDE, labels=labels) != []
    about = read_spec(path).description.metadata.userDefined
    assert about["com.apple.coreml.model.preview.type"] == "imageSegmenter"
    shown = json.loads(about["com.apple.coreml.model.preview.parameters"])
    assert shown["labels"] == ["skin", "lesion"] and len(shown["colors"]) == 2
    assert not [line for line in audit(path).warnings if "dilation" in line]  # the Neural Engine would leave it
    package = CoreML(path)
    by_name = {one.name: one.type for one in package.engine.output_description}
    assert by_name["mask"].multiArrayType.shape == [1, 1, SIDE, SIDE]
    assert by_name["mask"].multiArrayType.dataType == 65568  # FLOAT32
    if recipe != "fp32":  # the sigmoid itself is float32, not a float16 one that was widened
        calls = {one.outputs[0].name: one for one in package.engine.program.operations}
        assert calls["mask"].kind == "sigmoid"
    found = package.run(images)
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, atol=near)
    np.testing.assert_allclose(found.masks, wanted.masks, atol=near)


def test_the_manifest_describes_the_mask_and_old_ones_stay_valid(checkpoint, tmp_path) -> None:
    images = self_test_images(checkpoint)
    answers = Outputs(np.full((2, 2), 0.5), np.full((2, SIDE, SIDE), 0.25, np.float32))
    written = add_expected(write_self_test(tmp_path, manifest(side=SIDE, mask=MASK), images, answers), [])
    value = to_json_value(written)
    assert value["mask"] == {"name": "mask", "meaning": "where", "side": SIDE, "threshold": 0.5}
    assert from_json_value(value, where="here").self_test[0].reference_mask == 0.25
    plain = to_json_value(write_self_test(tmp_path, manifest(), images, Outputs(answers.probabilities, None)))
    assert "reference_mask" not in plain["self_test"][0] and "mask" not in plain
    assert from_json_value(plain, where="here").mask is None
