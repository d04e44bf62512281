"""A result that float16 spoils the answer with stays float32, with what reads it; without such a one nothing does."""

from __future__ import annotations

from pathlib import Path

import coremltools as ct
import numpy as np
import pytest
import torch
from torch import nn

from convert._coreml.half_noise import MOST, too_coarse
from convert._fidelity import sqnr
from edge.runtimes import Outputs
from edge.runtimes.coreml.classifier import CoreML
from tests.convert.coreml.test_half_ranges import SIDE, answers, package

pytestmark = pytest.mark.filterwarnings("ignore:Function _TORCH_OPS_REGISTRY:DeprecationWarning")


class Offset(nn.Module):
    """The first layer's results lie around `offset`; the second takes that off and raises what is left."""

    def __init__(self, offset: float) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1), nn.Linear(8, 3)
        with torch.no_grad():
            self.first.bias += offset
            self.second.bias -= self.second.weight.sum((1, 2, 3)) * offset
            self.second.weight *= 4
            self.second.bias *= 4

    def forward(self, x):
        x = torch.relu(self.second(torch.relu(self.first(x / 255))))
        return torch.softmax(4 * self.last(x.mean((2, 3))), -1)


def network(offset: float) -> Offset:
    torch.manual_seed(1)
    return Offset(offset).eval()


def fidelity(net: nn.Module, path: Path, images: np.ndarray) -> float:
    """Median SQNR of a package's answers, in dB."""
    return float(np.median(sqnr(Outputs(answers(net, images), None), CoreML(path).run(images))))


def named_alike(full: Path, target: Path) -> Path:
    """The package with its table of answers under the name of the answers, as ours are."""
    model = ct.models.MLModel(str(full), skip_model_load=True)
    spec = model.get_spec()
    block = spec.mlProgram.functions["main"].block_specializations
    (classify,) = [o for b in block.values() for o in b.operations if o.type == "classify"]
    answer = classify.inputs["probabilities"].arguments[0].name
    ct.utils.rename_feature(spec, spec.description.predictedProbabilitiesName, answer)
    ct.models.MLModel(spec, weights_dir=model.weights_dir, skip_model_load=True).save(str(target))
    return target


@pytest.mark.slow(reason="runs a network operation by operation")
def test_the_result_that_spoils_the_answer_stays_float32(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 3), dtype=np.uint8)
    net = network(300.0)
    full = named_alike(package(net, tmp_path / "full.mlpackage", None), tmp_path / "named.mlpackage")
    names = too_coarse(full, images, 55.0)
    assert names and len(names) <= 2 * MOST
    before = fidelity(net, package(net, tmp_path / "half.mlpackage", frozenset()), images)
    after = fidelity(net, package(net, tmp_path / "mixed.mlpackage", names), images)
    assert before < 55.0 < after, (before, after)
    assert too_coarse(full, images, before - 10.0) == frozenset()  # near enough: nothing stays
    assert too_coarse(full, images, 55.0, float32=names) == frozenset()  # they stay already
