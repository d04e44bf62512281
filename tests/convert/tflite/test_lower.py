"""From any module to a TFLite file: by our own operators as far as they reach, never silently wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convert._tflite import file as _file
from convert._tflite.file import largest_difference, lower
from edge.errors import InputError
from tests.convert.tflite.test_emit import answer

SIDE = 8
EXAMPLE = torch.zeros(1, SIDE, SIDE, 3)


class Part(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Net(nn.Module):
    """A classifier around one operation."""

    def __init__(self, function) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.mixer = nn.Conv2d(3, 8, 3, padding=1), nn.Sequential(nn.Identity(), Part(function))

    def forward(self, image: Tensor) -> Tensor:
        x = self.mixer(self.stem(image.permute(0, 3, 1, 2) / 255))
        return torch.softmax(10 * x.flatten(2).mean(2)[:, :4], -1)


@torch.library.custom_op("dermedge_lower::halved", mutates_args=())
def halved(x: Tensor) -> Tensor:
    return x / 2


@halved.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.einsum("bchw,bdhw->bcd", x, x),
        lambda x: torch.addcmul(x, x, x, value=0.5).reshape_as(x),
        lambda x: F.normalize(x, dim=1).repeat(1, 2, 1, 1),
        lambda x: F.pad(x, (2, 1, 1, 0), mode="replicate"),
        lambda x: F.pad(x, (2, 1, 1, 0), mode="circular").flip(1),
        lambda x: F.unfold(x, 3, padding=1).reshape(1, 8, 9, -1).amax(2),
        lambda x: F.group_norm(x, 4) + F.instance_norm(x) + F.rms_norm(x, (SIDE,)),
        lambda x: F.mish(x) + F.elu(x) + F.selu(x) + F.softplus(x) + F.logsigmoid(x) + F.glu(x, 1).repeat(1, 2, 1, 1),
        lambda x: F.rrelu(x) + torch.exp2(x) + torch.hypot(x, x + 1) + F.hardshrink(x, 0.3),
        lambda x: torch.logit(x.sigmoid(), 1e-3) + torch.sinc(x.relu()) + torch.lerp(x, x.tanh(), 0.3),
        lambda x: x.abs().log() + x.sin() + x.cos() + x.floor() + x.ceil() + x.sign(),
    ],
    ids=[
        "einsum",
        "addcmul",
        "normalise",
        "replicate",
        "circular",
        "unfold",
        "norms",
        "activations",
        "functions",
        "more functions",
        "elementary",
    ],
)
def test_by_our_own_operators(function):
    module = Net(function).eval()
    lowered = lower(module, EXAMPLE)
    assert lowered.by == "operator by operator"
    picture = 255 * torch.rand(EXAMPLE.shape, generator=torch.Generator().manual_seed(1))
    expected = module(picture).detach().numpy()
    assert np.ptp(expected) > 0.05
    for reference in (False, True):
        np.testing.assert_allclose(answer(lowered.content, picture, reference=reference), expected, atol=2e-5)


def test_what_was_taken_apart_is_counted():
    assert lower(Net(lambda x: torch.einsum("bchw,bdhw->bcd", x, x)).eval(), EXAMPLE).fired["take_apart"] == 1
    assert "take_apart" not in lower(Net(torch.tanh).eval(), EXAMPLE).fired


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: torch.fft.fft2(x).real, ["aten.fft_fft2.default(float32[1, 8, 8, 8])", "litert-torch gives up too"]),
        (halved, ["dermedge_lower.halved.default(float32[1, 8, 8, 8])", "litert-torch gives up too"]),
    ],
    ids=["fft", "custom operation"],
)
def test_a_refusal_names_operation_arguments_and_module(function, words):
    with pytest.raises(InputError) as raised:
        lower(Net(function).eval(), EXAMPLE)
    text = str(raised.value)
    assert [word for word in [*words, "in module mixer.1 (Part), test_lower.py:"] if word not in text] == []
    assert "\n" not in text


def test_what_litert_torch_alone_takes_is_run_before_it_is_believed(monkeypatch):
    module = Net(torch.erf).eval()
    lowered = lower(module, EXAMPLE)
    assert "litert-torch" in lowered.by and "aten.erf" in lowered.by
    monkeypatch.setattr(_file, "largest_difference", lambda *given: 0.02 + largest_difference(*given))
    with pytest.raises(InputError, match=r"aten\.erf.*mixer\.1.*litert-torch writes is wrong by 0\.02"):
        lower(module, EXAMPLE)


def test_a_file_of_litert_torch_that_does_not_open_is_named(monkeypatch):
    def closed(*given):
        raise ValueError("Only unit dilation is supported")

    monkeypatch.setattr(_file, "largest_difference", closed)
    with pytest.raises(InputError, match=r"aten\.erf.*mixer\.1.*LiteRT cannot open \(Only unit dilation"):
        lower(Net(torch.erf).eval(), EXAMPLE)
