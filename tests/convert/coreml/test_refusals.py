"""What coremltools does not take is refused in words for the network's author."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convert._coreml.program import lowered
from convert._coreml.refusals import converted
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
        (
            lambda x: F.pairwise_distance(x, x + 1)[..., None] * x.cummax(2)[0],
            ["aten.cummax.default(float32[1, 8, 8, 8], 2)"],
        ),
        (lambda x: x.fmod(0.3).nansum(1, keepdim=True) * torch.linalg.det(x)[..., None, None], ["aten.linalg_det"]),
    ],
    ids=["fft", "inverse", "rank 7", "the one without parts", "the one that cannot be given up"],
)
def test_a_refusal_names_operation_arguments_and_module(function, words):
    with pytest.raises(InputError) as raised:
        lowered(checkpoint_of(function))
    text = str(raised.value)
    assert [word for word in [*words, "in module mixer.1 (Part), test_refusals.py:"] if word not in text] == []
    assert "coremltools does not take it" in text and "\n" not in text


def test_a_full_disk_is_not_told_as_an_operation_that_is_refused(monkeypatch):
    """What coremltools 9.0 says where its temporary files find no room."""

    def full(program, **options):
        raise RuntimeError("[MIL FileWriter]: Unknown error occurred while writing data to the file.")

    monkeypatch.setattr("coremltools.convert", full)
    with pytest.raises(InputError, match=r"cannot write its temporary files to .* bytes left"):
        converted(None)
