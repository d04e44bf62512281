"""Core ML packages: what compression writes is what it was given, or nearly."""

from __future__ import annotations

from pathlib import Path

import coremltools as ct
import numpy as np
import pytest
import torch
from torch import nn

from convert import _coreml
from edge.runtimes import coreml


class Pooled(nn.Module):
    """A linear layer behind a pooling matrix, which holds two different values."""

    def __init__(self) -> None:
        super().__init__()
        matrix = torch.zeros(64, 32)
        for row in range(64):
            matrix[row, row // 2] = 0.5
        self.register_buffer("pooling", matrix)
        self.layer = nn.Linear(32, 48)

    def forward(self, x):
        return self.layer(x @ self.pooling)


@pytest.fixture(scope="module")
def half():
    torch.manual_seed(0)
    network, example = Pooled().eval(), torch.rand(4, 64)
    program = torch.export.export(network, (example,)).run_decompositions({})
    return ct.convert(program, minimum_deployment_target=ct.target.iOS16, skip_model_load=True)


@pytest.mark.parametrize(("bits", "least_db"), [(8, 40.0), (6, 25.0), (4, 12.0)])
def test_a_palette_keeps_a_tensor_of_few_values(half, bits: int, least_db: float, tmp_path: Path) -> None:
    answers = []
    x = np.random.default_rng(0).normal(size=(4, 64)).astype(np.float32)
    for name, model in (("half", half), ("palette", _coreml.with_palette(half, bits))):
        model.save(str(tmp_path / f"{name}.mlpackage"))
        opened = coreml.load(tmp_path / f"{name}.mlpackage")
        answers.append(next(iter(opened.predict({opened.input_description[0].name: x}).values())))
    noise = np.square(answers[1] - answers[0]).mean()
    assert 10 * np.log10(np.square(answers[0]).mean() / noise) > least_db
