"""Matrix products and attention against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from coremltools.converters.mil import Builder as mb

from tests.edge.runtimes.coreml._programs import run

RNG = np.random.default_rng(0)


def some(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def close(found, expected) -> None:
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("shape", [(6,), (4, 6), (2, 4, 6)])
def test_linear(shape):
    x, w, b = some(*shape), some(5, 6), some(5)
    plain, biased = run(lambda x: (mb.linear(x=x, weight=w), mb.linear(x=x, weight=w, bias=b)), {"x": x})
    close(plain, x @ w.T)
    close(biased, x @ w.T + b)


def test_whole_numbers():
    x = RNG.integers(-9, 9, (3, 6)).astype(np.int32)
    w, b = RNG.integers(-9, 9, (5, 6)).astype(np.int32), RNG.integers(-9, 9, 5).astype(np.int32)
    found = run(lambda x: (mb.linear(x=x, weight=w, bias=b), mb.matmul(x=x, y=w, transpose_y=True)), {"x": x})
    np.testing.assert_array_equal(found[0], x @ w.T + b)
    np.testing.assert_array_equal(found[1], x @ w.T)


def test_a_constant_of_another_type_follows_the_input():
    x, w = some(3, 6), some(6, 5).astype(np.float16)
    found = run(lambda x: (mb.matmul(x=x, y=w), mb.linear(x=x, weight=w.T.copy())), {"x": x}, ios=17)
    for one in found:
        close(one, x @ w.astype(np.float32))


@pytest.mark.parametrize(
    ("left", "right", "flips"),
    [
        ((4, 6), (6, 5), (False, False)),
        ((6, 4), (6, 5), (True, False)),
        ((2, 4, 6), (5, 6), (False, True)),
        ((3, 1, 6, 4), (2, 5, 6), (True, True)),
        ((6,), (2, 6, 5), (False, False)),
        ((6,), (2, 5, 6), (False, True)),
    ],
)
def test_matmul_broadcasts_and_transposes(left, right, flips):
    x, y = some(*left), some(*right)
    (found,) = run(lambda x, y: mb.matmul(x=x, y=y, transpose_x=flips[0], transpose_y=flips[1]), {"x": x, "y": y})
    close(found, (np.swapaxes(x, -1, -2) if flips[0] else x) @ (np.swapaxes(y, -1, -2) if flips[1] else y))


@pytest.mark.parametrize(
    ("equation", "left", "right"),
    [
        ("nchw,nwhu->nchu", (2, 3, 4, 5), (2, 5, 4, 6)),
        ("nchw,nwhu->nchu", (2, 3, 1, 5), (1, 5, 4, 6)),
        ("abcd,adce->abce", (1, 3, 4, 5), (2, 5, 4, 6)),
        ("chw,whr->chr", (3, 4, 5), (5, 4, 6)),
        ("chw,whr->chr", (3, 4, 5), (5, 1, 6)),
    ],
)
def test_einsum(equation, left, right):
    x, y = some(*left), some(*right)
    (found,) = run(lambda x, y: mb.einsum(values=(x, y), equation=equation), {"x": x, "y": y})
    # rows c of x times columns u of y, for every n and h
    expected = np.swapaxes(np.matmul(np.swapaxes(x, -3, -2), np.swapaxes(y, -3, -2)), -3, -2)
    close(found, expected)


@pytest.mark.parametrize("batch", [(3,), (2, 3), (2, 3, 2)])
@pytest.mark.parametrize("kind", ["none", "bool", "float"])
def test_attention(batch, kind):
    query, key, value = some(*batch, 5, 8), some(*batch, 7, 8), some(*batch, 7, 6)
    inputs = {"query": query, "key": key, "value": value}
    added = np.zeros((5, 7))
    mask = None
    if kind == "bool":
        mask = RNG.random((1, 5, 7)) > 0.4
        mask[..., 0] = True
        added = np.where(mask, 0.0, -np.inf)
    elif kind == "float":
        mask = added = some(1, 5, 7)
    if mask is not None:
        inputs["mask"] = mask.astype(np.float32)

    def build(query, key, value, mask=None):
        if kind == "bool":
            mask = mb.cast(x=mask, dtype="bool")
        given = {} if mask is None else {"attn_mask": mask}
        return mb.scaled_dot_product_attention(query=query, key=key, value=value, **given)

    (found,) = run(build, inputs, ios=18)
    scores = query.astype(np.float64) @ np.swapaxes(key, -1, -2) / np.sqrt(8) + added
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    close(found, weights / weights.sum(-1, keepdims=True) @ value)


def test_fp16_is_rounded_once_after_the_sum():
    x, w, b = some(4, 256), some(16, 256), some(16)
    (found,) = run(lambda x: mb.linear(x=x, weight=w, bias=b), {"x": x}, half=True)
    half = [torch.from_numpy(v).half().float() for v in (x, w, b)]
    expected = torch.nn.functional.linear(*half).half().float().numpy()
    np.testing.assert_array_equal(found, expected)
