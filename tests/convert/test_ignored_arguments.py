"""Arguments that a converter reads and ignores: both formats, against torch in float64."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.convert._rewriting import Of
from tests.convert.coreml import _packages
from tests.convert.tflite import test_emit

pytestmark = pytest.mark.filterwarnings("ignore:Function _TORCH_OPS_REGISTRY:DeprecationWarning")
X = torch.randint(-4, 5, (1, 4, 6, 6), generator=torch.Generator().manual_seed(0)).float()


def norm(kind: type[nn.Module], **options) -> nn.Module:
    torch.manual_seed(1)
    made = kind(4, track_running_stats=True, **options)
    made.running_mean.normal_()
    made.running_var.uniform_(0.3, 3.0)
    return made


LAYERS = {
    "plain": norm(nn.InstanceNorm2d),
    "affine": norm(nn.InstanceNorm2d, affine=True, eps=0.1),
    "row": norm(nn.InstanceNorm1d, affine=True),
    "convolution": nn.Conv2d(4, 4, 1),
}
NETS = {
    "instance norm": lambda m, x: torch.cat([m.plain(x), m.affine(x), m.affine(m.convolution(x))], 1),
    "instance norm of a row": lambda m, x: m.row(x[:, :, 0]),
    "softplus": lambda m, x: torch.cat(
        [F.softplus(x / 3, beta=b, threshold=t) for b, t in ((1, 20), (1, 0.5), (2.5, 1), (-1.5, 0.2), (0.5, -1))], 1
    ),
    "softplus of much": lambda m, x: torch.cat([F.softplus(50 * x), F.softplus(9 * x, 0.3), F.mish(9 * x)], 1) / 100,
    "attention": lambda m, x: torch.cat(
        [
            F.scaled_dot_product_attention(100 * x, 100 * x, x, is_causal=True),
            F.scaled_dot_product_attention(100 * x, 100 * x, x, attn_mask=torch.ones(6, 6).triu(-2) > 0),
        ],
        1,
    ),
}


def wanted(net: nn.Module) -> np.ndarray:
    return copy.deepcopy(net).double()(X.double()).detach().numpy()


@pytest.mark.parametrize("name", NETS)
def test_tflite(name):
    net = Of(NETS[name], **LAYERS).eval()
    content = test_emit.file_of(test_emit.Picture(lambda m, x: m.net(x), net=net).eval(), last(X))
    for reference in (False, True):
        found = test_emit.answer(content, last(X), reference=reference)
        np.testing.assert_allclose(found, wanted(net), atol=3e-6)


def test_core_ml():
    """All of them as one package, with no operation that is right for some arguments only."""
    net = Of(lambda m, x: torch.cat([function(m, x).flatten(1) for function in NETS.values()], 1), **LAYERS).eval()
    model = _packages.model_of(net, X)
    np.testing.assert_allclose(_packages.answer(model, X), wanted(net), atol=3e-6)
    kinds = {op.op_type for op in _packages.operations_of(model)}
    assert not {"instance_norm", "softplus", "softplus_parametric"} & kinds


def last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).contiguous()
