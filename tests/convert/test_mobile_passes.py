"""The rewrites for mobile runtimes: each fires where it should, not where it must not, and changes no answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from convert._graph import trace
from convert._passes import (
    MOBILE_PASSES,
    PASSES,
    _fold_scales,
    _fold_shifts,
    _plain_layer_norm,
    _pool_borders,
    _rearrange,
    _strided_slices,
    _zero_mean_streams,
    channels_last,
    drop_identities,
    fold_constants,
    fold_scales,
    fold_shifts,
    plain_layer_norm,
    pool_borders,
    rearrange,
    rewrite,
    share_results,
    spell_out,
    split_after,
    split_before,
    strided_slices,
    sum_factors,
    transposed_products,
    zero_mean_streams,
)
from edge.models import create_model
from tests.convert._rewriting import Of, count, rewritten

D = 8  # channels


def norm(size: int = D, **options) -> nn.LayerNorm:
    made = nn.LayerNorm(size, **options)
    if made.elementwise_affine:
        nn.init.normal_(made.weight)
        if made.bias is not None:
            nn.init.normal_(made.bias)
    return made


@pytest.fixture
def tokens() -> Tensor:
    return torch.randn(2, 6, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def picture() -> Tensor:
    return torch.randn(2, 4, 8, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def ranks(graph: fx.GraphModule) -> int:
    values = [node.meta["val"] for node in graph.graph.nodes if node.op == "call_function"]
    return max(value.ndim for value in values if isinstance(value, Tensor))


# Identities


def test_identities_go(tokens):
    def forward(m, x):
        return F.pad((m.drop(x).contiguous().clone() + 0) / 1.0 * m.a(x), (0, 0, 0, 0))

    graph = rewritten(drop_identities, Of(forward, drop=nn.Dropout(0.5), a=nn.Linear(D, D)), tokens, fires=5)
    assert count(graph, "pad", "dropout", "clone", "contiguous", "div") == 0


def test_a_cast_to_the_same_type_goes_with_its_check(tokens):
    """The tracer puts a check of the type before a cast, which no runtime has an operator for."""
    graph = rewritten(drop_identities, Of(lambda m, x: (x + 1).to(x.dtype) * x.sum().to(x.dtype)), tokens, fires=4)
    assert count(graph, "_assert", "aten.to.") == 0


def test_tables_made_in_the_forward_pass_become_constants(tokens):
    """What tracing asserts of their types goes too: it keeps them, and no file has an operator for it."""

    def forward(m, x):
        table = torch.from_numpy(np.eye(D, dtype=np.float32)).to(x)
        return x @ (table * 2)

    graph = rewritten(drop_identities, Of(forward), tokens, fires=2)
    assert count(graph, "lift", "assert") == 0
    folded, _ = fold_constants(graph)
    assert [str(node.target) for node in folded.graph.nodes if node.op == "call_function"] == ["aten.matmul.default"]


def test_what_does_something_stays(tokens):
    rewritten(drop_identities, Of(lambda m, x: torch.zeros(3, 2, 6, D, dtype=x.dtype) + (x + 1) * 2), tokens, fires=0)


def test_a_dropout_in_place_goes(tokens):
    graph = rewritten(drop_identities, Of(lambda m, x: F.dropout(x * 2, training=False, inplace=True)), tokens, fires=1)
    assert count(graph, "dropout") == 0


def test_a_view_that_needed_its_copy_still_runs(tokens):
    """Without the copy the view's memory is in another order, which a view refuses and a reshape does not."""
    graph = rewritten(drop_identities, Of(lambda m, x: x.transpose(1, 2).contiguous().view(2, -1)), tokens, fires=1)
    assert count(graph, "contiguous") == 0


# Constants, and operations with a name of their own


def test_what_depends_on_constants_alone_is_computed(tokens):
    """Five operations on a table, and a mask made of numbers."""

    def forward(m, x):
        bias = m.table[m.index].reshape(6, 6).t().unsqueeze(0)
        return x @ x.transpose(1, 2) + bias + torch.ones(6, 6, dtype=x.dtype).tril()

    net = Of(forward)
    net.register_buffer("table", torch.randn(11, dtype=torch.float64))
    net.register_buffer("index", torch.arange(36) % 11)
    graph = rewritten(fold_constants, net, tokens, fires=6)
    assert count(graph, "aten.") == 4  # the product with its transpose, two sums


def test_random_numbers_are_not_constants(tokens):
    _, fired = fold_constants(trace(Of(lambda m, x: x + torch.rand(6, D, dtype=x.dtype)), tokens))
    assert fired == 0


@pytest.mark.parametrize(
    ("forward", "gone"),
    [
        (lambda m, x: F.scaled_dot_product_attention(x, x, x.tanh(), scale=0.3), "dot_product"),
        (lambda m, x: F.scaled_dot_product_attention(x, x.sin(), x, is_causal=True), "dot_product"),
        (lambda m, x: F.scaled_dot_product_attention(x, x, x, attn_mask=m.mask), "dot_product"),
        (lambda m, x: m.n(torch.relu(x)), "batch_norm"),
        (lambda m, x: torch.softmax(x, 1), None),
        (lambda m, x: torch.roll(x, (2, -1, 8), (2, 1, 3)), "roll"),
        (lambda m, x: torch.stack(list(x.tanh()), 1), "stack"),
        (lambda m, x: x.max(2, keepdim=True)[0], "max.dim"),
        (lambda m, x: F.adaptive_max_pool2d(x, (4, 2)), "adaptive"),
        (lambda m, x: F.avg_pool2d(x, (3, 2), 2, (1, 0)), None),
        (lambda m, x: m.c(x), "padding"),
        (lambda m, x: x.reshape(2, 1, 4, 8, 6) + m.mask[0, :6], None),
        (lambda m, x: x.var(1, unbiased=False) + x.var((1, 2), keepdim=True).sum(), "var"),
        (lambda m, x: x.std((2, 3)) + x.std(dim=2, correction=0).sum(), "std"),
        (lambda m, x: (both := torch.var_mean(x, 1, keepdim=True))[0] * both[1] + x.var(), "var"),
        (lambda m, x: torch.var_mean(x, dim=(2, 3), correction=0)[1], "var"),
        (lambda m, x: x.norm(p=2, dim=(2, 3), keepdim=True) + torch.linalg.vector_norm(x, dim=1, keepdim=True), "norm"),
        (lambda m, x: F.pixel_shuffle(x, 2), "pixel"),
        (lambda m, x: F.pixel_unshuffle(x, 2), "pixel"),
        (lambda m, x: F.channel_shuffle(x, 2), "shuffle"),
    ],
    ids=lambda value: None if callable(value) else str(value),
)
def test_is_spelled_out(picture, forward, gone):
    net = Of(forward, n=nn.BatchNorm2d(4), c=nn.Conv2d(4, 3, (3, 1), padding="same"))
    net.register_buffer("mask", torch.randn(8, 8, dtype=torch.float64))

    def both(graph):
        graph, _ = fold_constants(graph)
        graph, fired = spell_out(graph)
        return graph, bool(fired)

    graph = rewritten(both, net, picture, fires=True)
    assert gone is None or count(graph, gone) == 0


def test_the_factor_of_a_sum_is_a_product(picture):
    """coremltools 9.0 reads the two terms and forgets the factor."""
    net = Of(lambda m, x: torch.add(x, x.flip(1), alpha=2.5) * torch.sub(x, 0.3, alpha=3))
    graph = rewritten(sum_factors, net, picture, fires=2)
    assert not [node for node in graph.graph.nodes if "alpha" in node.kwargs]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: sum(x.max(2)),
        lambda m, x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        lambda m, x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
        lambda m, x: m.c(x),
        lambda m, x: torch.roll(x, 5),
        lambda m, x: x[:, :, torch.arange(6), torch.arange(6)],
        lambda m, x: x.norm(p=1, dim=(2, 3)),
        lambda m, x: torch.linalg.vector_norm(x, dim=1, dtype=torch.float64),
        lambda m, x: F.pixel_shuffle(x.unsqueeze(1), 2),
    ],
    ids=[
        "place of the maximum",
        "zeros do not count",
        "ceiling",
        "odd amount",
        "flattened",
        "two indices",
        "other length",
        "another type",
        "rank five",
    ],
)
def test_is_not_spelled_out(picture, forward):
    rewritten(spell_out, Of(forward, c=nn.Conv2d(4, 3, 2, padding="same")), picture, fires=0)


def heads_first(m: nn.Module, x: Tensor) -> Tensor:
    q, k, v = m.qkv(x).reshape(2, 6, 3, 2, D // 2).permute(2, 0, 3, 1, 4).unbind(0)
    return torch.softmax(q @ k.transpose(-2, -1) * 0.3, -1) @ v


def test_an_axis_for_queries_keys_and_values_is_not_made(tokens):
    def run(graph):
        graph, fired = rewrite(graph, (spell_out, split_before, split_after))
        assert fired["split_after"] == 1
        return graph, fired["split_before"]

    graph = rewritten(run, Of(heads_first, qkv=nn.Linear(D, 3 * D)), tokens, fires=1)
    assert ranks(graph) == 4 and count(graph, "select", "unbind") == 0 and count(graph, "permute") == 1


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: m.qkv(x).reshape(2, 6, 2, 3, 4).select(3, 1),
        lambda m, x: (y := m.qkv(x).reshape(2, 6, 3, 8)).select(2, 1) + y.mean(2),
        lambda m, x: m.qkv(x).transpose(1, 2).select(1, 1),
    ],
    ids=["not the first factor", "read whole", "an axis that was there"],
)
def test_other_selections_stay(tokens, forward):
    rewritten(split_before, Of(forward, qkv=nn.Linear(D, 3 * D)), tokens, fires=0)


# Streams and layer norms


def stream(m: nn.Module, x: Tensor) -> Tensor:
    x = m.enter(x)
    x = x + m.a(m.norm1(x))
    x = x + m.b(m.norm2(x))
    return m.leave(m.norm3(x))


def stream_layers(**more: nn.Module) -> dict[str, nn.Module]:
    layers = {"enter": nn.Linear(D, D), "a": nn.Linear(D, D), "b": nn.Linear(D, D, bias=False)}
    return layers | {"leave": nn.Linear(D, 3)} | {f"norm{i}": norm() for i in (1, 2, 3)} | more


def test_a_stream_between_linears_is_centred(tokens):
    graph = rewritten(zero_mean_streams, Of(stream, **stream_layers()), tokens, fires=3)
    sums = [n for n in graph.graph.nodes if n.target is torch.ops.aten.add.Tensor]
    seen = {}
    interpreter = fx.Interpreter(graph)
    interpreter.run_node = lambda n, run=interpreter.run_node: seen.setdefault(n.name, run(n))
    interpreter.run(tokens)
    assert len(sums) == 2 and all(seen[n.name].mean(-1).abs().max() < 1e-12 for n in sums)


def test_a_stream_through_a_convolution_and_rearrangements_is_centred(picture):
    def forward(m, x):
        y = m.widen(x).flatten(2).transpose(1, 2)  # (N, H W, D)
        y = y + m.a(m.norm1(y))
        return m.norm3(y)

    layers = stream_layers(widen=nn.Conv2d(4, D, 3, padding=1))
    rewritten(zero_mean_streams, Of(forward, **layers), picture, fires=2)


@pytest.mark.parametrize(
    "leak",
    [
        lambda m, x: m.norm1(x),
        lambda m, x: m.leave(m.norm1(y := m.enter(x))) + m.leave(y),
        lambda m, x: m.norm1(torch.relu(m.enter(x))),
        lambda m, x: m.norm1(m.enter(x) + x[:, :, :1]),
        lambda m, x: m.norm1(m.enter(x).reshape(2, 3, 2 * D).reshape(2, 6, D) * 1.0 + m.enter(x).transpose(1, 2).sum()),
    ],
    ids=["from outside", "read elsewhere", "not linear", "broadcast", "read by a sum"],
)
def test_other_streams_are_left(tokens, leak):
    rewritten(zero_mean_streams, Of(leak, **stream_layers()), tokens, fires=0)


@pytest.mark.parametrize("groups", [2, D])
def test_a_convolution_in_groups_is_not_centred(picture, groups):
    """The mean over its outputs is a sum over inputs that no single group sees."""
    layers = {"a": nn.Conv2d(4, D, 1), "b": nn.Conv2d(D, D, 3, padding=1, groups=groups), "n": norm()}
    net = Of(lambda m, x: m.n(m.b(m.a(x)).permute(0, 2, 3, 1)), **layers)
    rewritten(zero_mean_streams, net, picture, fires=0)


def test_a_layer_that_writes_twice_is_centred_in_the_stream_alone(tokens):
    """Its weight is shared with a reader outside, which must not notice."""
    net = Of(lambda m, x: m.leave(m.norm1(m.enter(x))) + m.leave(m.enter(x) * 2), **stream_layers())
    rewritten(zero_mean_streams, net, tokens, fires=1)


def test_a_centring_over_the_wrong_axis_is_noticed(tokens, monkeypatch):
    monkeypatch.setattr(_zero_mean_streams, "without_mean", lambda w: w - w.mean(-1, keepdim=True))
    with pytest.raises(AssertionError):
        both(Of(stream, **stream_layers()), tokens)


def both(module: nn.Module, x: Tensor) -> fx.GraphModule:
    def run(graph):
        graph, fired = rewrite(graph, (zero_mean_streams, plain_layer_norm))
        return graph, sum(fired.values())

    return rewritten(run, module, x, fires=6)


def test_centred_norms_need_no_mean(tokens):
    """Three norms without a subtraction, a scale or a shift of their own: five operations each."""
    graph = both(Of(stream, **stream_layers()), tokens)
    assert count(graph, "layer_norm", "sub") == 0
    assert count(graph, "aten.mean") == 3 and count(graph, "aten.mul") == 6


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"elementwise_affine": False}, {"eps": 0.3}], ids=str)
@pytest.mark.parametrize("reader", ["linear", "two linears", "convolution", "nothing", "padded convolution"])
def test_norms_are_spelled_out(tokens, options, reader):
    def forward(m, x):
        y = m.norm1(x)
        if reader == "linear":
            return m.leave(y)
        if reader == "two linears":
            return m.leave(y) + m.leave2(y)
        if reader == "nothing":
            return y * 2
        return m.conv(y.transpose(1, 2).reshape(2, D, 3, 2))

    padding = 1 if reader == "padded convolution" else 0
    layers = {
        "norm1": norm(**options), "leave": nn.Linear(D, 3), "leave2": nn.Linear(D, 3, bias=False),
        "conv": nn.Conv2d(D, 5, 1, padding=padding),
    }  # fmt: skip
    used = {"linear": ["leave"], "two linears": ["leave", "leave2"], "nothing": []}.get(reader, ["conv"])
    graph = rewritten(plain_layer_norm, Of(forward, **{k: layers[k] for k in ["norm1", *used]}), tokens, fires=1)
    assert count(graph, "layer_norm") == 0
    spelled = reader in {"nothing", "padded convolution"} and options.get("elementwise_affine", True)
    assert count(graph, "aten.mul") == 2 + bool(spelled) + (reader == "nothing")


def test_a_norm_over_two_axes_is_left(tokens):
    rewritten(plain_layer_norm, Of(lambda m, x: m.n(x), n=nn.LayerNorm([6, D])), tokens, fires=0)


def test_a_forgotten_shift_is_noticed(tokens, monkeypatch):
    absorb = _plain_layer_norm.absorb
    monkeypatch.setattr(_plain_layer_norm, "absorb", lambda graph, layer, g, b: absorb(graph, layer, g, None))
    with pytest.raises(AssertionError):
        rewritten(plain_layer_norm, Of(lambda m, x: m.l(m.n(x)), n=norm(), l=nn.Linear(D, 3)), tokens, fires=1)


# Scales


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: m.a(x) * 0.3,
        lambda m, x: 0.3 * m.a(x),
        lambda m, x: m.a(x) / m.vector,
        lambda m, x: m.a(x).reshape(2, 3, 2, D).transpose(1, 2) * 0.3,
        lambda m, x: m.b(x * m.vector),
        lambda m, x: m.qkv(x).chunk(3, -1)[0] * 0.3 + sum(m.qkv(x).chunk(3, -1)),
        lambda m, x: torch.relu(x) @ m.a(x).transpose(1, 2) * 0.3,
    ],
    ids=["after", "number first", "per channel", "behind a rearrangement", "before", "a piece of a split", "a product"],
)
def test_scales_go_into_weights(tokens, forward):
    net = Of(forward, a=nn.Linear(D, D), b=nn.Linear(D, 3), qkv=nn.Linear(D, 3 * D))
    net.register_buffer("vector", torch.rand(D, dtype=torch.float64) + 0.5)
    graph = rewritten(fold_scales, net, tokens, fires=1)
    assert count(graph, "aten.mul", "aten.div") == 0


def test_normalisation_goes_into_the_first_convolution(picture):
    net = Of(lambda m, x: m.c((x - m.mean) / m.std), c=nn.Conv2d(4, 5, 3, padding=1))
    net.register_buffer("mean", torch.rand(1, 4, 1, 1, dtype=torch.float64))
    net.register_buffer("std", torch.rand(1, 4, 1, 1, dtype=torch.float64) + 0.5)
    graph = rewritten(fold_scales, net, picture, fires=1)
    assert count(graph, "div") == 0 and count(graph, "sub") == 1  # the border is padded with zeros, not with -mean


@pytest.mark.parametrize(
    ("forward", "fires"),
    [
        (lambda m, x: m.c((x - m.mean) / m.std), 1),
        (lambda m, x: m.c(m.std * (0.3 + x) + m.mean), 2),
        (lambda m, x: m.g((x - m.mean) / 0.5), 1),
        (lambda m, x: m.c(m.few * x + m.few), 1),
        (lambda m, x: m.l(x.flatten(2) - m.vector), 1),
    ],
    ids=["normalisation", "two in a row", "groups", "lower rank", "linear"],
)
def test_a_shift_goes_into_the_bias(picture, forward, fires):
    layers = {"c": nn.Conv2d(4, 5, 3, bias=False), "g": nn.Conv2d(4, 8, 3, groups=2), "l": nn.Linear(48, 3)}
    net = Of(lambda m, x: forward(m, torch.tanh(x)), **layers)
    for name, shape in (("mean", (1, 4, 1, 1)), ("std", (1, 4, 1, 1)), ("few", (4, 1, 1)), ("vector", (48,))):
        net.register_buffer(name, torch.rand(shape, dtype=torch.float64) + 0.5)
    graph = rewritten(fold_shifts, net, picture, fires=fires)
    assert count(graph, "sub", "add") == 0


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: m.p(x - m.mean),
        lambda m, x: m.c(y := x - m.mean) + y.mean(),
        lambda m, x: m.c(F.relu(x - m.mean)),
        lambda m, x: m.c(x + m.places),
        lambda m, x: m.c(m.mean - x),
        lambda m, x: m.c(torch.add(x, m.mean, alpha=2)),
        lambda m, x: m.l(x - m.mean),
        lambda m, x: m.c(x[:, :1] + m.mean),
        lambda m, x: F.conv2d(x - m.mean, x[:, :, :3, :3]),
    ],
    ids=[
        "padding", "read twice", "not linear", "by place", "the other way", "alpha", "not the layer's axis",
        "made wider", "computed kernel",
    ],
)  # fmt: skip
def test_other_shifts_stay(picture, forward):
    net = Of(
        lambda m, x: forward(m, torch.tanh(x)), c=nn.Conv2d(4, 5, 3), p=nn.Conv2d(4, 5, 3, padding=1), l=nn.Linear(6, 4)
    )
    net.register_buffer("mean", torch.rand(1, 4, 1, 1, dtype=torch.float64))
    net.register_buffer("places", torch.rand(1, 1, 8, 6, dtype=torch.float64))
    rewritten(fold_shifts, net, picture, fires=0)


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: m.c((x - 0.3) / m.std),
        lambda m, x: m.c((x.transpose(2, 3) / 255 - 0.3) / m.std + 0.1),
        lambda m, x: m.c(m.std * x + 0.1),
    ],
)
def test_the_mean_of_the_picture_stays(picture, forward):
    net = Of(forward, c=nn.Conv2d(4, 5, 3))
    net.register_buffer("std", torch.rand(1, 4, 1, 1, dtype=torch.float64) + 0.5)
    rewritten(fold_shifts, net, picture, fires=0)


def test_a_shift_into_a_padded_layer_would_be_noticed(picture, monkeypatch):
    monkeypatch.setattr(_fold_shifts, "any", lambda padding: False, raising=False)
    net = Of(lambda m, x: m.c(x.tanh() - 0.7), c=nn.Conv2d(4, 5, 3, padding=1))
    with pytest.raises(AssertionError):
        rewritten(fold_shifts, net, picture, fires=1)


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: (y := m.a(x)) * 0.3 + y,
        lambda m, x: torch.relu(x) * 0.3,
        lambda m, x: m.a(x) * x,
        lambda m, x: m.a(x) * m.rows,
        lambda m, x: m.a(x).transpose(1, 2) * m.vector6,
    ],
    ids=["read twice", "no layer", "not constant", "per row", "per token"],
)
def test_other_scales_stay(tokens, forward):
    net = Of(forward, a=nn.Linear(D, D))
    net.register_buffer("rows", torch.rand(6, 1, dtype=torch.float64))
    net.register_buffer("vector6", torch.rand(6, dtype=torch.float64))
    rewritten(fold_scales, net, tokens, fires=0)


def test_a_scale_passes_from_a_piece_to_the_convolution_that_made_it(picture):
    """Windows are cut from a convolution's map before queries, keys and values are told apart."""

    def forward(m, x):
        y = m.qkv(x).permute(0, 2, 3, 1)
        y = y.reshape(len(y), 2, -1, *y.shape[2:]).transpose(1, 2)
        q, k, v = y.reshape(*y.shape[:3], -1, 12).chunk(3, -1)
        return torch.cat([q * 0.3, k, v], -1)

    graph = rewritten(fold_scales, Of(forward, qkv=nn.Conv2d(4, 12, 1)), picture, fires=1)
    assert count(graph, "aten.mul") == 0


@pytest.mark.parametrize("cut", [1, 2])
def test_a_scale_of_a_piece_along_another_axis_stays(picture, cut):
    net = Of(lambda m, x: m.c(x).chunk(2, cut + 1)[0] * 0.3, c=nn.Conv2d(4, 12, 1))
    rewritten(fold_scales, net, picture, fires=0)


def test_a_scale_of_the_wrong_rows_is_noticed(tokens, monkeypatch):
    def forward(m, x):
        q, k, v = m.qkv(x).chunk(3, -1)
        return torch.cat([q * 0.3, k, v], -1)

    scale = _fold_scales.scale_layer
    monkeypatch.setattr(_fold_scales, "scale_layer", lambda graph, layer, factor, _: scale(graph, layer, factor, None))
    with pytest.raises(AssertionError):
        rewritten(fold_scales, Of(forward, qkv=nn.Linear(D, 3 * D)), tokens, fires=1)


# Attention


def attention(m: nn.Module, x: Tensor) -> Tensor:
    n, t, _ = x.shape
    q, k, v = (p.reshape(n, t, 2, D // 2).transpose(1, 2) for p in m.qkv(x).chunk(3, -1))
    y = torch.softmax(q @ k.transpose(-2, -1) * (D // 2) ** -0.5, -1) @ v
    return m.out(y.transpose(1, 2).reshape(n, t, D))


def test_attention_takes_two_transposes(tokens):
    """One for queries, keys and values together, one for the result; the scale is in the weights."""
    net = Of(attention, qkv=nn.Linear(D, 3 * D), out=nn.Linear(D, D))

    def run(graph):
        graph, fired = rewrite(graph, (fold_scales, transposed_products, split_after, rearrange))
        assert [fired[name] for name in ("fold_scales", "transposed_products", "split_after")] == [1, 1, 1]
        return graph, 0

    graph = rewritten(run, net, tokens, fires=0)
    assert count(graph, "permute", "transpose.int") == 2 and count(graph, "aten.mul") == 0
    assert ranks(graph) == 4


@pytest.mark.parametrize(
    ("forward", "pieces"),
    [
        (lambda m, x: different_heads(m.qkv(x).chunk(2, -1)), 2),
        (lambda m, x: m.qkv(x).chunk(3, -1)[1].reshape(2, 6, 2, 4) + 1, 3),
        (lambda m, x: sum(p.reshape(6, 2, 2, 4) for p in m.qkv(x).chunk(2, -1)), 2),
        (lambda m, x: sum(p.reshape(2, 3, D) for p in m.qkv(x).chunk(2, 1)), 1),
        (lambda m, x: sum(p.reshape(2, 6, 2, 4) + p.sum() for p in m.qkv(x).chunk(2, -1)), 2),
    ],
    ids=["different heads", "unread pieces", "tokens cut too", "another axis", "piece read elsewhere"],
)
def test_other_splits_stay(tokens, forward, pieces):
    rewritten(split_after, Of(forward, qkv=nn.Linear(D, pieces * D)), tokens, fires=0)


def different_heads(pieces: tuple[Tensor, ...]) -> Tensor:
    return pieces[0].reshape(2, 6, 2, 4).sum((2, 3)) + pieces[1].reshape(2, 6, 4, 2).sum((2, 3))


def test_products_without_a_transpose_stay(tokens):
    rewritten(transposed_products, Of(lambda m, x: x @ x.reshape(2, D, 6)), tokens, fires=0)


# Rearrangements


def patches(m: nn.Module, x: Tensor) -> Tensor:
    """The pixels at one place of every 2x2 patch as one sequence, and back: rank 6 both ways."""
    n, c, h, w = x.shape
    y = x.reshape(n, c, h // 2, 2, w // 2, 2).permute(0, 3, 5, 2, 4, 1).reshape(n * 4, -1, c)
    y = torch.tanh(y)
    return y.reshape(n, 2, 2, h // 2, w // 2, c).permute(0, 5, 3, 1, 4, 2).reshape(n, c, h, w)


def test_patches_stay_within_rank_four(picture):
    graph = rewritten(rearrange, Of(patches), picture, fires=2)
    assert ranks(graph) == 4


@pytest.mark.parametrize(
    ("forward", "left"),
    [
        (lambda m, x: x.permute(0, 2, 3, 1).permute(0, 3, 1, 2) + 1, 0),
        (lambda m, x: x.flatten(2).unsqueeze(1).squeeze(1).reshape(2, 4, 8, 6) + 1, 0),
        (lambda m, x: x.transpose(1, 2).transpose(2, 3).transpose(1, 2) + 1, 1),
        (lambda m, x: x.reshape(2, 4, 48).transpose(1, 2).reshape(2, 8, 6, 4).permute(0, 3, 1, 2) + 1, 0),
        (lambda m, x: x.reshape(2, 2, 2, 8, 6).permute(0, 2, 1, 3, 4).reshape(2, 4, 8, 6) + 1, 3),  # channel shuffle
    ],
    ids=["there and back", "reshapes alone", "three swaps", "to tokens and back", "channel shuffle"],
)
def test_chains_shrink(picture, forward, left):
    graph = rewritten(rearrange, Of(forward), picture, fires=1)
    assert count(graph, "reshape", "permute", "transpose", "flatten", "squeeze") == left and ranks(graph) <= 4


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: x.permute(0, 2, 3, 1) + 1,
        lambda m, x: x.reshape(2, 6, 32).transpose(1, 2).reshape(2, 4, 8, 6) * 2,  # cuts across channels and rows
        lambda m, x: (y := x.transpose(1, 2)) + y.reshape(2, 4, 8, 6).sum(),
    ],
    ids=["one transpose", "across atoms", "read in between"],
)
def test_other_chains_stay(picture, forward):
    rewritten(rearrange, Of(forward), picture, fires=0)


@pytest.mark.parametrize("seed", range(20))
def test_any_permutation_of_six_axes(seed):
    """Random shapes and orders, against NumPy's own transpose."""
    generator = torch.Generator().manual_seed(seed)
    shape = [int(n) for n in torch.randint(1, 4, (6,), generator=generator)]
    order = torch.randperm(6, generator=generator).tolist()
    x = torch.randn(shape, dtype=torch.float64, generator=generator).flatten()
    net = Of(lambda m, v: v.reshape(shape).permute(order).flatten() * 1.5)
    new, _ = rearrange(trace(net, x))
    assert ranks(new) <= 4
    expected = x.numpy().reshape(shape).transpose(order).ravel() * 1.5
    assert (new(x).numpy() == expected).all()


def test_a_wrong_step_is_noticed(picture, monkeypatch):
    steps = _rearrange.steps_between
    monkeypatch.setattr(_rearrange, "steps_between", lambda sizes, order: steps(sizes, order)[:1])
    with pytest.raises((AssertionError, RuntimeError)):
        rewritten(rearrange, Of(patches), picture, fires=2)


# Channels last


class Conv(nn.Module):
    """What a convolutional network has, in one."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.b = nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False)
        self.c = nn.Conv2d(12, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.silu(self.a(x))
        z = y * torch.sigmoid(y.mean((2, 3), keepdim=True)) + F.hardswish(self.b(y))
        z = F.max_pool2d(torch.cat([z, F.interpolate(F.avg_pool2d(z, 1), size=z.shape[2:])], 1), 3, 2, 1)
        one, two = self.c(z).split([2, 3], 1)
        return torch.cat([two, one], 1)[:, 1:].mean((2, 3))


def test_maps_move_once(picture):
    """One transpose at the beginning; what the last mean leaves is in no layout any more."""

    def run(graph):
        graph, _ = rewrite(graph, (channels_last, rearrange))
        return graph, 0

    graph = rewritten(run, Conv(), picture, fires=0)
    assert count(graph, "aten.conv2d", "aten.max_pool2d", "aten.avg_pool2d", "upsample") == 0
    assert count(graph, "permute") == 1


@pytest.mark.parametrize("shape", [(4, 1, 1), (6,), (8, 6), (4, 8, 6), (1,)], ids=str)
def test_a_constant_of_lower_rank_is_permuted_here(picture, shape):
    """A vector of 6 goes along the width, which is not the last axis any more."""
    net = Of(lambda m, x: (m.few * m.c(x)).mean((2, 3)), c=nn.Conv2d(4, 4, 1))
    net.register_buffer("few", torch.randn(shape, dtype=torch.float64))
    graph = rewritten(channels_last, net, picture, fires=3)
    assert count(graph, "permute") == 1


def test_a_value_of_lower_rank_gets_axes_of_length_one(picture):
    net = Of(lambda m, x: m.c(x) * torch.sigmoid(x).mean((0, 1)), c=nn.Conv2d(4, 4, 1))
    rewritten(channels_last, net, picture, fires=2)


def test_a_map_of_lower_rank_than_the_result_is_left(picture):
    rewritten(channels_last, Of(lambda m, x: m.c(x) + x.unsqueeze(0), c=nn.Conv2d(4, 4, 1)), picture, fires=1)


def test_the_networks_own_transpose_makes_a_map():
    """An image comes channels last; nothing of it is transposed, normalisation in front of the convolution or not."""

    def forward(m, image):
        x = image.permute(0, 3, 1, 2)
        return m.c(((x / 255) - m.mean) / m.std).mean((2, 3))

    net = Of(forward, c=nn.Conv2d(4, 5, 3, padding=1))
    net.register_buffer("mean", torch.rand(1, 4, 1, 1, dtype=torch.float64))
    net.register_buffer("std", torch.rand(4, 1, 1, dtype=torch.float64) + 0.5)
    x = torch.randn(2, 8, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    graph = rewritten(channels_last, net, x, fires=5)
    assert count(graph, "permute") == 0


@pytest.mark.parametrize(
    ("forward", "fires"),
    [
        (lambda m, x: (y := m.c(x)).permute(0, 3, 1, 2).tanh() + y.mean(), 1),  # rotates a map that has a twin
        (lambda m, x: x.permute(0, 3, 2, 1).tanh(), 0),
        (lambda m, x: x.permute(0, 3, 1, 2).tanh() * x.permute(0, 3, 1, 2), 2),
        (lambda m, x: x.permute(0, 3, 1, 2).reshape(2, -1) + x.reshape(2, -1), 0),
    ],
    ids=["of a map", "another order", "twice", "read as it is"],
)
def test_other_transposes_stay_what_they_are(picture, forward, fires):
    rewritten(channels_last, Of(forward, c=nn.Conv2d(4, 4, 1)), picture, fires=fires)


@pytest.mark.parametrize(
    ("forward", "permutes"),
    [
        (lambda y: y.mean((2, 3)), 1),
        (lambda y: y.sum(1) + y.amax(1), 1),
        (lambda y: y.mean((1, 2)), 1),
        (lambda y: y.amin(2), 2),
        (lambda y: y.mean(-1).tanh(), 2),
        (lambda y: y[:, 1], 1),
        (lambda y: y[:, :, 2], 2),
        (lambda y: y[1], 2),
        (lambda y: y.mean((0, 1)), 2),
        (lambda y: y.mean((0, 2), keepdim=True), 2),
        (lambda y: F.pad(y, (1, 0, 0, 2, 3, 1)), 2),
        (lambda y: y.mean(1, keepdim=True).expand(-1, 3, -1, -1), 2),
        (lambda y: torch.index_select(y, 1, torch.tensor([2, 0])), 2),
        (lambda y: y.flatten(2).mean(2), 1),
    ],
)  # fmt: skip
def test_axes_go_where_they_are(picture, forward, permutes):
    """Two transposes where a map goes in and a map comes out, one where no map is left."""
    net = Of(lambda m, x: forward(m.c(x)) * 2.5, c=nn.Conv2d(4, 5, 1))

    def run(graph):
        return channels_last(spell_out(graph)[0])[0], 0

    graph = rewritten(run, net, picture, fires=0)
    assert count(graph, "permute") == permutes


@pytest.mark.parametrize(
    "options", [{"ceil_mode": True, "padding": 1}, {"padding": 1}, {"divisor_override": 3}], ids=str
)
def test_odd_windows_are_left(picture, options):
    rewritten(channels_last, Of(lambda m, x: F.avg_pool2d(x, 3, 2, **options)), picture, fires=0)


def test_options_by_name_move_along(picture):
    net = Of(lambda m, x: torch.add(F.gelu(m.c(x), approximate="tanh"), m.c(x), alpha=0.3), c=nn.Conv2d(4, 4, 1))
    rewritten(channels_last, net, picture, fires=4)


@pytest.mark.parametrize(("factor", "fires"), [(2.0, 1), (1.3, 0)])
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_a_factor_that_gives_no_whole_size_is_left(picture, mode, factor, fires):
    """torch then reads at places that the sizes alone do not give."""
    net = Of(lambda m, x: F.interpolate(x, scale_factor=factor, mode=mode))
    rewritten(channels_last, net, picture, fires=fires)


# Borders of maximum pools


@pytest.mark.parametrize("before", [F.relu, torch.tanh], ids=["zeros", "edges"])
@pytest.mark.parametrize(
    ("side", "kernel", "stride", "padding", "ceiling"),
    [
        ((8, 6), 3, 2, 1, False),
        ((8, 6), 3, 2, 1, True),
        ((9, 6), 5, 2, 2, False),
        ((9, 7), (3, 2), (2, 3), (1, 1), False),
        ((7, 10), 4, 3, 2, True),
        ((7, 8), 4, 1, 2, False),
        ((9, 8), 5, 4, 0, True),
    ],
)
def test_a_border_of_zeros_or_edges(before, side, kernel, stride, padding, ceiling):
    x = torch.randn(2, 3, *side, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) - 1
    net = Of(lambda m, x: F.max_pool2d(before(x), kernel, stride, padding, ceil_mode=ceiling))
    graph = rewritten(pool_borders, net, x, fires=1)
    assert count(graph, "aten.pad") == (before is F.relu) and count(graph, "cat") in (
        {0} if before is F.relu else {1, 2}
    )
    (pool,) = graph.graph.find_nodes(op="call_function", target=torch.ops.aten.max_pool2d.default)
    assert len(pool.args) == 3  # no border and no ceiling left


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: F.max_pool2d(x, 2),
        lambda m, x: F.max_pool2d(x, 5, 1, 2),  # SAME
        lambda m, x: F.max_pool2d(x[:, :, 1:, 1:], 3, 2, 1),  # SAME on odd sides
        lambda m, x: F.max_pool2d(x, 3, 2, ceil_mode=True),  # SAME
        lambda m, x: F.max_pool2d(x, 2, 1, 1, dilation=2),
        lambda m, x: F.avg_pool2d(x, 3, 2, 1),
    ],
)
def test_pools_that_need_no_border_stay(picture, forward):
    rewritten(pool_borders, Of(forward), picture, fires=0)


@pytest.mark.parametrize(
    ("forward", "zeros"),
    [
        (lambda x: F.hardtanh(x, 0.0, 4.0), True),
        (lambda x: F.hardtanh(x), False),
        (lambda x: x.clamp(min=0.1).flatten(2).reshape(x.shape), True),
        (lambda x: x.clamp(max=1), False),
        (lambda x: torch.cat([x.abs(), x.sigmoid()], 1), True),
        (lambda x: torch.cat([x.abs(), x], 1), False),
        (lambda x: F.relu(x) - 1, False),
    ],
)
def test_zeros_only_where_nothing_is_negative(picture, forward, zeros):
    graph = rewritten(pool_borders, Of(lambda m, x: F.max_pool2d(forward(x), 3, 2, 1)), picture, fires=1)
    assert count(graph, "aten.pad") == zeros


def test_zeros_beside_negative_values_would_be_noticed(picture, monkeypatch):
    monkeypatch.setattr(_pool_borders, "never_negative", lambda node: True)
    with pytest.raises(AssertionError):
        rewritten(pool_borders, Of(lambda m, x: F.max_pool2d(x - 3, 3, 2, 1)), picture, fires=1)


# Slices with steps


def patches_merged(x: Tensor) -> Tensor:
    return torch.cat([x[:, a::2, b::2] for b in (0, 1) for a in (0, 1)], -1)


@pytest.mark.parametrize(
    "forward",
    [
        patches_merged,
        lambda x: torch.cat([x[:, :, a::2, b::3] for a in range(2) for b in range(3)], 1),
        lambda x: torch.cat([x[..., a::3] for a in range(3)], 2),
        lambda x: torch.cat([x[:, a::2, :, b::2] for b in (0, 1) for a in (0, 1)], 0),
        lambda x: torch.cat([x[:, :, a - 2 :: 2, b::2] for a in (0, 1) for b in (0, 1)], 1)[:, :, :1],
        lambda x: torch.cat([x[::2], x[1::2]], 1),
    ],
    ids=["patch merging", "two and three", "one axis", "along the batch", "from behind", "the batch itself"],
)
def test_all_residues_side_by_side_are_transposed(forward):
    x = torch.randn(2, 4, 2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    def run(graph):
        graph, fired = strided_slices(graph)
        return rearrange(graph)[0], fired

    graph = rewritten(run, Of(lambda m, x: forward(x) * 2), x, fires=1)
    assert count(graph, "permute") <= 2 and count(graph, "cat") == 0 and ranks(graph) <= 4


def test_patches_are_merged_by_one_transpose_of_whole_rows():
    x = torch.randn(1, 8, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    graph, _ = rearrange(strided_slices(trace(Of(lambda m, x: patches_merged(x) * 2), x))[0])
    (move,) = graph.graph.find_nodes(op="call_function", target=torch.ops.aten.permute.default)
    assert move.meta["val"].shape == (4, 6, 2, 4) and move.args[1] in ([0, 2, 1, 3], (0, 2, 1, 3))


@pytest.mark.parametrize(
    ("forward", "fires"),
    [
        (lambda x: x[:, :, ::2, 1::3], 2),
        (lambda x: x[:, :, 1::3], 1),  # 1, 4, 7 of 8: cut in front
        (lambda x: x[:, :, ::3], 1),  # 0, 3, 6 of 8: a zero behind
        (lambda x: x[:, :, 1:6:2] + x[:, :, -6:-1:2], 2),
        (lambda x: x[:, :, 5::4], 1),
        (lambda x: x[:, 1::2, ::5], 2),
        (lambda x: torch.cat([x[:, :, ::2], x[:, :, ::2]], 1), 2),
        (lambda x: torch.cat([x[:, :, 1::2], x[:, :, ::2]], 1), 2),
        (lambda x: torch.cat([x[:, :, ::2], x.tanh()[:, :, 1::2]], 1), 2),
        (lambda x: torch.cat([x[:, :, ::2], x[:, :, 1::2]], 2), 2),
        (lambda x: torch.cat([x[:, :, ::4], x[:, :, 1::4]], 1), 2),
    ],
    ids=[
        "two axes", "cut", "padded", "both ends", "one place", "channels", "twice the same", "another order",
        "two values", "along their own axis", "not all",
    ],
)  # fmt: skip
def test_a_step_is_a_reshape_and_a_slice(picture, forward, fires):
    graph = rewritten(strided_slices, Of(lambda m, x: forward(x)), picture, fires=fires)
    slices = graph.graph.find_nodes(op="call_function", target=torch.ops.aten.slice.Tensor)
    assert all(len(node.args) < 5 or node.args[4] == 1 for node in slices)


def test_slices_without_a_step_stay(picture):
    rewritten(strided_slices, Of(lambda m, x: torch.cat([x[:, :, 2:], x[:, :, :2]], 2)), picture, fires=0)


def test_a_wrong_order_of_residues_would_be_noticed(monkeypatch):
    monkeypatch.setattr(_strided_slices, "running", lambda firsts, steps: tuple(sorted(steps)))
    x = torch.randn(2, 4, 2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    with pytest.raises(AssertionError):
        rewritten(strided_slices, Of(lambda m, x: patches_merged(x)), x, fires=1)


# Shared results


def test_the_same_is_computed_once(picture):
    net = Of(lambda m, x: m.c(x).mean((2, 3)) + m.c(x).mean((2, 3)).tanh() + m.c(x).mean(2).sum(), c=nn.Conv2d(4, 4, 1))
    graph = rewritten(share_results, net, picture, fires=3)  # two convolutions and a mean
    assert count(graph, "conv2d") == 1 and count(graph, "aten.mean") == 2


def test_what_differs_is_computed_twice(picture):
    net = Of(
        lambda m, x: m.c(x) + m.d(x) + m.c(x + 1) + F.avg_pool2d(x, 1, 1), c=nn.Conv2d(4, 4, 1), d=nn.Conv2d(4, 4, 1)
    )
    rewritten(share_results, net, picture, fires=0)


# The whole network


@pytest.mark.parametrize("name", ["hierattn_xs", "hierattn_s"])
def test_hierattn(name):
    x = torch.rand(1, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    fired = {}

    def run(graph):
        graph, found = rewrite(graph, PASSES + MOBILE_PASSES)
        fired.update(found)
        return graph, 0

    graph = rewritten(run, create_model(name), x, fires=0)
    idle = {name for name, times in fired.items() if not times}
    assert idle == {
        "sum_factors",
        "fold_constants",
        "spell_out",
        "split_before",
        "fold_shifts",
        "pool_borders",
        "strided_slices",
        "one_row",
        "transposed_convolutions",
        "average_borders",
        "dilated_pools",
    }
    assert (fired["zero_mean_streams"], fired["plain_layer_norm"], fired["transposed_products"]) == (21, 21, 9)
    assert ranks(graph) == 4
    assert count(graph, "reshape", "permute", "transpose.int", "flatten") <= 90
    assert count(graph, "dropout", "batch_norm", "layer_norm", "adaptive", "aten.conv2d", "chunk") == 0
    calls = [node for node in graph.graph.nodes if node.op == "call_function"]
    assert len({f"{node.target} {node.args} {node.kwargs}" for node in calls}) == len(calls)
    products = [node for node in calls if node.target in {torch.ops.aten.mul.Tensor, torch.ops.aten.div.Tensor}]
    assert not [n for n in products if any(getattr(a, "op", "get_attr") == "get_attr" for a in n.args)]
