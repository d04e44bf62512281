"""Pools that files do not have: averages of what lies on the map, maxima with gaps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convert._graph.graph import trace
from convert._graph.passes import average_borders, channels_last, dilated_pools
from tests.convert._rewriting import Of, count, rewritten
from tests.convert.tflite.test_emit import Picture, answer, file_of, operators


@pytest.fixture
def x() -> Tensor:
    """Negative nearly everywhere, so that a border of zeros would be seen."""
    values = torch.randn(2, 4, 9, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return (values - 2) / 2


# arguments, options, what is left in the graph: pads, products
AVERAGES = {
    "zeros not counted": ((3, 2, 1), {"count_include_pad": False}, 1, 1),
    "zeros not counted, nor beyond the border": ((3, 2, 1, True, False), {}, 1, 1),
    "beyond the border": ((3, 3, 1, True), {"count_include_pad": False}, 1, 1),
    "beyond the border, zeros counted": ((4, 3, 1, True), {}, 1, 1),
    "a divisor": ((3, 2), {"divisor_override": 4}, 0, 1),
    "a divisor and zeros": ((3, 1, 1), {"divisor_override": 5}, 1, 1),
    "one axis": (((1, 3), (1, 2), (0, 1)), {"count_include_pad": False}, 1, 1),
    "zeros counted": ((3, 2, 1), {}, 1, 0),
    "zeros counted, same": ((3, 1, 1), {}, 1, 0),
}


@pytest.mark.parametrize(("args", "options", "pads", "products"), AVERAGES.values(), ids=list(AVERAGES))
def test_averages_get_a_border_and_a_factor(x, args, options, pads, products):
    graph = rewritten(average_borders, Of(lambda m, x: F.avg_pool2d(x, *args, **options)), x, fires=1)
    assert (count(graph, "pad"), count(graph, "mul")) == (pads, products)


PLAIN = {
    "plain": ((2,), {}),
    "same": ((3, 1, 1), {"count_include_pad": False}),
    "same, beyond the border": ((2, 2, 0, True), {}),
}


@pytest.mark.parametrize(("args", "options"), PLAIN.values(), ids=list(PLAIN))
def test_averages_that_a_file_has_are_left_alone(x, args, options):
    net = Of(lambda m, x: F.avg_pool2d(x, *args, **options))
    rewritten(average_borders, net, x, fires=0)
    graph = rewritten(channels_last, net, x, fires=1)
    assert count(graph, "aten.avg_pool2d") == 0


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("kernel", "dilation", "padding"),
    [(3, 2, 1), (3, 3, 0), (2, (1, 4), 1), ((4, 3), (3, 2), (2, 1)), (7, (2, 1), 3), (3, (4, 6), 1)],
    ids=str,
)
@pytest.mark.parametrize("ceiling", [False, True])
def test_maxima_with_gaps(x, kernel, dilation, padding, stride, ceiling):
    x = F.pad(x, (4, 3, 2, 1), value=-5.0)
    net = Of(lambda m, x: F.max_pool2d(x, kernel, stride, padding, dilation, ceiling))
    graph = rewritten(dilated_pools, net, x, fires=1)
    rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
    assert count(graph, "max_pool2d", "pad") == 0 and count(graph, "maximum") == rows + columns - 2


def test_other_maxima_are_left_alone(x):
    rewritten(dilated_pools, nn.MaxPool2d(3, 2, 1), x, fires=0)
    wider_than_the_map = nn.MaxPool2d(2, padding=1, dilation=(1, 7))  # sees nothing but the border: minus infinity
    assert dilated_pools(trace(wider_than_the_map, x))[1] == 0


FILES = {
    **{name: (Of(lambda m, x, a=a, o=o: F.avg_pool2d(x, *a, **o))) for name, (a, o, *_) in AVERAGES.items()},
    **{name: (Of(lambda m, x, a=a, o=o: F.avg_pool2d(x, *a, **o))) for name, (a, o) in PLAIN.items()},
    "maxima with gaps": nn.MaxPool2d(3, 1, 1, 2),
    "maxima with gaps and steps": nn.MaxPool2d(3, 2, 1, (3, 1)),
}


@pytest.mark.parametrize("name", FILES)
def test_files_compute_what_torch_does(name):
    net = Picture(lambda m, x: m.p(m.c(x)) - 1, c=nn.Conv2d(4, 4, 1), p=FILES[name]).eval()
    x = torch.randn(1, 9, 6, 4, generator=torch.Generator().manual_seed(1)) - 2
    content = file_of(net, x)
    expected = net(x).detach().numpy()
    for reference in (False, True):
        np.testing.assert_allclose(answer(content, x, reference=reference), expected, atol=2e-5, rtol=2e-5)
    assert "TRANSPOSE" not in operators(content)[1:-1]


@pytest.mark.parametrize("name", PLAIN)
def test_what_a_file_has_is_one_operator(name):
    content = file_of(Picture(lambda m, x: m.p(m.c(x)), c=nn.Conv2d(4, 4, 1), p=FILES[name]), torch.zeros(1, 9, 6, 4))
    assert [one for one in operators(content) if one != "TRANSPOSE"] == ["CONV_2D", "AVERAGE_POOL_2D"]
