"""Parts of a tensor, padding, tiling, joining, held against NumPy and coremltools' own NumPy semantics."""

from __future__ import annotations

import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb

from edge.errors import InputError
from tests.edge.runtimes.coreml._programs import run
from tests.edge.runtimes.coreml.test_shape import check_folded, counting, same

CUTS: list[dict] = [
    {"begin": [0, 1, 2], "end": [1, 3, 4]},
    {"begin": [0, -2, -4], "end": [2, -1, 4]},
    {"begin": [0, 0, 0], "end": [2, 3, 5], "stride": [1, 2, 3]},
    {"begin": [1, 2, 4], "end": [0, 0, 1], "stride": [-1, -1, -2]},
    {"begin": [-1, -1, -1], "end": [-2, -3, -5], "stride": [-1, -1, -3]},
    {"begin": [0, 1, 1], "end": [0, 0, 3], "begin_mask": [True, False, True], "end_mask": [True, True, False]},
    {
        "begin": [0, 0, 3],
        "end": [0, 0, 0],
        "stride": [-1, 1, -2],
        "begin_mask": [True, True, False],
        "end_mask": [True] * 3,
    },
    {"begin": [1, 0, 1], "end": [0, 2, 9], "squeeze_mask": [True, False, False]},
    {"begin": [0, -1, 4], "end": [0, 0, 0], "stride": [1, 1, -1], "squeeze_mask": [True, True, False]},
]


def test_slices_by_index_are_those_of_coremltools():
    check_folded(lambda x: tuple(mb.slice_by_index(x=x, **cut) for cut in CUTS), counting(2, 3, 5))
    check_folded(lambda x: tuple(mb.slice_by_index(x=x, **cut) for cut in CUTS), counting(2, 3, 5, dtype=np.int32), 17)


def test_squeezing_every_axis_gives_a_scalar():
    x = counting(2, 3)
    (found,) = run(lambda x: mb.slice_by_index(x=x, begin=[1, -1], end=[0, 0], squeeze_mask=[True, True]), {"x": x})
    assert found.reshape(-1).tolist() == [6]


def test_begin_and_end_may_be_computed():
    x = counting(4, 5)

    def build(x, begin, end):
        return mb.slice_by_index(x=x, begin=begin, end=end, stride=[-1, 1])

    begin, end = np.array([3, 1], np.int32), np.array([0, -1], np.int32)
    (found,) = run(build, {"x": x, "begin": begin, "end": end})
    np.testing.assert_array_equal(found, x[3:0:-1, 1:-1])


def test_slice_update_replaces_what_slice_by_index_gives():
    x = counting(2, 3, 5)
    parts = run(lambda x: tuple(mb.slice_by_index(x=x, **cut) for cut in CUTS), {"x": x})
    updates = [-10 * counting(*part.shape) for part in parts]

    def build(x, **updates):
        return tuple(mb.slice_update(x=x, update=u, **cut) for u, cut in zip(updates.values(), CUTS, strict=True))

    found = run(build, {"x": x, **{f"u{i}": update for i, update in enumerate(updates)}}, ios=18)
    for one, update, cut in zip(found, updates, CUTS, strict=True):
        changed = np.isin(one, update)
        np.testing.assert_array_equal(one[~changed], x[~changed])
        index = []
        for axis in range(3):
            if cut.get("squeeze_mask", [0] * 3)[axis]:
                index.append(cut["begin"][axis])
                continue
            first = None if cut.get("begin_mask", [0] * 3)[axis] else cut["begin"][axis]
            last = None if cut.get("end_mask", [0] * 3)[axis] else cut["end"][axis]
            index.append(slice(first, last, cut.get("stride", [1] * 3)[axis]))
        expected = x.copy()
        expected[tuple(index)] = update
        np.testing.assert_array_equal(one, expected)


def test_slices_by_size():
    check_folded(
        lambda x: (
            mb.slice_by_size(x=x, begin=[0, 1, 2], size=[1, 2, 3]),
            mb.slice_by_size(x=x, begin=[1, 0, -3], size=[-1, -1, 2]),
        ),
        counting(2, 3, 5),
    )
    begin = np.array([1, 4], np.int32)
    with pytest.raises(InputError, match="slice_by_size"):
        run(lambda x, begin: mb.slice_by_size(x=x, begin=begin, size=[1, 2]), {"x": counting(2, 5), "begin": begin})


@pytest.mark.parametrize(("axis", "size", "stride"), [(1, 2, 1), (-1, 3, 2), (0, 1, 1), (-2, 4, 3)])
def test_sliding_windows(axis, size, stride):
    x = counting(2, 4, 7)
    (found,) = run(lambda x: mb.sliding_windows(x=x, axis=axis, size=size, stride=stride), {"x": x})
    windows = [np.take(x, range(first, first + size), axis) for first in range(0, x.shape[axis] - size + 1, stride)]
    np.testing.assert_array_equal(found, np.stack(windows, axis if axis >= 0 else x.ndim + axis))


def test_split():
    x = counting(3, 6)

    def build(x):
        return (
            *mb.split(x=x, num_splits=3, axis=-1),
            *mb.split(x=x, split_sizes=[1, 3, 2], axis=1),
            *mb.split(x=x, num_splits=2, split_sizes=[1, 2], axis=0),
        )

    expected = [*np.split(x, 3, -1), *np.split(x, [1, 4], 1), *np.split(x, [1], 0)]
    same(run(build, {"x": x}), expected)


def test_joining():
    x, y, z = counting(2, 3), -counting(2, 3), counting(2, 5) + 100

    def build(x, y, z):
        return (
            mb.concat(values=(x, y), axis=0), mb.concat(values=(x, z, y), axis=-1),
            mb.concat(values=(x, y), axis=0, interleave=True), mb.concat(values=(x, y, x), axis=-1, interleave=True),
            mb.concat(values=(x, np.float32([[7, 8, 9]])), axis=0),
            mb.stack(values=(x, y), axis=0), mb.stack(values=(x, y), axis=-1), mb.stack(values=(y, x, y), axis=1),
        )  # fmt: skip

    turns = np.empty((2, 9), np.float32)
    turns[:, 0::3], turns[:, 1::3], turns[:, 2::3] = x, y, x
    expected = [
        np.concatenate([x, y]), np.concatenate([x, z, y], 1), np.stack([x[0], y[0], x[1], y[1]]), turns,
        np.concatenate([x, [[7, 8, 9]]]), np.stack([x, y]), np.stack([x, y], -1), np.stack([y, x, y], 1),
    ]  # fmt: skip
    same(run(build, {"x": x, "y": y, "z": z}), expected)


def test_padding_is_that_of_coremltools():
    def build(x):
        return (
            mb.pad(x=x, pad=[1, 2], mode="constant"),
            mb.pad(x=x, pad=[0, 1, 2, 0], mode="constant", constant_val=-3.5),
            mb.pad(x=x, pad=[1, 0, 0, 0, 2, 3], mode="constant", constant_val=9.0),
            mb.pad(x=x, pad=[1, 2], mode="reflect"), mb.pad(x=x, pad=[2, 1, 3, 0], mode="reflect"),
            mb.pad(x=x, pad=[1, 1, 0, 2, 1, 3], mode="reflect"),
            mb.pad(x=x, pad=[3, 2], mode="replicate"), mb.pad(x=x, pad=[1, 1, 0, 2, 5, 0], mode="replicate"),
        )  # fmt: skip

    check_folded(build, counting(2, 3, 4))


def test_padding_may_be_computed():
    x, sides = counting(2, 3), np.array([0, 1, 2, 0], np.int32)
    (found,) = run(lambda x, sides: mb.pad(x=x, pad=sides), {"x": x, "sides": sides})
    np.testing.assert_array_equal(found, np.pad(x, [(0, 1), (2, 0)]))
    with pytest.raises(InputError, match=r"pad.*cannot be made"):
        run(lambda x, sides: mb.pad(x=x, pad=sides), {"x": x, "sides": np.array([0, 2**30, 0, 0], np.int32)})
    with pytest.raises(InputError, match=r"pad.*cannot pad 2 values by 2"):
        run(lambda x, sides: mb.pad(x=x, pad=sides, mode="reflect"), {"x": x, "sides": sides + 1})


def test_tiles_and_bands_are_those_of_coremltools():
    def build(x):
        return (
            mb.tile(x=x, reps=[1, 2, 3]), mb.tile(x=x, reps=[2, 1, 1]),
            mb.band_part(x=x), mb.band_part(x=x, lower=0, upper=-1), mb.band_part(x=x, lower=-1, upper=0),
            mb.band_part(x=x, lower=1, upper=2), mb.band_part(x=x, lower=0, upper=0), mb.band_part(x=x, lower=2),
        )  # fmt: skip

    check_folded(build, counting(2, 4, 5))
    check_folded(build, counting(2, 5, 3, dtype=np.int32))


def test_outside_of_a_band_nothing_is_left_of_infinities():
    x = np.full((2, 2), np.inf, np.float32)
    (found,) = run(lambda x: mb.band_part(x=x, lower=0, upper=0), {"x": x})
    np.testing.assert_array_equal(found, [[np.inf, 0], [0, np.inf]])


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_cumulative_sums(dtype):
    x = counting(3, 4, 2, dtype=dtype)

    def build(x):
        return (
            mb.cumsum(x=x), mb.cumsum(x=x, axis=1), mb.cumsum(x=x, axis=-1, reverse=True),
            mb.cumsum(x=x, axis=1, exclusive=True), mb.cumsum(x=x, axis=0, exclusive=True, reverse=True),
        )  # fmt: skip

    def total(x: np.ndarray, axis: int) -> np.ndarray:
        return np.cumsum(x, axis)

    expected = [
        total(x, 0), total(x, 1), total(x[..., ::-1], 2)[..., ::-1], total(x, 1) - x,
        total(x[::-1], 0)[::-1] - x,
    ]  # fmt: skip
    same(run(build, {"x": x}), expected)


def test_sums_of_half_precision_are_rounded_once():
    x = np.random.default_rng(0).normal(size=(4, 300)).astype(np.float32)
    (found,) = run(lambda x: mb.cumsum(x=x, axis=1), {"x": x}, half=True)
    sums = np.cumsum(x.astype(np.float16).astype(np.float32), axis=1, dtype=np.float64)
    steps = np.abs(found - sums) / np.spacing(np.abs(sums).astype(np.float16)).astype(np.float64)
    assert steps.max() < 0.51  # half a step of fp16, and a little for sums in float32
    assert np.array_equal(found, found.astype(np.float16))
