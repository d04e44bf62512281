"""Core ML packages: what compression writes is what it was given, or nearly."""

from __future__ import annotations

from pathlib import Path

import coremltools as ct
import numpy as np
import pytest
import torch
from torch import nn

from convert._coreml import gelu as _coreml_gelu
from convert._coreml import program as _coreml
from edge.runtimes import coreml

pytestmark = pytest.mark.filterwarnings("ignore:Function _TORCH_OPS_REGISTRY:DeprecationWarning")


def pooling(length: int, parts: int) -> torch.Tensor:
    """Adaptive average pooling of `length` values to `parts`, as a matrix (parts, length)."""
    matrix = torch.zeros(parts, length)
    for row in range(parts):
        first, last = row * length // parts, -(-(row + 1) * length // parts)
        matrix[row, first:last] = 1 / (last - first)
    return matrix


class Pooled(nn.Module):
    """A linear layer behind a pooling matrix, which holds few different values."""

    def __init__(self, parts: int) -> None:
        super().__init__()
        self.register_buffer("pooling", torch.kron(pooling(8, parts), pooling(8, parts)))
        self.layer = nn.Linear(parts * parts, 48)

    def forward(self, x):
        return self.layer(nn.functional.linear(x, self.pooling))


@pytest.fixture(scope="module", params=[5, 6, 7])  # of 8; with 5 and 7 coremltools alone writes zeros
def half(request):
    torch.manual_seed(0)
    network, example = Pooled(request.param).eval(), torch.rand(4, 64)
    program = torch.export.export(network, (example,)).run_decompositions({})
    return ct.convert(program, minimum_deployment_target=ct.target.iOS16, skip_model_load=True)


def test_any_number_of_values_has_a_form(tmp_path: Path) -> None:
    class Stepped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("weight", (torch.arange(32 * 32) % 5 / 4).reshape(32, 32))

        def forward(self, x):
            return nn.functional.linear(x, self.weight)

    example = torch.rand(1, 32)
    program = torch.export.export(Stepped().eval(), (example,)).run_decompositions({})
    model = ct.convert(program, minimum_deployment_target=ct.target.iOS16, skip_model_load=True)
    _coreml.with_palette(model, 6).save(str(tmp_path / "m.mlpackage"))
    opened = coreml.load(tmp_path / "m.mlpackage")
    found = opened.predict({opened.input_description[0].name: example.numpy()})
    np.testing.assert_allclose(next(iter(found.values())), Stepped()(example).numpy(), rtol=2e-3)


@pytest.mark.parametrize(("bits", "least_db"), [(8, 40.0), (6, 25.0), (4, 12.0)])
def test_a_palette_keeps_a_tensor_of_few_values(half, bits: int, least_db: float, tmp_path: Path) -> None:
    answers = []
    x = np.random.default_rng(0).normal(size=(4, 64)).astype(np.float32)
    for name, model in (("half", half), ("palette", _coreml.with_palette(half, bits))):
        model.save(str(tmp_path / f"{name}.mlpackage"))
        opened = coreml.load(tmp_path / f"{name}.mlpackage")
        answers.append(next(iter(opened.predict({opened.input_description[0].name: x}).values())))
    noise = np.square(np.float64(answers[1]) - answers[0]).mean()
    assert 10 * np.log10(np.square(np.float64(answers[0])).mean() / noise) > least_db


@pytest.mark.parametrize(("approximate", "mode"), [("tanh", "TANH_APPROXIMATION"), ("none", "EXACT")])
def test_gelu_keeps_its_form(approximate, mode) -> None:
    """coremltools 9.0 alone writes the exact form for both: 5e-4 off, which the gate of fp16 does not see."""
    assert _coreml_gelu.MODES[approximate] == mode
    network = nn.Sequential(nn.Linear(4, 4), nn.GELU(approximate=approximate)).eval()
    program = torch.export.export(network, (torch.rand(1, 4),)).run_decompositions({})
    model = ct.convert(program, minimum_deployment_target=ct.target.iOS16, skip_model_load=True)
    (gelu,) = model._mil_program.functions["main"].find_ops(op_type="gelu")
    assert gelu.mode.val == mode
