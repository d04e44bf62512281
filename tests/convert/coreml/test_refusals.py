"""What coremltools does not take is refused in words for the network's author."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from convert._coreml.program import exported, float_program, rewritten
from edge.checkpoint import Checkpoint, Preprocess
from edge.errors import InputError
from edge.labels import Label

pytestmark = pytest.mark.filterwarnings("ignore:Function _TORCH_OPS_REGISTRY:DeprecationWarning")
SIDE = 8


class Part(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Net(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.stem, self.mixer = nn.Conv2d(3, 8, 3, padding=1), nn.Sequential(nn.ReLU(), Part(function))

    def forward(self, x: Tensor) -> Tensor:
        return self.mixer(self.stem(x)).mean((2, 3))[:, :4]


def checkpoint_of(function) -> Checkpoint:
    labels = tuple(Label(code, code, malignant=None) for code in "abcd")
    return Checkpoint("net", labels, Preprocess("exact/1", SIDE), state={}, live=Net(function))


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: torch.fft.fft2(x).real, ["aten.fft_fft2.default(float32[1, 8, 8, 8])", "NotImplementedError"]),
        (lambda x: torch.linalg.inv(x), ["aten.linalg_inv.default(float32[1, 8, 8, 8])"]),
        (
            lambda x: x.reshape(1, 2, 2, 2, 2, 4, 8).unbind(1)[0].sum((1, 2)),
            ["aten.view.default(float32[1, 8, 8, 8], [1, 2, 2, 2, 2, 4, 8])", "rank <= 5"],
        ),
    ],
    ids=["fft", "inverse", "rank 7"],
)
def test_a_refusal_names_operation_arguments_and_module(function, words):
    checkpoint = checkpoint_of(function)
    program = exported(checkpoint, rewritten(checkpoint))
    with pytest.raises(InputError) as raised:
        float_program(checkpoint, program, "fp32")
    text = str(raised.value)
    assert [word for word in [*words, "in module mixer.1 (Part), test_refusals.py:"] if word not in text] == []
    assert "coremltools does not take it" in text and "\n" not in text
