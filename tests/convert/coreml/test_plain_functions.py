"""Usual layers that coremltools has no operation for, as packages, against torch in float64."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convert._coreml.program import lowered
from edge.runtimes.coreml.classifier import CoreML
from tests.convert.coreml.test_refusals import SIDE, checkpoint_of

pytestmark = pytest.mark.filterwarnings("ignore:Function _TORCH_OPS_REGISTRY:DeprecationWarning")


def gram_of_tokens(x):
    tokens = x.flatten(2).transpose(1, 2)
    return (tokens @ tokens.transpose(1, 2)).unflatten(2, (8, 8))


SPELLED = {
    "celu": nn.CELU(0.6),
    "log-sigmoid": nn.LogSigmoid(),
    "channel shuffle": nn.ChannelShuffle(2),
    "hard shrink": nn.Hardshrink(0.3),
    "addcmul": lambda x: torch.addcmul(x, x, x + 1, value=0.5),
    "var_mean": lambda x: sum(torch.var_mean(x, (2, 3), keepdim=True)) * x,
    "logit": lambda x: torch.logit(torch.sigmoid(x), 1e-3),
    "sinc": torch.sinc,
    "hypot": lambda x: torch.hypot(x, x + 1),
    "lerp": lambda x: torch.lerp(x, x + 1, 0.3),
}
INEXACT = {  # coremltools has a reader for each, which writes something else
    "atan2": lambda x: torch.atan2((x - 0.2).relu() - (-x).relu(), x.flip(2) - x.flip(2).relu() * (x.flip(2) < 0.5)),
    "quotients of whole numbers": lambda x: (9 * x).round() + torch.fmod((9 * x).round() * 47, 47),
    "diagonal": lambda x: x.diagonal(1, 1, 3).mean() * x + x[0, 0].diagonal().amax() * x.tanh(),
    "log1p and expm1": lambda x: (1e-6 * x).log1p() * 1e6 + (-1e-6 * x).expm1() * 5e5,
    "log1p of more than float32 holds": lambda x: x * torch.tanh(torch.log1p(torch.exp(150 * x))),
    "logcumsumexp": lambda x: (300 * x).logcumsumexp(2) * 0.01,
}
APART = {
    "heaviside": lambda x: torch.heaviside(x - 0.2, x),
    "threshold": lambda x: F.threshold(x, 0.2, 1.0),
    "reshape_as": lambda x: x.transpose(2, 3).reshape_as(x) * x,
}
GIVEN_UP = {  # coremltools has a reader for each, which fails
    "cosine similarity": lambda x: F.cosine_similarity(x, x.flip(1) + 0.3, dim=2)[:, :, None] * x,
    "quotients": lambda x: torch.div(5 * x, 2, rounding_mode="floor") + torch.fmod(5 * x, 0.7) + (9 * x).trunc(),
    "choices": lambda x: torch.where((x > 0) & (x < 0.5), 0, x) + torch.nan_to_num((x - 0.2).log(), 0.3, 2.0, -2.0),
}
KNOWN = {
    "reciprocal": lambda x: 1e-3 / (x + 1e-3),
    "product with its own transpose": gram_of_tokens,
    "rrelu": nn.RReLU(),
    "exp2": torch.exp2,
    "elu": nn.ELU(),
}


@pytest.mark.parametrize("name", SPELLED | INEXACT | APART | GIVEN_UP | KNOWN)
def test_a_package_computes_what_torch_does(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    checkpoint = checkpoint_of((SPELLED | INEXACT | APART | GIVEN_UP | KNOWN)[name])
    model = checkpoint.deployed(layout="NCHW").eval()
    lowered(checkpoint)[2].save(str(tmp_path / "x.mlpackage"))
    images = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    pictures = torch.from_numpy(images).permute(0, 3, 1, 2).double()
    with torch.no_grad():
        wanted = torch.cat([copy.deepcopy(model).double()(picture[None]) for picture in pictures]).numpy()
    assert np.ptp(wanted) > 0.005
    runtime = CoreML(tmp_path / "x.mlpackage", mode="interpreter")
    np.testing.assert_allclose(runtime.run(images).probabilities, wanted, atol=2e-5)
