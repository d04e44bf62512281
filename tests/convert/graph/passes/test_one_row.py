"""Convolutions and pools of one dimension: the same on a map of one row, and in files."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convert._graph.passes import fold_batchnorm, one_row, pooling_matrices
from convert._judge import broken_rules
from convert._tflite.audit import audit
from tests.convert._rewriting import Of, count, rewritten, settled
from tests.convert.tflite.test_emit import Picture, answer, file_of


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 4, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


ONES = {
    "plain": (nn.Conv1d(4, 6, 3), "conv2d"),
    "stride, padding, dilation": (nn.Conv1d(4, 6, 3, stride=2, padding=3, dilation=2, bias=False), "conv2d"),
    "groups": (nn.Conv1d(4, 6, 3, padding=1, groups=2), "conv2d"),
    "same": (nn.Conv1d(4, 6, 3, padding="same", dilation=2), "conv2d"),
    "valid": (nn.Conv1d(4, 6, 3, 2, padding="valid"), "conv2d"),
    "transposed": (nn.ConvTranspose1d(4, 6, 3, 2, 1, 1, groups=2, dilation=2), "conv_transpose2d"),
    "average": (nn.AvgPool1d(3), "avg_pool2d"),
    "average, padded": (nn.AvgPool1d(3, 2, 1, ceil_mode=True, count_include_pad=False), "avg_pool2d"),
    "maximum": (nn.MaxPool1d(3, 2, 1, dilation=2), "max_pool2d"),
}


@pytest.mark.parametrize(("net", "kind"), ONES.values(), ids=list(ONES))
def test_of_one_dimension_is_of_a_map_with_one_row(x, net, kind):
    graph = rewritten(one_row, nn.Sequential(net, nn.ReLU()), x, fires=1)
    assert count(graph, kind) == 1 and count(graph, "1d") == 0


@pytest.mark.parametrize(
    "net",
    [
        nn.Conv2d(4, 6, 1),
        Of(lambda m, x: F.conv1d(x[:, :, 0], m.c.weight * x.mean()), c=nn.Conv1d(4, 6, 3)),
        Of(lambda m, x: m.c(x[0, :, 0])[None], c=nn.Conv1d(4, 6, 3)),
    ],
    ids=["a map", "computed kernel", "no batch"],
)
def test_others_are_left_alone(x, net):
    rewritten(one_row, net, x[:, :, None], fires=0)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_adaptive_pools(x, size):
    graph = rewritten(pooling_matrices, nn.AdaptiveAvgPool1d(size), x, fires=1)
    assert count(graph, "adaptive") == 0


@pytest.mark.parametrize("bias", [True, False])
def test_batch_norm_is_folded(x, bias):
    net = nn.Sequential(nn.Conv1d(4, 6, 3, groups=2, bias=bias), nn.BatchNorm1d(6))
    net[1].running_mean.normal_()
    net[1].running_var.uniform_(0.3, 3.0)
    assert count(rewritten(fold_batchnorm, net, x, fires=1), "batch_norm") == 0


def channel_attention(m: nn.Module, x: Tensor) -> Tensor:
    """Efficient channel attention (Wang et al., arXiv:1910.03151): a small convolution over the channels' means."""
    y = m.c(x)
    means = F.adaptive_avg_pool2d(y, 1).squeeze(-1).transpose(1, 2)
    return y * torch.sigmoid(m.a(means).transpose(1, 2).unsqueeze(-1))


def tokens(m: nn.Module, x: Tensor) -> Tensor:
    """A convolution along the tokens of a map, pools of them, and a transposed one."""
    y = F.relu(m.n(m.a(m.c(x).flatten(2))))
    return torch.cat([m.g(F.max_pool1d(y, 2)), y, F.avg_pool1d(y, 3, 1, 1), F.adaptive_avg_pool1d(y, 1)], -1)


FILES = {
    "channel attention": (
        channel_attention,
        {"c": nn.Conv2d(4, 6, 1), "a": nn.Conv1d(1, 1, 3, padding=1, bias=False)},
    ),
    "tokens": (
        tokens,
        {"c": nn.Conv2d(4, 6, 1), "a": nn.Conv1d(6, 6, 3, padding="same"), "n": nn.BatchNorm1d(6),
         "g": nn.ConvTranspose1d(6, 6, 4, 2, 1)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_files_compute_what_torch_does(name, tmp_path):
    function, layers = FILES[name]
    net = settled(Picture(function, **layers)).float()
    x = torch.randn(1, 8, 6, 4)
    content = file_of(net, x)
    expected = net(x).detach().numpy()
    for reference in (False, True):
        np.testing.assert_allclose(answer(content, x, reference=reference), expected, atol=2e-5, rtol=2e-5)
    (tmp_path / "x.tflite").write_bytes(content)
    found = audit(tmp_path / "x.tflite")
    assert not broken_rules(found, "fp32") and found.operators.get("TRANSPOSE", 0) <= 1
    assert found.xnnpack_partitions == 1
