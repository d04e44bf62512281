"""The same values in another shape or order, held against NumPy, torch and coremltools' own NumPy semantics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import types

from edge.errors import InputError
from tests.edge.runtimes.coreml._programs import TARGETS, run


def counting(*shape: int, dtype: type = np.float32) -> np.ndarray:
    return np.arange(1, 1 + np.prod(shape, dtype=int)).reshape(shape).astype(dtype)


def folded(build, x: np.ndarray, ios: int = 16) -> list[np.ndarray]:
    """What coremltools itself computes for `build` on a constant."""
    found: list[np.ndarray] = []

    @mb.program(input_specs=[mb.TensorSpec(shape=(1,), dtype=types.fp32)], opset_version=TARGETS[ios])
    def program(unused):
        results = build(x)
        found.extend(np.asarray(one.val) for one in (results if isinstance(results, tuple) else (results,)))
        return unused

    return found


def same(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == np.shape(other) or (np.shape(other) == () and one.shape == (1,))
        np.testing.assert_array_equal(one.reshape(np.shape(other)), other)


def check_folded(build, x: np.ndarray, ios: int = 16) -> None:
    same(run(build, {"x": x}, ios=ios), folded(build, x, ios))


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_shapes_and_orders_are_those_of_coremltools(dtype):
    def build(x):
        return (
            mb.reshape(x=x, shape=[4, 1, 6]), mb.reshape(x=x, shape=[-1, 8]), mb.reshape(x=x, shape=[1, 0, -1]),
            mb.transpose(x=x, perm=[2, 0, 1]), mb.transpose(x=x, perm=[-1, 1, -3]),
            mb.expand_dims(x=x, axes=[0]), mb.expand_dims(x=x, axes=[-1, 1]), mb.expand_dims(x=x, axes=[3, -5]),
            mb.flatten2d(x=x), mb.flatten2d(x=x, axis=-1),
            mb.reverse(x=x), mb.reverse(x=x, axes=[1]), mb.reverse(x=x, axes=[-1, 0]),
        )  # fmt: skip

    check_folded(build, counting(2, 3, 4, dtype=dtype))


def test_a_zero_in_a_new_shape_counts_from_the_right_since_ios_17():
    def build(x):
        return (
            mb.reshape(x=x, shape=[1, 0, -1, 0]), mb.reshape(x=x, shape=[0, 0]), mb.reshape(x=x, shape=[-1]),
            mb.reshape(x=x, shape=[0, 0, 0]), mb.reshape(x=x, shape=[2, -1, 0]),
        )  # fmt: skip

    x = counting(2, 50)
    found = run(build, {"x": x}, ios=17)
    assert [one.shape for one in found] == [(1, 1, 2, 50), (2, 50), (100,), (1, 2, 50), (2, 1, 50)]
    same(found, folded(build, x, ios=17))


def test_a_new_shape_may_be_computed():
    x = counting(2, 3, 4)
    shape = np.array([-1, 3, 2], np.int32)
    (found,) = run(lambda x, shape: mb.reshape(x=x, shape=shape), {"x": x, "shape": shape})
    np.testing.assert_array_equal(found, x.reshape(4, 3, 2))
    with pytest.raises(InputError, match="reshape"):
        run(lambda x, shape: mb.reshape(x=x, shape=shape), {"x": x, "shape": np.array([5, 0, 1], np.int32)})
    with pytest.raises(InputError, match=r"reshape.*needs 3 places"):
        run(lambda x, shape: mb.reshape(x=x, shape=shape), {"x": x, "shape": np.array([0, 12], np.int32)})


def test_flattening_from_the_first_axis_on_gives_one_row():
    x = counting(2, 3, 4)
    same(run(lambda x: mb.flatten2d(x=x, axis=0), {"x": x}), [x.reshape(1, 24)])


def test_squeeze_keeps_axes_that_are_longer_than_one():
    def build(x):
        return mb.squeeze(x=x), mb.squeeze(x=x, axes=[0]), mb.squeeze(x=x, axes=[-2, 0]), mb.squeeze(x=x, axes=[1, 2])

    x = counting(1, 3, 1, 2)
    same(run(build, {"x": x}), [x[0, :, 0], x[0], x[0, :, 0], x[:, :, 0]])


def test_the_shape_itself_is_an_answer():
    (found,) = run(lambda x: mb.shape(x=mb.identity(x=x)), {"x": counting(2, 3, 4)})
    assert found.tolist() == [2, 3, 4]


@pytest.mark.parametrize(
    ("parts", "shape"),
    [
        (((2, 3, 30), 0, 2, False), (2, 3)),
        (((2, 3, 30), -2, 0, True), (3, 30)),
        (((7, 2, 3), 1, -1, False), (2,)),
    ],
)
def test_reshape_like_joins_parts_of_shapes(parts, shape):
    """A part of the first reference, and all but the first axis of the second."""
    first, begin, end, to_last = parts
    x, a, b = counting(*shape, 5, 6).reshape(-1), counting(*first), counting(1, 5, 6)

    def build(x, a, b):
        like = mb.reshape_like(x=x, ref_tensors=(a, b), begins=(begin, 1), ends=(end, 0), end_masks=(to_last, True))
        return like, mb.reshape_like(x=like, ref_tensors=(x,), begins=(0,), ends=(1,), end_masks=(False,))

    same(run(build, {"x": x, "a": a, "b": b}, ios=17), [x.reshape(*shape, 5, 6), x])


def blocks_to_channels(x: np.ndarray, b: int) -> np.ndarray:
    """Channel (row, column, c) of the result is every b-th pixel of channel c from (row, column) on."""
    return np.concatenate([x[:, :, row::b, column::b] for row in range(b) for column in range(b)], axis=1)


def test_space_and_depth():
    b = 3
    x = counting(2, 5, 6, 9)
    deep = blocks_to_channels(x, b)

    def build(x, deep):
        return (
            mb.space_to_depth(x=x, block_size=b), mb.depth_to_space(x=deep, block_size=b),
            mb.pixel_unshuffle(x=x, downscale_factor=np.uint32(b)), mb.pixel_shuffle(x=deep, upscale_factor=b),
        )  # fmt: skip

    held = torch.from_numpy(x)
    expected = [
        deep, x, torch.nn.functional.pixel_unshuffle(held, b).numpy(),
        torch.nn.functional.pixel_shuffle(torch.from_numpy(deep), b).numpy(),
    ]  # fmt: skip
    same(run(build, {"x": x, "deep": deep}), expected)
    assert not np.array_equal(expected[0], expected[2])  # the two orders of channels differ


def test_space_and_batch():
    x = counting(2, 3, 4, 5)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 4)))
    parts = np.concatenate([padded[:, :, row::2, column::3] for row in range(2) for column in range(3)])

    def build(x, parts):
        return (
            mb.space_to_batch(x=x, block_shape=[2, 3], paddings=[[1, 1], [0, 4]]),
            mb.batch_to_space(x=parts, block_shape=[2, 3], crops=[[1, 1], [0, 4]]),
            mb.batch_to_space(x=parts, block_shape=[2, 3], crops=[[0, 0], [0, 0]]),
        )

    same(run(build, {"x": x, "parts": parts}), [parts, x, padded])


@pytest.mark.parametrize(("seq", "batch"), [(0, 1), (2, 0), (-1, 1), (1, -1)])
def test_reverse_sequence(seq, batch):
    x = counting(3, 4, 5)
    lengths = np.array([0, 2, 3, 1, 3], np.int32)[: x.shape[batch]]
    (found,) = run(
        lambda x, n: mb.reverse_sequence(x=x, lengths=n, seq_axis=seq, batch_axis=batch), {"x": x, "n": lengths}
    )
    expected = x.copy()
    for member, length in enumerate(lengths):
        # views of the copy, with the sequence first
        of_member = np.moveaxis(expected, (batch, seq), (0, 1))[member]
        of_member[:length] = of_member[:length][::-1].copy()
    np.testing.assert_array_equal(found, expected)


def test_moving_does_not_change_values_of_half_precision():
    x = np.linspace(-3, 3, 24, dtype=np.float32).reshape(1, 4, 2, 3)

    def build(x):
        return mb.transpose(x=x, perm=[0, 2, 3, 1]), mb.depth_to_space(x=x, block_size=2), mb.reverse(x=x, axes=[1])

    rounded = x.astype(np.float16).astype(np.float32)
    found = run(build, {"x": x}, half=True)
    same([found[0], found[2]], [rounded.transpose(0, 2, 3, 1), rounded[:, ::-1]])
    assert not np.array_equal(rounded, x)
