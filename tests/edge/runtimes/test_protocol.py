"""Every runtime behind the one protocol: the same shapes and types out, the same refusals by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convert._onnx.program import lower as lower_to_onnx
from convert._tflite.file import lower
from convert._tflite.quantise import quantise, with_byte_input
from edge.checkpoint import Checkpoint, Preprocess
from edge.errors import InputError
from edge.labels import Label
from edge.models.deployed import Deployed
from edge.preprocess import PREPROCESS_VERSION
from edge.runtimes import Outputs, Runtime, coreai, joined
from edge.runtimes.coreml.classifier import CoreML
from edge.runtimes.litert import LiteRT
from edge.runtimes.onnx import OnnxRuntime
from edge.runtimes.open import open_file
from edge.runtimes.reference import Reference
from tests.edge.runtimes.test_coreai import asset

pytestmark = pytest.mark.filterwarnings("ignore:Function _TORCH_OPS_REGISTRY:DeprecationWarning")
SIDE, CODES = 16, ("ben", "mal", "odd")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.classifier = nn.Conv2d(3, 8, 3, 2), nn.Linear(8, len(CODES))

    def forward(self, x: Tensor) -> Tensor:
        return 3 * self.classifier(torch.relu(self.conv(x)).mean((2, 3)))


def deployed(layout: str) -> nn.Module:
    return Deployed(Net(), mean=(0.5,) * 3, std=(0.25,) * 3, temperature=1.0, layout=layout).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("runtimes")


@pytest.fixture(scope="module")
def tflite(folder: Path) -> Path:
    content = lower(deployed("NHWC"), torch.zeros(1, SIDE, SIDE, 3)).content
    (folder / "net.tflite").write_bytes(content)
    (folder / "bytes.tflite").write_bytes(with_byte_input(quantise(content, "int8-dynamic")))
    return folder / "net.tflite"


@pytest.fixture(scope="module")
def package(folder: Path) -> Path:
    import coremltools as ct

    example = torch.zeros(1, 3, SIDE, SIDE)
    ct.convert(
        torch.export.export(deployed("NCHW"), (example,)).run_decompositions({}),
        inputs=[ct.ImageType(name="image", shape=example.shape, color_layout=ct.colorlayout.RGB)],
        classifier_config=ct.ClassifierConfig(list(CODES)),
        minimum_deployment_target=ct.target.iOS16, compute_precision=ct.precision.FLOAT32, skip_model_load=True,
    ).save(str(folder / "net.mlpackage"))  # fmt: skip
    return folder / "net.mlpackage"


@pytest.fixture(scope="module")
def onnx_file(folder: Path) -> Path:
    pytest.importorskip("onnxruntime", reason="the extra onnx")
    (folder / "net.onnx").write_bytes(lower_to_onnx(deployed("NHWC"), torch.zeros(1, SIDE, SIDE, 3)).content)
    return folder / "net.onnx"


class Array:
    def __init__(self, value: np.ndarray) -> None:
        self.value = value

    def numpy(self) -> np.ndarray:
        return self.value


def core_ai(path: Path, patch: pytest.MonkeyPatch) -> Runtime:
    """Our half of it, around the torch model in place of Apple's runtime."""
    module = deployed("NHWC")

    async def engine(given: dict[str, Array]) -> dict[str, Array]:
        image = torch.from_numpy(given["image"].value).float()
        with torch.inference_mode():
            return {"probabilities": Array(module(image).numpy())}

    async def opened(_self: coreai.CoreAI) -> tuple[Any, Any]:
        return Array, engine

    facts = {
        "inputs": {"image": [[1, SIDE, SIDE, 3], "uint8"]}, "states": [], "stored": {},
        "outputs": {"probabilities": [[1, len(CODES)], "float32"]},
    }  # fmt: skip
    patch.setattr(coreai, "check_installed", lambda: None)
    patch.setattr(coreai, "first_opening", lambda path: facts)
    patch.setattr(coreai.CoreAI, "open", opened)
    return coreai.CoreAI(path)


KINDS = ("reference", "xnnpack", "xnnpack-fp16", "kernels", "bytes", "core ml", "core ai", "onnx", "onnx, plain")
TAKES_FLOATS = {"reference", "xnnpack", "xnnpack-fp16", "kernels", "onnx", "onnx, plain"}


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture
def runtime(kind: str, request, tmp_path: Path, monkeypatch) -> Iterator[Runtime]:
    def of_file(**options: Any) -> LiteRT:
        path = request.getfixturevalue("tflite")
        return LiteRT(path.with_name("bytes.tflite") if kind == "bytes" else path, labels=CODES, **options)

    def of_checkpoint() -> Reference:
        labels = tuple(Label(code, code, malignant=code == "mal") for code in CODES)
        preprocess = Preprocess(PREPROCESS_VERSION, SIDE, (0.5,) * 3, (0.25,) * 3)
        return Reference(Checkpoint("net", labels, preprocess, {}, own_family="foreign", live=Net()))

    makers: dict[str, Callable[[], Runtime]] = {
        "reference": of_checkpoint,
        "xnnpack": of_file,
        "xnnpack-fp16": lambda: of_file(mode="xnnpack-fp16"),
        "kernels": lambda: of_file(mode="reference"),
        "bytes": of_file,
        "core ml": lambda: CoreML(request.getfixturevalue("package")),
        "onnx": lambda: OnnxRuntime(request.getfixturevalue("onnx_file"), labels=CODES),
        "onnx, plain": lambda: OnnxRuntime(
            request.getfixturevalue("onnx_file"), mode="onnxruntime-plain", labels=CODES
        ),
        "core ai": lambda: core_ai(asset(tmp_path), monkeypatch),
    }
    opened = makers[kind]()
    yield opened
    opened.close()


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)


def test_it_answers_as_the_model_does(runtime: Runtime, kind: str, images: np.ndarray) -> None:
    with torch.inference_mode():
        expected = np.concatenate([deployed("NHWC")(torch.from_numpy(one[None]).float()).numpy() for one in images])
    found = runtime.run(images)
    assert isinstance(found, Outputs) and found.masks is None
    assert found.probabilities.dtype == np.float64 and found.probabilities.shape == (3, len(CODES))
    near = {"xnnpack-fp16": 5e-3, "bytes": 2e-2}.get(kind, 1e-5)
    np.testing.assert_allclose(found.probabilities, expected, atol=near)
    assert np.ptp(expected, axis=0).max() > 2 * near  # the pictures make a difference
    lots = joined([runtime.run(images[:1]), runtime.run(images[1:])])  # one after the other is the same
    np.testing.assert_array_equal(lots.probabilities, found.probabilities)


def test_it_says_what_it_is(runtime: Runtime, kind: str) -> None:
    assert runtime.side == SIDE and runtime.name
    assert tuple(runtime.labels) == (("ben", "mal") if kind == "core ai" else CODES)  # what the file says


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((1, SIDE, SIDE, 3), np.float32),
        np.zeros((1, SIDE, SIDE, 3), np.int64),
        np.zeros((1, 2 * SIDE, 2 * SIDE, 3), np.uint8),
        np.zeros((1, 3, SIDE, SIDE), np.uint8),
        np.zeros((SIDE, SIDE, 3), np.uint8),
        np.zeros((0, SIDE, SIDE, 3), np.uint8),
        [[1, 2, 3]],
        None,
    ],
    ids=lambda wrong: f"{getattr(wrong, 'dtype', '')}{getattr(wrong, 'shape', wrong)}",
)
def test_other_images_are_refused_by_name(runtime: Runtime, wrong: Any) -> None:
    with pytest.raises(InputError, match=r"takes uint8 \(N, 16, 16, 3\), got") as caught:
        runtime.run(wrong)
    assert runtime.name in str(caught.value)


def test_answers_that_nothing_reads_are_refused_by_name(runtime: Runtime, images: np.ndarray) -> None:
    with pytest.raises(InputError, match="`answers`") as caught:
        runtime.run(images, np.zeros((3, 4), np.float32))
    assert runtime.name in str(caught.value)


def test_other_numbers_than_bytes(runtime: Runtime, kind: str, images: np.ndarray) -> None:
    """What an app does that divides by 255, where a file can take that."""
    if kind not in TAKES_FLOATS:
        with pytest.raises(InputError, match=r"takes .*bytes, no other numbers") as caught:
            runtime.run_floats(images.astype(np.float32))
        assert runtime.name in str(caught.value)
        return
    expected = runtime.run(images).probabilities
    np.testing.assert_array_equal(runtime.run_floats(images.astype(np.float32)).probabilities, expected)
    divided = runtime.run_floats(images.astype(np.float32) / 255).probabilities
    assert np.abs(divided - expected).max() > 0.01
    for wrong in (images, images.astype(np.float64), np.zeros((1, 3, SIDE, SIDE), np.float32)):
        with pytest.raises(InputError, match=r"takes float32 \(N, 16, 16, 3\), got"):
            runtime.run_floats(wrong)


def test_an_unknown_format_is_refused_by_its_name(tmp_path):
    """It is not taken for one of the known ones."""
    from edge.runtimes.inside import look_inside
    from edge.runtimes.open import modes_of

    for ask in (
        lambda: modes_of("ncnn"),
        lambda: open_file(tmp_path / "x.ncnn", "ncnn"),
        lambda: look_inside(tmp_path / "x.ncnn", "ncnn", np.zeros((1, 8, 8, 3), np.uint8)),
    ):
        with pytest.raises(InputError, match=r"`ncnn`.*tflite, mlpackage, aimodel, onnx"):
            ask()
