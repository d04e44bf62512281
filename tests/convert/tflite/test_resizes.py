"""Resizes in TFLite files: what every runtime computes from them is what torch computes; 8 bits leave them alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from torch import Tensor, nn

from convert._resize_names import MATRIX
from convert._tflite import quantise as _quantise
from convert._tflite.audit import audit
from convert._tflite.file import lower
from convert._tflite.layers import weighted
from convert._tflite.quantise import quantise
from edge.errors import InputError
from edge.metrics.statistics import sqnr_db
from edge.runtimes.open import open_file
from edge.tflite.flatbuffer import unpack
from edge.tflite.versions import with_versions
from tests._phones import ANDROID, needs_android, needs_arm
from tests.convert._resizes import Resizing, resizes
from tests.convert.tflite.test_emit import Picture, answer, file_of
from tests.fuzzing import fuzzed

SIDE = 15  # of the picture that every resize takes its rows and columns from


class OfPicture(nn.Module):
    """Takes (1, S, S, 3) of bytes, as files do."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> Tensor:
        return self.net(image.permute(0, 3, 1, 2) / 255)


class Net(nn.Module):
    """Two convolutions around a resize; the first has too few channels to be worth 8 bits."""

    def __init__(self, **options) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.options = options
        self.a, self.b, self.c = nn.Conv2d(3, 16, 3, 2, 1), nn.Conv2d(16, 32, 3, padding=1), nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(torch.relu(self.a(x)), **self.options)
        return torch.softmax(30 * self.c(torch.relu(self.b(x)).mean((2, 3))), -1)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)


@pytest.fixture(scope="module")
def wanted(images) -> np.ndarray:
    return OfPicture(Resizing()).double()(torch.from_numpy(images).double()).numpy()


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    lowered = lower(OfPicture(Resizing()), torch.zeros(1, SIDE, SIDE, 3))
    assert lowered.by == "operator by operator"
    place = tmp_path_factory.mktemp("resizes") / "x.tflite"
    place.write_bytes(with_versions(lowered.content))
    return place


MODES = ["xnnpack", "reference"] + [
    pytest.param(f"{library}:{version}", marks=needs_android)
    for version in ANDROID or ["any"]
    for library in ("android", "android-x86_64")
]


@pytest.mark.parametrize("mode", [*MODES, pytest.param("arm64", marks=needs_arm)])
def test_every_runtime_computes_what_torch_does(mode, path, images, wanted):
    runtime = open_file(path, "tflite", mode=mode)
    try:
        np.testing.assert_allclose(runtime.run(images).probabilities, wanted, atol=1e-5)
    finally:
        runtime.close()


def test_products_need_no_operator_that_xnnpack_lacks(tmp_path):
    for number, options in enumerate((
        {"mode": "bilinear", "scale_factor": 1.3},
        {"mode": "bicubic", "size": (11, 12), "antialias": True},
        {"mode": "nearest", "scale_factor": 0.5},
    )):  # fmt: skip
        place = tmp_path / f"{number}.tflite"
        place.write_bytes(lower(OfPicture(Net(**options)), torch.zeros(1, 32, 32, 3)).content)
        sheet = audit(place)
        assert (sheet.xnnpack_partitions, sheet.largest_rank, sheet.warnings) == (1, 4, ())


@fuzzed(8)
@given(resizes())
def test_drawn_resizes_are_torchs(resize):
    (height, width), options = resize
    net = Picture(lambda m, x: F.interpolate(x, **options))
    x = torch.randn(1, height, width, 3, generator=torch.Generator().manual_seed(1))
    try:
        content = file_of(net, x)
    except InputError as error:
        assert "torch itself computes something else" in str(error) and options["antialias"]
        return
    for reference in (False, True):
        np.testing.assert_allclose(answer(content, x, reference=reference), net(x.double()).numpy(), atol=1e-5)


@pytest.fixture(scope="module")
def float32() -> bytes:
    return lower(OfPicture(Net(mode="bilinear", scale_factor=1.3)), torch.zeros(1, 64, 64, 3)).content


def matrices(content: bytes) -> list[int]:
    """The types of the stored matrices."""
    model = unpack(content)
    return [
        tensor.type
        for tensor in model.subgraphs[0].tensors
        if MATRIX in tensor.name.decode() and model.buffers[tensor.buffer].data is not None
    ]


@pytest.mark.parametrize(("recipe", "least_db"), [("fp16", 60), ("int8-weights", 38), ("int8-dynamic", 33)])
def test_eight_bits_leave_the_matrices(float32, recipe, least_db, tmp_path):
    net = OfPicture(Net(mode="bilinear", scale_factor=1.3)).double()
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
    place = tmp_path / "x.tflite"
    place.write_bytes(quantise(float32, recipe))
    assert set(matrices(place.read_bytes())) == {1} if recipe == "fp16" else {0}  # FLOAT16, FLOAT32
    assert len(weighted(unpack(float32))) == 3
    sheet = audit(place)
    assert sheet.macs - sheet.macs_weights == 16 * (32 * 32 * 41 + 32 * 41 * 41)
    if recipe == "int8-dynamic":
        assert sheet.macs_8bit == sheet.macs_weights - 16 * 27 * 32 * 32  # the first convolution does not pay
    runtime = open_file(place, "tflite")
    found = runtime.run(images).probabilities
    runtime.close()
    expected = net(torch.from_numpy(images).double()).detach().numpy()
    assert np.median(sqnr_db(np.log(expected), np.log(found))) > least_db


def test_a_matrix_in_eight_bits_is_noticed(float32, monkeypatch):
    monkeypatch.setattr(_quantise, "resizing", lambda model: [])
    assert set(matrices(quantise(float32, "int8-weights"))) != {0}


def test_a_large_matrix_is_stored_in_half_precision(tmp_path):
    net = OfPicture(Net(mode="bicubic", scale_factor=1.6))
    content = lower(net, torch.zeros(1, 64, 64, 3)).content
    assert matrices(content) == [0] and matrices(quantise(content, "int8-weights")) == [0]  # 32 x 51 numbers
    content = lower(net, torch.zeros(1, 96, 96, 3)).content
    assert set(matrices(quantise(content, "int8-dynamic"))) == {1}  # 48 x 76
