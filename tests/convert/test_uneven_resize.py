"""A network that resizes by 1.3 through every recipe of both formats: each file keeps its gate."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import dermedge
from edge.recipes import RECIPES

FILES = {"tflite": "tflite", "coreml": "mlpackage"}


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = nn.Conv2d(3, 32, 3, 2, 1), nn.Conv2d(32, 64, 3, padding=1), nn.Linear(64, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(F.relu(self.a(x)), scale_factor=1.3, mode="bilinear")
        return self.c(F.relu(self.b(x)).mean((2, 3)))


@pytest.mark.slow(reason="thirteen files are written and judged")
@pytest.mark.filterwarnings("ignore:Function _TORCH_OPS_REGISTRY:DeprecationWarning")
@pytest.mark.parametrize("form", FILES)
def test_every_recipe_keeps_its_gate(form, tmp_path, monkeypatch):
    monkeypatch.delenv("DERMEDGE_PHOTOS", raising=False)
    checkpoint = dermedge.wrap(Net(), labels=list("abcde"), side=32, mean=(0.5,) * 3, std=(0.5,) * 3, untrained=True)
    build = dermedge.convert(checkpoint, formats=[form], out=tmp_path / "build")
    assert [str(name) for name in build.rejected] == []
    # A resize by 1.3 is computed in float: no file in whole numbers from end to end.
    assert {entry.recipe for entry in build.manifest.files} == set(RECIPES[FILES[form]]) - {"int8-full"}
    assert "fail" not in {entry.parity.verdict for entry in build.manifest.files}
