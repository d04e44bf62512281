"""Convolutions against one written out in NumPy: every padding, strides, dilations, groups, 1 to 3 dimensions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from coremltools.converters.mil import Builder as mb
from torch.nn import functional as F

from edge.runtimes.coreml.ops.conv import conv_quantized
from tests.edge.runtimes.coreml._programs import run

RNG = np.random.default_rng(0)


def some(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def by_hand(x, weight, bias=None, strides=None, pads=None, dilations=None, groups=1):
    """A sum over the places of the kernel, in float64."""
    rank = x.ndim - 2
    strides, dilations, pads = strides or [1] * rank, dilations or [1] * rank, pads or [(0, 0)] * rank
    x = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *pads])
    sizes = [
        (n - (k - 1) * d - 1) // s + 1
        for n, k, d, s in zip(x.shape[2:], weight.shape[2:], dilations, strides, strict=True)
    ]
    outs, ins = weight.shape[0] // groups, weight.shape[1]
    found = np.zeros((len(x), weight.shape[0], *sizes))
    for place in itertools.product(*map(range, weight.shape[2:])):
        where = [
            slice(p * d, p * d + (n - 1) * s + 1, s)
            for p, d, n, s in zip(place, dilations, sizes, strides, strict=True)
        ]
        part = x[(slice(None), slice(None), *where)]
        for g in range(groups):
            taken = part[:, g * ins : (g + 1) * ins]
            kernel = weight[(slice(g * outs, (g + 1) * outs), slice(None), *place)].astype(np.float64)
            found[:, g * outs : (g + 1) * outs] += np.einsum("nc...,oc->no...", taken, kernel)
    return found if bias is None else found + bias.reshape([-1] + [1] * rank)


def close(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-5)


def test_the_default_is_no_padding_and_the_bias_is_added():
    x, w, b = some(2, 3, 7, 6), some(4, 3, 3, 2), some(4)
    plain, biased = run(lambda x: (mb.conv(x=x, weight=w), mb.conv(x=x, weight=w, bias=b)), {"x": x}, ios=15)
    close(plain, by_hand(x, w))
    close(biased, by_hand(x, w, b))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_same_gives_the_ceiling_and_its_odd_padding_goes_to_the_end_or_the_start(rank):
    # sizes 7, 5, 4 with strides 2, 1, 3 and kernels 2, 4, 3: ceilings 4, 5, 2 and totals of padding 1, 3, 2
    sizes, kernel, strides = [7, 5, 4][:rank], [2, 4, 3][:rank], [2, 1, 3][:rank]
    x, w = some(1, 2, *sizes), some(3, 2, *kernel)

    def build(x):
        return tuple(mb.conv(x=x, weight=w, strides=strides, pad_type=kind) for kind in ("same", "same_lower"))

    upper, lower = run(build, {"x": x}, ios=16)
    close(upper, by_hand(x, w, strides=strides, pads=[(0, 1), (1, 2), (1, 1)][:rank]))
    close(lower, by_hand(x, w, strides=strides, pads=[(1, 0), (2, 1), (1, 1)][:rank]))
    assert upper.shape[2:] == (4, 5, 2)[:rank]


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_custom_padding_dilations_and_groups(rank):
    sizes, kernel = [9, 8, 7][:rank], [3, 2, 2][:rank]
    strides, dilations = [2, 1, 1][:rank], [2, 3, 1][:rank]
    pads, even = [(1, 2), (0, 3), (2, 0)][:rank], [(1, 1), (2, 2), (0, 0)][:rank]
    x, w, b, deep = some(2, 4, *sizes), some(6, 2, *kernel), some(6), some(8, 1, *kernel)

    def build(x):
        same = {"x": x, "pad_type": "custom", "strides": strides, "dilations": dilations}
        return (
            mb.conv(weight=w, bias=b, pad=[n for pair in pads for n in pair], groups=2, **same),
            mb.conv(weight=deep, pad=[n for pair in even for n in pair], groups=4, **same),
        )

    grouped, depthwise = run(build, {"x": x})
    close(grouped, by_hand(x, w, b, strides, pads, dilations, 2))
    close(depthwise, by_hand(x, deep, None, strides, even, dilations, 4))


def test_padding_that_is_given_without_custom_is_ignored():
    x, w = some(1, 2, 6, 6), some(3, 2, 3, 3)
    (found,) = run(lambda x: mb.conv(x=x, weight=w, pad_type="valid", pad=[1, 1, 1, 1]), {"x": x})
    close(found, by_hand(x, w))


def test_a_weight_may_be_computed():
    x, w = some(1, 2, 6, 6), some(3, 2, 3, 3)
    found = run(lambda x, w: mb.conv(x=x, weight=w, pad_type="same"), {"x": x, "w": w})
    close(found[0], by_hand(x, w, pads=[(1, 1), (1, 1)]))


def test_fp16_is_rounded_once_after_the_sum():
    x, w, b = some(1, 64, 6, 6), some(8, 64, 3, 3), some(8)
    (found,) = run(lambda x: mb.conv(x=x, weight=w, bias=b), {"x": x}, half=True)
    half = [torch.from_numpy(v).half().float() for v in (x, w, b)]
    np.testing.assert_array_equal(found, F.conv2d(*half).half().float().numpy())


def scattered(x, weight, strides, dilations, groups):
    """The full transposed convolution: every value adds its kernel where it lies."""
    kernel, rank = weight.shape[2:], x.ndim - 2
    full = [(n - 1) * s + (k - 1) * d + 1 for n, s, k, d in zip(x.shape[2:], strides, kernel, dilations, strict=True)]
    ins, outs = weight.shape[0] // groups, weight.shape[1]
    found = np.zeros((len(x), outs * groups, *full))
    for place in itertools.product(*map(range, kernel)):
        where = tuple(
            slice(p * d, p * d + (n - 1) * s + 1, s)
            for p, d, n, s in zip(place, dilations, x.shape[2:], strides, strict=True)
        )
        for g in range(groups):
            taken = x[:, g * ins : (g + 1) * ins].astype(np.float64)
            part = weight[(slice(g * ins, (g + 1) * ins), slice(None), *place)].astype(np.float64)
            channels = slice(g * outs, (g + 1) * outs)
            found[(slice(None), channels, *where)] += np.einsum("nc...,co->no...", taken, part)
    assert rank == len(full)
    return found


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_transposed_convolution_is_the_full_one_without_its_padding(rank):
    sizes, kernel = [5, 4, 3][:rank], [3, 4, 2][:rank]
    strides, dilations = [2, 1, 3][:rank], [2, 1, 1][:rank]
    x, w, b = some(2, 4, *sizes), some(4, 3, *kernel), some(6)
    pads = [(1, 2), (2, 0), (0, 1)][:rank]

    def build(x):
        same = {"x": x, "weight": w, "strides": strides, "dilations": dilations, "groups": 2}
        flat = [n for pair in pads for n in pair]
        even = [n for before, _ in pads for n in (before, before)]
        return (
            mb.conv_transpose(**same, bias=b),
            mb.conv_transpose(**same, bias=b, pad_type="custom", pad=flat),
            mb.conv_transpose(**same, pad_type="custom", pad=even),
        )

    whole, cut, even = run(build, {"x": x})
    full = scattered(x, w, strides, dilations, 2)
    biased = full + b.reshape([-1] + [1] * rank)
    close(whole, biased)

    def inner(pairs):
        return (slice(None), slice(None), *(slice(p, n - q) for (p, q), n in zip(pairs, full.shape[2:], strict=True)))

    close(cut, biased[inner(pads)])
    close(even, full[inner([(p, p) for p, _ in pads])])


def test_a_transposed_convolution_with_same_padding_multiplies_the_size():
    x, w, b = some(1, 2, 4, 5), some(2, 3, 4, 3), some(3)
    small = some(2, 3, 1, 2)

    def build(x):
        return (
            mb.conv_transpose(x=x, weight=w, bias=b, pad_type="same", strides=[2, 2]),
            mb.conv_transpose(x=x, weight=w, pad_type="same", strides=[2, 2], output_shape=[1, 3, 7, 9]),
            mb.conv_transpose(x=x, weight=small, bias=b, pad_type="same", strides=[3, 4]),
        )

    doubled, shorter, sparse = run(build, {"x": x})
    full = scattered(x, w, [2, 2], [1, 1], 1)  # 10 x 11
    close(doubled, full[:, :, 1:9, 0:10] + b.reshape(-1, 1, 1))
    close(shorter, full[:, :, 1:8, 1:10])
    reached = scattered(x, small, [3, 4], [1, 1], 1)  # 10 x 18, two rows and columns short of the size
    close(sparse, np.pad(reached, [(0, 0), (0, 0), (0, 2), (0, 2)]) + b.reshape(-1, 1, 1))


def test_output_shape_decides_an_ambiguous_size():
    x, w, b = some(1, 2, 4, 5), some(2, 3, 3, 3), some(3)
    custom = {"pad_type": "custom", "pad": [1, 1, 1, 1], "strides": [2, 2]}

    def build(x):
        return (
            mb.conv_transpose(x=x, weight=w, bias=b, output_shape=[1, 3, 8, 9], **custom),
            mb.conv_transpose(x=x, weight=w, bias=b, output_shape=[1, 3, 7, 9], **custom),
            mb.conv_transpose(x=x, weight=w, bias=b, strides=[2, 2], output_shape=[1, 3, 12, 13]),
        )

    longer, plain, beyond = run(build, {"x": x})
    full = np.pad(scattered(x, w, [2, 2], [1, 1], 1), [(0, 0), (0, 0), (0, 3), (0, 3)]) + b.reshape(-1, 1, 1)
    close(longer, full[:, :, 1:9, 1:10])
    close(plain, full[:, :, 1:8, 1:10])
    close(beyond, full[:, :, :12, :13])


def test_a_quantised_weight_is_value_times_scale_plus_bias():
    x = torch.from_numpy(some(1, 2, 5, 5))
    w = torch.from_numpy(RNG.integers(0, 256, (3, 2, 3, 3), dtype=np.uint8))
    scale, bias = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([-1.0, 0.0, 2.0])
    found = conv_quantized(x, w, "linear", scale, bias)
    real = w.numpy() * scale.numpy().reshape(-1, 1, 1, 1) + bias.numpy().reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(found.numpy(), by_hand(x.numpy(), real), rtol=1e-4, atol=1e-3)
    with pytest.raises(ValueError, match="lut"):
        conv_quantized(x, w, "lut", scale, bias)
