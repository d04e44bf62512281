"""Operations with drawn arguments, as hypothesis strategies: what a network's author may write, on small odd shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import Tensor, nn

SIDE = 16  # pixels of the picture that the shapes are cut from


class Call(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@dataclass(frozen=True, repr=False)
class Variant:
    """One operation with its arguments, and what it is asked of: (1, C, H, W), (1, C, L) or tokens (1, L, C)."""

    text: str
    shape: tuple[int, ...]
    make: Callable[[], nn.Module]
    tokens: bool = False

    def __repr__(self) -> str:  # what hypothesis shows of a failure
        return f"{self.text} on {'tokens ' if self.tokens else ''}{self.shape}"


channels = st.sampled_from([1, 2, 3, 4, 6, 8])
length = st.integers(1, SIDE)
long_enough = st.integers(5, SIDE)
maybe = st.booleans()


@st.composite
def shapes(draw, axes: int = 2, least: int = 5, depth=channels) -> tuple[int, ...]:
    return (draw(depth), *(draw(st.integers(least, SIDE)) for _ in range(axes)))


def per_axis(draw, values, axes: int):
    """The same for all axes or one for each."""
    return draw(values) if draw(maybe) else tuple(draw(values) for _ in range(axes))


@st.composite
def convolution(draw, axes: int = 2) -> Variant:
    shape = draw(shapes(axes))
    kernel, stride, dilation = (per_axis(draw, st.integers(1, most), axes) for most in (5, 3, 3))
    modes = ["zeros"] * 4 + ["reflect", "replicate", "circular"]
    padding = per_axis(draw, st.integers(0, 3), axes)
    if draw(st.integers(0, 4)) == 0:
        padding, stride = draw(st.sampled_from(["same", "valid"])), 1
    mode = draw(st.sampled_from(modes)) if not isinstance(padding, str) else "zeros"
    groups = draw(st.sampled_from([n for n in range(1, shape[0] + 1) if shape[0] % n == 0]))
    out = groups * draw(st.integers(1, 3))
    options = {
        "stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "bias": draw(maybe),
        "padding_mode": mode,
    }  # fmt: skip
    kind = nn.Conv2d if axes == 2 else nn.Conv1d
    return Variant(
        f"{kind.__name__}({out}, {kernel}, {options})", shape, lambda: kind(shape[0], out, kernel, **options)
    )


@st.composite
def transposed_convolution(draw, axes: int = 2) -> Variant:
    shape = draw(shapes(axes, least=2))
    stride = draw(st.integers(1, 3))
    groups = draw(st.sampled_from([n for n in range(1, shape[0] + 1) if shape[0] % n == 0]))
    options = {
        "stride": stride, "padding": draw(st.integers(0, 2)), "output_padding": draw(st.integers(0, stride - 1)),
        "groups": groups, "bias": draw(maybe), "dilation": draw(st.sampled_from([1, 1, 2])),
    }  # fmt: skip
    out, kernel = groups * draw(st.integers(1, 3)), draw(st.integers(1, 4))
    kind = nn.ConvTranspose2d if axes == 2 else nn.ConvTranspose1d
    return Variant(
        f"{kind.__name__}({out}, {kernel}, {options})", shape, lambda: kind(shape[0], out, kernel, **options)
    )


@st.composite
def pool(draw, axes: int, average: bool) -> Variant:
    shape = draw(shapes(axes))
    kernel = per_axis(draw, st.integers(1, 4), axes)
    smallest = min(kernel) if isinstance(kernel, tuple) else kernel
    options = {"stride": per_axis(draw, st.integers(1, 4), axes) if draw(maybe) else None, "ceil_mode": draw(maybe)}
    options["padding"] = draw(st.integers(0, smallest // 2))
    if average:
        options["count_include_pad"] = draw(maybe)
        if axes == 2 and draw(st.integers(0, 3)) == 0:
            options["divisor_override"] = draw(st.integers(1, 7))
        kind = nn.AvgPool2d if axes == 2 else nn.AvgPool1d
    else:
        options["dilation"] = draw(st.sampled_from([1, 1, 1, 2, 3]))
        kind = nn.MaxPool2d if axes == 2 else nn.MaxPool1d
    return Variant(f"{kind.__name__}({kernel}, {options})", shape, lambda: kind(kernel, **options))


@st.composite
def adaptive_pool(draw, axes: int) -> Variant:
    shape = draw(shapes(axes, least=1))
    size = (
        tuple(draw(st.one_of(st.none(), st.integers(1, 9))) for _ in range(axes))
        if axes == 2
        else draw(st.integers(1, 9))
    )
    name = draw(st.sampled_from(["AdaptiveAvgPool", "AdaptiveMaxPool"])) + f"{axes}d"
    return Variant(f"{name}({size})", shape, lambda: getattr(nn, name)(size))


@st.composite
def padding(draw, axes: int = 2) -> Variant:
    shape = draw(shapes(axes))
    mode = draw(st.sampled_from(["constant", "constant", "reflect", "replicate", "circular"]))
    most = min(shape[1:]) - 1 if mode != "constant" else 4
    lowest = -1 if mode == "constant" else 0
    amounts = [draw(st.integers(lowest, min(4, most))) for _ in range(2 * axes)]
    value = draw(st.sampled_from([None, 0.0, 1.5, -2.0])) if mode == "constant" else None
    return Variant(f"pad({amounts}, {mode}, {value})", shape, lambda: Call(lambda x: F.pad(x, amounts, mode, value)))


@st.composite
def resize(draw, axes: int = 2) -> Variant:
    shape = draw(shapes(axes, least=1))
    linear = ["bilinear", "bicubic"] if axes == 2 else ["linear"]
    mode = draw(st.sampled_from(["nearest", "nearest-exact", "area", *linear]))
    options: dict[str, object] = {"mode": mode}
    if draw(maybe):
        options["size"] = tuple(draw(st.integers(1, 24)) for _ in range(axes))
    else:
        factor = st.sampled_from([0.4, 0.5, 0.75, 1.3, 1.5, 2.0, 2.5, 3.0])
        options["scale_factor"] = tuple(draw(factor) for _ in range(axes)) if draw(maybe) else draw(factor)
        if draw(st.integers(0, 3)) == 0:
            options["recompute_scale_factor"] = True
    if mode in linear:
        options["align_corners"] = draw(st.sampled_from([None, False, True]))
        if axes == 2 and draw(st.integers(0, 2)) == 0:
            options["antialias"] = True
    return Variant(f"interpolate({options})", shape, lambda: Call(lambda x: F.interpolate(x, **options)))


@st.composite
def norm(draw) -> Variant:
    shape = draw(shapes(2, depth=st.sampled_from([2, 4, 6, 8])))
    eps, affine = draw(st.sampled_from([1e-5, 1e-3, 0.1])), draw(maybe)
    name = draw(st.sampled_from(["batch", "group", "instance", "layer", "rms", "normalize"]))
    groups = draw(st.sampled_from([n for n in range(1, shape[0] + 1) if shape[0] % n == 0]))
    track = draw(maybe)
    last = draw(st.sampled_from([shape[-1:], shape[-2:]]))
    axis, power = draw(st.integers(1, 3)), draw(st.sampled_from([1.0, 2.0, 3.0]))

    def make() -> nn.Module:
        module = {
            "batch": lambda: nn.BatchNorm2d(shape[0], eps=eps, affine=affine),
            "group": lambda: nn.GroupNorm(groups, shape[0], eps=eps, affine=affine),
            "instance": lambda: nn.InstanceNorm2d(shape[0], eps=eps, affine=affine, track_running_stats=track),
            "layer": lambda: nn.LayerNorm(last, eps=eps, elementwise_affine=affine),
            "rms": lambda: nn.RMSNorm(last, eps=eps, elementwise_affine=affine),
            "normalize": lambda: Call(lambda x: F.normalize(x, p=power, dim=axis)),
        }[name]()
        for part in (p for p in module.parameters()):
            nn.init.normal_(part, 1.0, 0.5)
        if getattr(module, "running_mean", None) is not None:
            module.running_mean.normal_()
            module.running_var.uniform_(0.3, 3.0)
        return module

    return Variant(f"{name} norm({groups=}, {eps=}, {affine=}, {track=}, {last=}, {axis=}, {power=})", shape, make)


@st.composite
def reduction(draw) -> Variant:
    shape = draw(shapes(2, least=1))
    name = draw(st.sampled_from(["mean", "sum", "amax", "amin", "var", "std", "norm", "logsumexp", "var_mean"]))
    axes = draw(st.lists(st.sampled_from([1, 2, 3, -1, -2, -3]), min_size=1, max_size=3, unique_by=lambda a: a % 4))
    if name in ("var", "std", "var_mean") and all(shape[a % 4 - 1] == 1 for a in axes):
        name = "mean"
    keep, correction = draw(maybe), draw(st.sampled_from([0, 0, 1]))

    def run(x: Tensor) -> Tensor:
        if name in ("var", "std"):
            return getattr(x, name)(axes, correction=correction, keepdim=keep)
        if name == "var_mean":
            return sum(torch.var_mean(x, axes, correction=correction, keepdim=keep))
        if name == "norm":
            return torch.linalg.vector_norm(x, dim=axes, keepdim=keep)
        return getattr(x, name)(axes, keepdim=keep)

    return Variant(f"{name}({axes}, keepdim={keep}, {correction=})", shape, lambda: Call(run))


@st.composite
def along_axis(draw) -> Variant:
    shape = draw(shapes(2, least=1))
    axis = draw(st.sampled_from([1, 2, 3, -1, -3]))
    long = shape[axis % 4 - 1]
    shift, step = draw(st.integers(-20, 20)), draw(st.integers(1, 4))
    first = draw(st.integers(0, long - 1))
    last = draw(st.integers(first + 1, long))
    keep = draw(st.lists(st.integers(0, long - 1), min_size=1, max_size=6))
    mask = torch.tensor([True] + [draw(maybe) for _ in range(long - 1)])
    names = {
        "softmax": lambda x: x.softmax(axis),
        "log_softmax": lambda x: x.log_softmax(axis),
        "softmin": lambda x: F.softmin(x, axis),
        "cumsum": lambda x: x.cumsum(axis),
        f"flip({axis})": lambda x: x.flip(axis),
        f"roll({shift}, {axis})": lambda x: x.roll(shift, axis),
        f"slice({first}, {last}, {step})": lambda x: x.movedim(axis, 1)[:, first:last:step],
        f"index {keep}": lambda x: x.movedim(axis, 1)[:, keep],
        f"index_select({axis}, {keep})": lambda x: x.index_select(axis, torch.tensor(keep)),
        f"mask {mask.tolist()}": lambda x: x.movedim(axis, 1)[:, mask],
        f"select({axis}, {first})": lambda x: x.select(axis, first),
        f"narrow({axis}, {first})": lambda x: x.narrow(axis, first, last - first),
        f"split({step}, {axis})": lambda x: torch.cat(x.split(step, axis)[::-1], axis),
        f"chunk({step}, {axis})": lambda x: torch.cat(x.chunk(step, axis)[::-1], axis),
        f"unbind({axis})": lambda x: torch.stack(x.unbind(axis)[::-1], axis),
        f"repeat_interleave({step}, {axis})": lambda x: x.repeat_interleave(step, axis),
        f"diff({axis})": lambda x: torch.cat([x, x], axis).diff(dim=axis),
    }
    name = draw(st.sampled_from(sorted(names)))
    return Variant(f"{name} along {axis}", shape, lambda: Call(names[name]))


@st.composite
def rearrangement(draw) -> Variant:
    factor = draw(st.sampled_from([2, 3]))
    depth, high, wide = (
        factor * factor * draw(st.integers(1, 2)),
        factor * draw(st.integers(1, 5)),
        factor * draw(st.integers(1, 5)),
    )
    high, wide = min(high, 15), min(wide, 15)
    order = draw(st.permutations([1, 2, 3]))
    times = [draw(st.integers(1, 3)) for _ in range(3)]
    kernel, gap, border, step = (draw(st.integers(low, most)) for low, most in ((1, 3), (1, 2), (0, 1), (1, 3)))
    names = {
        f"pixel_shuffle({factor})": lambda x: F.pixel_shuffle(x, factor),
        f"pixel_unshuffle({factor})": lambda x: F.pixel_unshuffle(x, factor),
        f"channel_shuffle({factor})": lambda x: F.channel_shuffle(x, factor),
        f"permute({order})": lambda x: x.permute(0, *order),
        "patches": lambda x: x.reshape(1, depth, high // factor, factor, wide // factor, factor)
        .permute(0, 2, 4, 3, 5, 1).reshape(1, -1, factor * factor * depth).softmax(-1),
        "flatten": lambda x: x.flatten(2).transpose(1, 2).softmax(-1),
        "heads": lambda x: x.flatten(2).transpose(1, 2).reshape(1, high * wide, factor, -1).transpose(1, 2).amax(2),
        f"repeat({times})": lambda x: x.repeat(1, *times),
        "expand": lambda x: x.mean((2, 3), keepdim=True).expand(-1, -1, high, wide) * x,
        "rot90": lambda x: torch.rot90(x, 1, (2, 3)),
        "transpose": lambda x: x.transpose(2, 3).contiguous().view(1, -1, depth) + 1,
        f"unfold({kernel}, {gap}, {border}, {step})": lambda x: F.unfold(x, kernel, gap, border, step),
        f"unfold and fold({kernel}, {border}, {step})": lambda x: F.fold(
            F.unfold(x, kernel, 1, border, step), (high, wide), kernel, 1, border, step),
        "cat": lambda x: torch.cat([x, x * 2, x.flip(1)], 1),
        "stack": lambda x: torch.stack([x, x * 2], 2).flatten(1, 2),
        "meshed": lambda x: x * torch.linspace(-1, 1, wide) + torch.arange(high)[:, None] / high,
    }  # fmt: skip
    name = draw(st.sampled_from(sorted(names)))
    return Variant(name, (depth, high, wide), lambda: Call(names[name]))


@st.composite
def activation(draw) -> Variant:
    shape = draw(shapes(2, least=1))
    a, b = draw(st.sampled_from([0.1, 0.5, 1.0, 2.5])), draw(st.sampled_from([0.5, 1.0, 2.0, 20.0]))
    low, high = draw(st.sampled_from([(-1.0, 1.0), (0.0, 6.0), (-0.5, 3.0), (0.2, 0.7)]))
    power = draw(st.sampled_from([0.5, 2.0, 3.0, -1.0, 1.5]))
    names = {
        "relu": F.relu, "relu6": F.relu6, "silu": F.silu, "sigmoid": torch.sigmoid, "tanh": torch.tanh,
        "hardswish": F.hardswish, "hardsigmoid": F.hardsigmoid, "mish": F.mish, "selu": F.selu,
        "logsigmoid": F.logsigmoid, "softsign": F.softsign, "tanhshrink": F.tanhshrink, "erf": torch.erf,
        "gelu": F.gelu, "gelu tanh": lambda x: F.gelu(x, approximate="tanh"),
        f"elu({a})": lambda x: F.elu(x, a), f"celu({a})": lambda x: F.celu(x, a),
        f"leaky_relu({a})": lambda x: F.leaky_relu(x, a), f"softplus({a}, {b})": lambda x: F.softplus(x, a, b),
        f"hardtanh({low}, {high})": lambda x: F.hardtanh(x, low, high),
        f"clamp({low})": lambda x: x.clamp(min=low), f"clamp(max={high})": lambda x: x.clamp(max=high),
        f"threshold({low}, {b})": lambda x: F.threshold(x, low, b),
        f"softshrink({a})": lambda x: F.softshrink(x, a), f"hardshrink({a})": lambda x: F.hardshrink(x, a),
        f"pow({power})": lambda x: (x.abs() + 0.1) ** power, "exp": torch.exp, "log1p": lambda x: x.abs().log1p(),
        "sqrt": lambda x: (x.abs() + 0.1).sqrt(), "rsqrt": lambda x: (x.abs() + 0.1).rsqrt(),
        f"lerp({a})": lambda x: torch.lerp(x, x.flip(1), a), f"addcmul({a})": lambda x: torch.addcmul(x, x, x, value=a),
        f"addcdiv({a})": lambda x: torch.addcdiv(x, x, x.abs() + 1, value=a), "atan": torch.atan, "sin": torch.sin,
        f"add alpha {a}": lambda x: torch.add(x, x.flip(2), alpha=a), f"rsub({a})": lambda x: torch.rsub(x, a),
        f"where({low})": lambda x: torch.where(x > low, x, a * x),
        f"masked_fill({low})": lambda x: x.masked_fill(x < low, b),
        "maximum": lambda x: torch.maximum(x, x.flip(3)), "minimum": lambda x: torch.minimum(x, x.flip(2)),
        "square": torch.square, "reciprocal": lambda x: torch.reciprocal(x.abs() + 0.3),
    }  # fmt: skip
    name = draw(st.sampled_from(sorted(names)))
    return Variant(name, shape, lambda: Call(names[name]))


class Linear(nn.Module):
    def __init__(self, width: int, out: int, bias: bool, kind: str) -> None:
        super().__init__()
        self.layer, self.kind = nn.Linear(width, out, bias), kind

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return {"plain": y, "relu": y.relu(), "residual": torch.cat([x, y], -1), "gated": y * x.mean(-1, True)}[
            self.kind
        ]


@st.composite
def linear(draw) -> Variant:
    width, tokens = draw(channels), draw(length)
    out, bias, kind = (
        draw(st.integers(1, 9)),
        draw(maybe),
        draw(st.sampled_from(["plain", "relu", "residual", "gated"])),
    )
    text = f"Linear({width}, {out}, {bias}) {kind}"
    return Variant(text, (width, tokens), lambda: Linear(width, out, bias, kind), tokens=True)


class Attention(nn.Module):
    """Self-attention with heads, a mask, or fewer keys than queries, as an author writes it."""

    def __init__(
        self, heads: int, shared: int, width: int, tokens: int, mask: str, scale: float | None, wide: float
    ) -> None:
        super().__init__()
        self.heads, self.shared, self.mask, self.scale = heads, shared, mask, scale
        self.q, self.kv = nn.Linear(heads, heads * width), nn.Linear(heads, 2 * (heads // shared) * width)
        self.q.weight.data *= wide
        self.register_buffer("kept", torch.rand(tokens, tokens) > 0.4)
        self.kept.fill_diagonal_(True)
        self.register_buffer("added", torch.randn(tokens, tokens))

    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[1]
        q = self.q(x).reshape(1, n, self.heads, -1).transpose(1, 2)
        k, v = self.kv(x).reshape(1, n, 2, self.heads // self.shared, -1).permute(2, 0, 3, 1, 4)
        mask = {"boolean": self.kept, "added": self.added}.get(self.mask)
        y = F.scaled_dot_product_attention(
            q, k, v, mask, is_causal=self.mask == "causal", scale=self.scale, enable_gqa=self.shared > 1
        )
        return y.transpose(1, 2).flatten(2)


@st.composite
def attention(draw) -> Variant:
    heads, shared = draw(st.sampled_from([(1, 1), (2, 1), (4, 1), (2, 2), (4, 2), (6, 3)]))
    width, tokens = draw(st.integers(1, 5)), draw(st.integers(2, SIDE))
    mask, scale = draw(st.sampled_from(["none", "boolean", "added", "causal"])), draw(st.sampled_from([None, 0.3]))
    wide = draw(st.sampled_from([1.0, 1.0, 3e4]))
    text = f"attention({heads=}, {shared=}, {width=}, {mask=}, {scale=}, {wide=})"
    make = lambda: Attention(heads, shared, width, tokens, mask, scale, wide)  # noqa: E731
    return Variant(text, (heads, tokens), make, tokens=True)


@st.composite
def product(draw) -> Variant:
    depth, tokens = draw(channels), draw(length)
    names = {
        "x xT": lambda x: x @ x.transpose(1, 2), "xT x": lambda x: x.transpose(1, 2) @ x,
        "bmm": lambda x: torch.bmm(x.softmax(-1), x.transpose(1, 2)),
        "einsum": lambda x: torch.einsum("bnc,bmc->bnm", x, x), "outer": lambda x: torch.einsum("bnc,bnd->bcd", x, x),
        "baddbmm": lambda x: torch.baddbmm(x, x @ x.transpose(1, 2), x, beta=0.5, alpha=0.3),
        "mean of products": lambda x: (x * x.roll(1, 1)).sum(-1),
        "broadcast": lambda x: x[:, :, None] * x[:, :, :, None],
    }  # fmt: skip
    name = draw(st.sampled_from(sorted(names)))
    return Variant(name, (depth, tokens), lambda: Call(names[name]), tokens=True)


KINDS = {
    "conv2d": convolution(2),
    "conv1d": convolution(1),
    "conv_transpose2d": transposed_convolution(2),
    "conv_transpose1d": transposed_convolution(1),
    "avg_pool2d": pool(2, True),
    "avg_pool1d": pool(1, True),
    "max_pool2d": pool(2, False),
    "max_pool1d": pool(1, False),
    "adaptive_pool2d": adaptive_pool(2),
    "adaptive_pool1d": adaptive_pool(1),
    "pad2d": padding(2),
    "pad1d": padding(1),
    "interpolate2d": resize(2),
    "interpolate1d": resize(1),
    "norm": norm(),
    "reduction": reduction(),
    "along_axis": along_axis(),
    "rearrangement": rearrangement(),
    "activation": activation(),
    "linear": linear(),
    "attention": attention(),
    "product": product(),
}
WITH_WEIGHTS = ("conv2d", "conv1d", "conv_transpose2d", "conv_transpose1d", "linear", "attention")
