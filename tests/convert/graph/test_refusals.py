"""What a network's author reads when the network cannot be traced, or holds what no file can do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convert._graph.graph import aten, trace
from convert._graph.passes import MOBILE_PASSES, PASSES, rewrite
from convert._graph.refusals import described
from edge.errors import InputError
from edge.models.deployed import Deployed

HERE = Path(__file__).name
X = torch.zeros(1, 3, 8, 8)


class Branch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x if x.mean() > 0 else x  # a branch


class WrongSide(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(1, 3, 100)  # a side


class Random(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.randn_like(x)  # a draw


class Open(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.nonzero(x).float().sum()  # an open shape


class Spectrum(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.rfft(x, dim=2).abs()  # a spectrum


class Net(nn.Module):
    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.stem, self.mixer = nn.Conv2d(3, 3, 1), nn.Sequential(nn.ReLU(inplace=True), part)

    def forward(self, x: Tensor) -> Tensor:
        return self.mixer(self.stem(x)).mean((2, 3))


def line(words: str) -> str:
    lines = Path(__file__).read_text().splitlines()
    (number,) = (n for n, text in enumerate(lines, 1) if text.endswith(f"  # {words}"))
    return f"{HERE}:{number}"


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (Branch, ["data-dependent", line("a branch"), "`return 2 * x if x.mean() > 0 else x", "in Branch"]),
        (WrongSide, ["1 x 3 x 8 x 8", "RuntimeError: shape '[1, 3, 100]' is invalid", line("a side"), "in WrongSide"]),
        (Random, ["aten.randn_like.default(float32[1, 3, 8, 8]", "mixer.1 (Random)", line("a draw"), "random numbers"]),
        (Open, ["aten.nonzero.default(float32[1, 3, 8, 8])", "mixer.1 (Open)", line("an open shape"), "depends on"]),
    ],
)
def test_tracing_says_where_it_ends(part, words):
    with pytest.raises(InputError) as raised:
        trace(Net(part()), X)
    text = str(raised.value)
    assert "\n" not in text and [word for word in words if word not in text] == []


def test_dropout_and_attention_draw_nothing_in_a_finished_network():
    class Quiet(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = F.scaled_dot_product_attention(x, x, x, dropout_p=0.5 if self.training else 0.0)
            return F.rrelu(F.dropout(x, training=self.training), training=self.training)

    trace(Net(Quiet()), X)


def test_an_operation_is_named_with_arguments_module_and_line():
    graph = trace(Net(Spectrum()), X)
    (node,) = graph.graph.find_nodes(op="call_function", target=aten.fft_rfft.default)
    wanted = f"aten.fft_rfft.default(float32[1, 3, 8, 8], None, 2) in module mixer.1 (Spectrum), {line('a spectrum')}"
    assert described(node) == wanted


def test_wrappers_of_ours_are_no_part_of_the_path():
    options = {"mean": (0.5,) * 3, "std": (0.2,) * 3, "temperature": 1.0}
    graph = trace(Deployed(Net(Spectrum()), layout="NCHW", **options), X)
    (node,) = graph.graph.find_nodes(op="call_function", target=aten.fft_rfft.default)
    assert " in module mixer.1 (Spectrum), " in described(node)
    (softmax,) = graph.graph.find_nodes(op="call_function", target=aten.softmax.int)
    assert " in " not in described(softmax)


def test_what_rewrites_make_comes_from_where_the_old_came_from():
    """The norm's parts belong to the norm's module, the folded batch norm to its convolution."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(144, 2))
    graph, _ = rewrite(trace(net, X), PASSES + MOBILE_PASSES)
    paths = {}
    for node in graph.graph.nodes:
        if node.op == "call_function":
            stack = list(node.meta.get("nn_module_stack", {"": ("nowhere", "")}).values())
            paths.setdefault(stack[-1][0], set()).add(getattr(node.target, "__name__", str(node.target)))
    assert "conv2d" in paths["0"] and {"rsqrt.default", "mean.dim"} <= paths["2"] and "linear.default" in paths["4"]
    assert "nowhere" not in paths
