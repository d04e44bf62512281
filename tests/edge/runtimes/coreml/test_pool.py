"""Pooling against windows walked over one by one."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from coremltools.converters.mil import Builder as mb
from torch.nn import functional as F

from tests.edge.runtimes.coreml._programs import run

pytestmark = pytest.mark.filterwarnings("ignore:.*the answer depends on the runtime")
RNG = np.random.default_rng(0)


def some(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def by_hand(x, kind, kernel, strides, pads, *, ceil=False, exclude=False):
    """Each window's values, with what is padding left out; `mean` divides by what lies in the input or its padding."""
    sizes = []
    for n, k, s, (before, after) in zip(x.shape[2:], kernel, strides, pads, strict=True):
        count = (math.ceil if ceil else math.floor)((n + before + after - k) / s) + 1
        sizes.append(count - 1 if ceil and (count - 1) * s >= n + before else count)
    found = np.zeros((*x.shape[:2], *sizes))
    for place in itertools.product(*map(range, sizes)):
        starts = [i * s - before for i, s, (before, _) in zip(place, strides, pads, strict=True)]
        window = [slice(max(a, 0), min(a + k, n)) for a, k, n in zip(starts, kernel, x.shape[2:], strict=True)]
        values = x[(slice(None), slice(None), *window)].astype(np.float64).reshape(*x.shape[:2], -1)
        counted = math.prod(
            min(a + k, n + after) - a for a, k, n, (_, after) in zip(starts, kernel, x.shape[2:], pads, strict=True)
        )
        here = (slice(None), slice(None), *place)
        if kind == "max":
            found[here] = values.max(-1)
        elif kind == "l2":
            found[here] = np.sqrt((values**2).sum(-1))
        else:
            found[here] = values.sum(-1) / (values.shape[-1] if exclude else counted)
    return found


def close(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


KERNEL, STRIDES, SIZES = [3, 2, 4], [2, 1, 3], [8, 5, 7]
PADS = {  # of the sizes above
    "valid": [(0, 0), (0, 0), (0, 0)],
    "same": [(0, 1), (0, 1), (1, 2)],
    "same_lower": [(1, 0), (1, 0), (2, 1)],
    "custom": [(1, 1), (1, 1), (2, 2)],
    "uneven": [(2, 0), (0, 1), (1, 3)],
    "wide": [(2, 2), (1, 1), (3, 3)],
}


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_every_padding(rank):
    kernel, strides, x = KERNEL[:rank], STRIDES[:rank], some(2, 3, *SIZES[:rank])

    def build(x):
        found = []
        for name, pads in PADS.items():
            given = {"x": x, "kernel_sizes": kernel, "strides": strides, "pad_type": name}
            if name in {"custom", "uneven", "wide"}:
                given |= {"pad_type": "custom", "pad": [n for pair in pads[:rank] for n in pair]}
            found += [
                mb.max_pool(**given),
                mb.avg_pool(**given),
                mb.avg_pool(**given, exclude_padding_from_average=True),
            ]
            if rank < 3:
                found.append(mb.l2_pool(**given))
        return tuple(found)

    answers = iter(run(build, {"x": x}))
    for pads in PADS.values():
        pads = pads[:rank]
        close(next(answers), by_hand(x, "max", kernel, strides, pads))
        close(next(answers), by_hand(x, "mean", kernel, strides, pads))
        close(next(answers), by_hand(x, "mean", kernel, strides, pads, exclude=True))
        if rank < 3:
            close(next(answers), by_hand(x, "l2", kernel, strides, pads))
    assert next(answers, None) is None


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("pad", [0, 1, 2])
def test_ceil_mode(rank, pad):
    kernel, strides, x = [3, 2][:rank], [2, 3][:rank], some(1, 2, *[8, 9][:rank])
    pads = [(pad, pad), (pad // 2, pad // 2)][:rank]  # 2 of 3 is more than torch pads by itself

    def build(x):
        given = {"x": x, "kernel_sizes": kernel, "strides": strides, "pad_type": "custom", "ceil_mode": True}
        given["pad"] = [n for pair in pads for n in pair]
        return (
            mb.max_pool(**given),
            mb.avg_pool(**given),
            mb.avg_pool(**given, exclude_padding_from_average=True),
            mb.l2_pool(**given),
        )

    found = run(build, {"x": x})
    close(found[0], by_hand(x, "max", kernel, strides, pads, ceil=True))
    close(found[1], by_hand(x, "mean", kernel, strides, pads, ceil=True))
    close(found[2], by_hand(x, "mean", kernel, strides, pads, ceil=True, exclude=True))
    close(found[3], by_hand(x, "l2", kernel, strides, pads, ceil=True))


def test_strides_are_one_where_none_are_given_and_maxima_of_negative_values_are_not_zero():
    x = -np.abs(some(1, 1, 4, 4)) - 1

    def build(x):
        return (
            mb.max_pool(x=x, kernel_sizes=[2, 2], pad_type="same_lower"),
            mb.avg_pool(x=x, kernel_sizes=[2, 2], pad_type="valid"),
        )

    largest, mean = run(build, {"x": x})
    close(largest, by_hand(x, "max", [2, 2], [1, 1], [(1, 0), (1, 0)]))
    close(mean, by_hand(x, "mean", [2, 2], [1, 1], [(0, 0), (0, 0)]))
    assert largest.max() < 0


def test_fp16_is_rounded_once():
    x = some(1, 4, 9, 9)
    found = run(
        lambda x: (
            mb.avg_pool(x=x, kernel_sizes=[3, 3], pad_type="valid"),
            mb.max_pool(x=x, kernel_sizes=[3, 3], pad_type="valid"),
        ),
        {"x": x},
        half=True,
    )
    half = torch.from_numpy(x).half().float()
    np.testing.assert_array_equal(found[0], F.avg_pool2d(half, 3, 1).half().float().numpy())
    np.testing.assert_array_equal(found[1], F.max_pool2d(half, 3, 1).numpy())
