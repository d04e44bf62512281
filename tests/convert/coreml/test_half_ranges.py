"""Networks whose numbers float16 does not hold: they are found, stay float32 there, and answer as torch does."""

from __future__ import annotations

import json
from pathlib import Path

import coremltools as ct
import numpy as np
import pytest
import torch
from torch import nn

from convert._coreml import half_ranges as _half_ranges
from convert._coreml.program import in_half
from convert._extremes import drawn
from edge.runtimes import coreml
from edge.runtimes.coreml.classifier import CoreML
from tests.convert._loud_streams import Streams

pytestmark = pytest.mark.filterwarnings("ignore:Function _TORCH_OPS_REGISTRY:DeprecationWarning")
SIDE, LABELS = 8, ["a", "b", "c"]


class Loud(nn.Module):
    """A layer that reaches 1e6, and one whose results are around 1e-7."""

    def __init__(self, loud: float = 1e4, faint: float = 1e-9) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3)
        self.up, self.down = nn.Conv2d(8, 8, 1, bias=False), nn.Conv2d(8, 8, 1, bias=False)
        self.last = nn.Linear(8, 3)
        self.loud, self.faint = loud, faint
        with torch.no_grad():
            self.up.weight *= loud

    def forward(self, x):
        x = torch.relu(self.first(x / 255))
        x = torch.relu(self.up(x)) / self.loud
        x = self.down(x)
        x = torch.tanh(x) * self.faint
        x = x * x.abs().mean((1, 2, 3), keepdim=True).rsqrt().square()
        return torch.softmax(4 * self.last(x.mean((2, 3))), -1)


def package(network: nn.Module, path: Path, float32: frozenset[str] | None, side: int = SIDE) -> Path:
    program = torch.export.export(network.eval(), (torch.zeros(1, 3, side, side),)).run_decompositions({})
    half = ct.transform.FP16ComputePrecision(op_selector=lambda op: in_half(op, float32 or frozenset()))
    ct.convert(
        program,
        inputs=[ct.ImageType(name="image", shape=(1, 3, side, side), color_layout=ct.colorlayout.RGB)],
        classifier_config=ct.ClassifierConfig(LABELS),
        minimum_deployment_target=ct.target.iOS16,
        compute_precision=ct.precision.FLOAT32 if float32 is None else half,
        skip_model_load=True,
    ).save(str(path))
    return path


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, SIDE, SIDE, 3), dtype=np.uint8)


def answers(network: nn.Module, images: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return network(torch.from_numpy(images).permute(0, 3, 1, 2).float()).double().numpy()


def loud(**scales: float) -> Loud:
    torch.manual_seed(1)
    return Loud(**scales).eval()


@pytest.mark.slow(reason="two packages")
def test_what_float16_cannot_hold_stays_float32(images: np.ndarray, tmp_path: Path) -> None:
    network = loud()
    wanted = answers(network, images)
    ranges = _half_ranges.half_ranges(package(network, tmp_path / "full.mlpackage", None), images)
    assert max(one.largest for one in ranges) > 65504
    kept = _half_ranges.kept_float32(ranges)
    assert 2 <= len(kept) < len(ranges)  # not everything
    careless = CoreML(package(network, tmp_path / "careless.mlpackage", frozenset())).run(images).probabilities
    careful = CoreML(package(network, tmp_path / "careful.mlpackage", kept)).run(images).probabilities
    assert not np.abs(careless - wanted).max() < 0.05  # NaN, or another answer
    assert np.abs(careful - wanted).max() < 5e-3


def test_ordinary_numbers_all_become_float16(images: np.ndarray, tmp_path: Path) -> None:
    ranges = _half_ranges.half_ranges(package(loud(loud=1.0, faint=1.0), tmp_path / "full.mlpackage", None), images)
    assert not _half_ranges.kept_float32(ranges)
    found = _half_ranges.summary(ranges)
    assert found.largest_activation < 100 and found.kept_float32 == 0


def test_the_largest_value_is_torchs(images: np.ndarray, tmp_path: Path) -> None:
    network = loud()
    ranges = _half_ranges.half_ranges(package(network, tmp_path / "full.mlpackage", None), images)
    with torch.inference_mode():
        x = torch.from_numpy(images).permute(0, 3, 1, 2).float()
        largest = float(network.up(torch.relu(network.first(x / 255))).abs().max())
    assert max(one.largest for one in ranges if one.operation == "conv") == pytest.approx(largest, rel=1e-4)


def test_the_report_names_what_comes_nearest(images: np.ndarray, tmp_path: Path) -> None:
    ranges = _half_ranges.half_ranges(package(loud(), tmp_path / "full.mlpackage", None), images)
    _half_ranges.save(tmp_path / "r.json", ranges, images=len(images), data="noise")
    stored = json.loads((tmp_path / "r.json").read_text())
    sizes = [one["largest"] for one in stored["operations"]]
    assert sizes == sorted(sizes, reverse=True) and stored["limit"] == 65504
    assert coreml.load(tmp_path / "full.mlpackage").program.operations  # the names are those of the package
    names = {o.name for op in coreml.load(tmp_path / "full.mlpackage").program.operations for o in op.outputs}
    assert {one["name"] for one in stored["operations"]} <= names


def test_infinity_stays_float32_and_is_written_as_the_largest_number() -> None:
    """A sigmoid in plain operations passes through it: 1 / (1 + exp(-200 x))."""
    largest, some, subnormal, lost, signal, noise = _half_ranges.sums_over(torch.tensor([torch.inf, torch.nan, 3.0]))
    assert largest == torch.finfo(torch.float32).max
    assert (some, subnormal, lost, signal, noise) == (2, 0, 0, 9, 0)


class Square(nn.Module):
    """A network whose layer norms square numbers that float16 cannot hold, for (1, 3, S, S)."""

    def __init__(self) -> None:
        super().__init__()
        self.streams = Streams()

    def forward(self, x):
        return self.streams(x.permute(0, 2, 3, 1))


def test_squares_inside_a_layer_norm_are_no_results(tmp_path: Path) -> None:
    """A layer norm is one operation of a package: no square is a number of the program, which float16 has to hold."""
    pictures = drawn(16)
    answers = []
    for name, float32 in (("fp32", None), ("fp16", frozenset[str]())):
        model = CoreML(package(Square(), tmp_path / f"{name}.mlpackage", float32, side=16))
        answers.append(model.run(pictures).probabilities)
        kinds = [operation.kind for operation in coreml.load_program(tmp_path / f"{name}.mlpackage").program.operations]
        assert kinds.count("layer_norm") == 3
    assert np.ptp(answers[0], axis=0).max() > 0.01
    np.testing.assert_allclose(answers[1], answers[0], atol=0.01)
