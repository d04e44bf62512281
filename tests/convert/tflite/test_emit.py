"""Files written operator by operator: what LiteRT computes from them is what torch computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convert._graph.graph import trace
from convert._graph.passes import MOBILE_PASSES, PASSES, rewrite
from convert._tflite.emit import emit, unknown_operations
from edge.tflite.flatbuffer import unpack
from tests.convert._rewriting import Of


class Picture(Of):
    """Takes a picture channels last, as files do, and hands it on channels first, as networks want it."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image.permute(0, 3, 1, 2))


def file_of(module: nn.Module, example: Tensor) -> bytes:
    graph, _ = rewrite(trace(module, example), PASSES + MOBILE_PASSES)
    assert unknown_operations(graph) == []
    return emit(graph, inputs=["image"], outputs=["probabilities"])


def answer(content: bytes, x: Tensor, *, reference: bool) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kind = OpResolverType.BUILTIN_REF if reference else OpResolverType.AUTO
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=kind, num_threads=1)
    run = interpreter.get_signature_runner("serving_default")
    return run(image=x.numpy())["probabilities"]


def operators(content: bytes) -> list[str]:
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    model = unpack(content)
    return [names[model.operatorCodes[o.opcodeIndex].builtinCode] for o in model.subgraphs[0].operators]


def conv(*args, **options) -> dict[str, nn.Module]:
    return {"c": nn.Conv2d(*args, **options)}


def one(m: nn.Module, x: Tensor) -> Tensor:
    return m.c(x)


def slopes(count: int) -> nn.PReLU:
    made = nn.PReLU(count)
    nn.init.normal_(made.weight)
    return made


def tokens_of(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)


def in_place(m: nn.Module, x: Tensor) -> Tensor:
    """A view shows what is done to its base, a copy does not."""
    y = m.n(m.c(x))
    view, copy = y.flatten(2), y.clone()
    y.relu_()
    return view.reshape(y.shape) - 0.3 * copy


def attention(m: nn.Module, x: Tensor) -> Tensor:
    y = x.reshape(1, 2, 2, 48).transpose(2, 3)
    mask = torch.ones(48, 48).triu(-3) > 0
    plain = F.scaled_dot_product_attention(y, y, y.tanh(), scale=0.3)
    return plain + F.scaled_dot_product_attention(y, y, y, attn_mask=mask) + causal(y)


def causal(y: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(y, y, y, is_causal=True)


def five(x: Tensor) -> Tensor:
    y = x.reshape(1, 2, 2, 8, 6)
    return (y + y.mean(1, keepdim=True) * torch.linspace(0, 1, 6)).reshape(1, 4, 8, 6)


CASES = {
    "same": (one, conv(4, 5, 3, padding=1)),
    "valid": (one, conv(4, 5, 3)),
    "stride 2, padded": (one, conv(4, 5, 3, stride=2, padding=1)),
    "stride 2, valid": (one, conv(4, 5, 2, stride=2)),
    "stride 2, kernel 5": (one, conv(4, 5, 5, stride=2, padding=2)),
    "uneven padding": (one, conv(4, 5, (3, 5), padding=(1, 0))),
    "much padding": (one, conv(4, 5, 3, padding=3)),
    "dilated": (one, conv(4, 5, 3, padding=2, dilation=2)),
    "without bias": (one, conv(4, 5, 1, bias=False)),
    "depthwise": (one, conv(4, 4, 3, padding=1, groups=4)),
    "depthwise, stride 2": (one, conv(4, 4, 3, stride=2, padding=1, groups=4)),
    "depthwise, two outputs each": (one, conv(4, 8, 3, padding=1, groups=4)),
    "relu": (lambda m, x: F.relu(m.c(x)), conv(4, 5, 1)),
    "relu read twice": (lambda m, x: F.relu(y := m.c(x)) + y, conv(4, 5, 1)),
    "relu6": (lambda m, x: F.relu6(20 * m.c(x)), conv(4, 5, 1)),
    "hardtanh 0..6": (lambda m, x: F.hardtanh(9 * x, 0.0, 6.0), {}),
    "hardswish": (lambda m, x: F.hardswish(4 * x), {}),
    "silu": (lambda m, x: F.silu(x), {}),
    "gelu": (lambda m, x: F.gelu(x), {}),
    "gelu, tanh": (lambda m, x: F.gelu(x, approximate="tanh"), {}),
    "elementary": (lambda m, x: (x.abs() + 1).sqrt() - torch.exp(-x) / (1 + x * x) + torch.tanh(x), {}),
    "reciprocal root": (lambda m, x: (x.abs() + 1).rsqrt() - x, {}),
    "maximum, minimum": (lambda m, x: torch.maximum(x, 0.5 * x) + torch.minimum(x, x * x), {}),
    "powers": (lambda m, x: x**2 + (x.abs() + 1) ** 1.5, {}),
    "average pool": (lambda m, x: F.avg_pool2d(x, 2), {}),
    "maximum pool, padded": (lambda m, x: F.max_pool2d(x, 3, 2, 1), {}),
    "maximum pool, padded, of what is not negative": (
        lambda m, x: F.max_pool2d(F.relu(m.c(x)), 3, 2, 1),
        conv(4, 4, 1),
    ),
    "maximum pools that are SAME": (lambda m, x: F.max_pool2d(F.max_pool2d(x, 3, 1, 1), 3, 2, ceil_mode=True), {}),
    "adaptive pools": (lambda m, x: torch.cat([F.adaptive_avg_pool2d(x, s).flatten(2) for s in (1, 3, 5)], 2), {}),
    "bilinear": (lambda m, x: F.interpolate(x, size=(12, 10), mode="bilinear"), {}),
    "bilinear, corners": (lambda m, x: F.interpolate(x, size=(12, 10), mode="bilinear", align_corners=True), {}),
    "nearest": (lambda m, x: F.interpolate(x, size=(16, 12)), {}),
    "pieces": (lambda m, x: torch.cat([*x.chunk(2, 1), x[:, 1:3], x.split([1, 3], 1)[1]], 1), {}),
    "mean and linear": (lambda m, x: torch.softmax(m.l(x.mean((2, 3))), -1), {"l": nn.Linear(4, 3)}),
    "tokens": (lambda m, x: m.l(m.n(x.flatten(2).transpose(1, 2))), {"l": nn.Linear(4, 3), "n": nn.LayerNorm(4)}),
    "products": (lambda m, x: (y := x.flatten(2)) @ y.transpose(1, 2) + y @ y.transpose(1, 2).tanh(), {}),
    "groups": (one, conv(4, 6, 3, padding=1, groups=2)),
    "groups, stride 2, dilated": (one, conv(4, 8, 3, stride=2, padding=2, dilation=2, groups=2)),
    "padding by name": (
        lambda m, x: m.v(m.c(x)),
        conv(4, 5, 3, padding="same") | {"v": nn.Conv2d(5, 3, 3, padding="valid")},
    ),
    "gelu, tanh, after a convolution": (lambda m, x: F.gelu(m.c(x), approximate="tanh"), conv(4, 5, 1)),
    "clips": (lambda m, x: F.hardtanh(x, -0.5, 0.7) + F.hardtanh(x) * x.clamp(min=0) - x.clamp(max=0.3), {}),
    "clips after convolutions": (
        lambda m, x: F.hardtanh(m.c(x)) + m.c(x).clamp(0, 6) + m.c(x).clamp(min=0),
        conv(4, 5, 1),
    ),
    "hardsigmoid": (lambda m, x: F.hardsigmoid(4 * x), {}),
    "leaky relu": (lambda m, x: F.leaky_relu(x) + F.leaky_relu(m.c(x), 0.3), conv(4, 4, 1)),
    "prelu": (lambda m, x: m.p(m.c(x)) + m.q(x), conv(4, 4, 1) | {"p": slopes(4), "q": slopes(1)}),
    "prelu on features": (lambda m, x: m.p(x.mean((2, 3))), {"p": slopes(4)}),
    "number first": (lambda m, x: 1 - m.c(x) + 1 / (x.square() + 1), conv(4, 4, 1)),
    "maxima": (
        lambda m, x: m.c(x).amax(1, keepdim=True) + x.max(2)[0].unsqueeze(2) - x.amin((2, 3), True),
        conv(4, 4, 1),
    ),
    "sums": (lambda m, x: m.c(x).sum((2, 3), keepdim=True) + x.sum(1).mean(), conv(4, 4, 1)),
    "adaptive maximum pools": (lambda m, x: F.adaptive_max_pool2d(x, (4, 2)) + F.adaptive_max_pool2d(x, 1), {}),
    "average pool, padded": (lambda m, x: F.avg_pool2d(m.c(x), 3, 2, 1), conv(4, 4, 1)),
    "batch norm first": (lambda m, x: m.c(F.relu(m.n(x))), conv(4, 5, 3, padding=1) | {"n": nn.BatchNorm2d(4)}),
    "softmax over channels": (lambda m, x: torch.softmax(m.c(x), 1), conv(4, 4, 1)),
    "roll": (lambda m, x: torch.roll(m.c(x), (2, -1), (2, 3)) + x.roll(0, 1) + x.roll(1, 1), conv(4, 4, 1)),
    "steps": (lambda m, x: torch.cat([m.c(x)[:, :, ::2, 1::3], x[:, :, -7::2, -2:]], 1), conv(4, 4, 1)),
    "places": (lambda m, x: x[:, 1] + x[:, :, 2, None].mean(1) + x.unbind(1)[-1] + x[:, [3, 0, -2]].sum(1), {}),
    "stack": (lambda m, x: torch.stack([x[:, 0], x[:, 2].tanh()], -1), {}),
    "expand": (lambda m, x: torch.cat([x.mean(1, keepdim=True).expand(-1, 2, -1, -1), x], 1), {}),
    "pads": (lambda m, x: F.pad(m.c(x), (1, 2, 0, 3)) + F.pad(x, (3, 0, 1, 2), value=0.5), conv(4, 4, 1)),
    "pads of channels, reflected": (lambda m, x: F.pad(F.pad(x, (0, 0, 0, 0, 1, 2)), (2, 1, 1, 3), mode="reflect"), {}),
    "bilinear by factor": (lambda m, x: F.interpolate(x, scale_factor=2.0, mode="bilinear"), {}),
    "in place": (in_place, conv(4, 4, 1) | {"n": nn.BatchNorm2d(4)}),
    "attention": (attention, {}),
    "attention module": (
        lambda m, x: m.a(*[tokens_of(x)] * 3)[0],
        {"a": nn.MultiheadAttention(4, 2, batch_first=True)},
    ),
    "rank five": (lambda m, x: five(x), {}),
    "channel shuffle": (lambda m, x: x.reshape(1, 2, 2, 8, 6).transpose(1, 2).reshape(1, 4, 8, 6) + 1, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_computes_what_torch_does(name):
    function, layers = CASES[name]
    torch.manual_seed(0)
    module = Picture(function, **layers).eval()
    x = torch.randn(1, 8, 6, 4)
    content = file_of(module, x)
    expected = module(x).detach().numpy()
    for reference in (False, True):
        got = answer(content, x, reference=reference)
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, atol=2e-5, rtol=2e-5)


def test_what_costs_nothing_is_not_there():
    """Padding by SAME, an activation inside its convolution, no transpose around either."""
    layers = {"a": nn.Conv2d(4, 5, 3, padding=1), "b": nn.Conv2d(5, 6, 1)}
    net = Picture(lambda m, x: F.relu(m.b(F.relu6(m.a(x)))).mean((2, 3), keepdim=True).flatten(1), **layers)
    assert operators(file_of(net, torch.zeros(1, 8, 6, 4))) == ["CONV_2D", "CONV_2D", "MEAN", "RESHAPE"]


def test_equal_constants_are_stored_once():
    shared = nn.Conv2d(4, 4, 3, padding=1, bias=False)
    net = Picture(lambda m, x: m.c(m.c(m.c(x))), c=shared)
    model = unpack(file_of(net, torch.zeros(1, 8, 6, 4)))
    kernels = [t for t in model.subgraphs[0].tensors if list(t.shape) == [4, 3, 3, 4]]
    assert len(kernels) == 1
    assert len({t.name for t in model.subgraphs[0].tensors}) == len(model.subgraphs[0].tensors)


@pytest.mark.parametrize(
    ("function", "layers", "words"),
    [
        (lambda m, x: torch.cumsum(x, 1), {}, "cumsum"),
        (lambda m, x: torch.softmax(x, 1, dtype=torch.float64), {}, "another axis"),
        (lambda m, x: F.conv2d(x, m.c(x)[:, :, :3, :3].mean(0, keepdim=True)), conv(4, 4, 3, padding=1), "computed"),
    ],
    ids=["unknown", "softmax in another type", "kernel"],
)
def test_what_it_cannot_do_is_named(function, layers, words):
    graph, _ = rewrite(trace(Picture(function, **layers), torch.zeros(1, 8, 6, 4)), PASSES + MOBILE_PASSES)
    with pytest.raises(NotImplementedError, match=words):
        emit(graph, inputs=["image"], outputs=["probabilities"])
