"""Values picked and put by index, held against loops over places and NumPy, with each op set's rule for bad indices."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb

from edge.errors import InputError
from tests.edge.runtimes.coreml._programs import run
from tests.edge.runtimes.coreml.test_shape import counting, same

CHANGES = {
    "update": lambda old, new: new, "add": lambda old, new: old + new, "sub": lambda old, new: old - new,
    "mul": lambda old, new: old * new, "div": lambda old, new: old / new,
    "max": lambda old, new: max(old, new), "min": lambda old, new: min(old, new),
}  # fmt: skip


def ints(*values: object) -> np.ndarray:
    return np.array(values, np.int32)


@pytest.mark.parametrize("ios", [15, 16])
@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_gather_takes_slices_and_counts_negative_indices_from_the_end(ios, dtype):
    x, indices = counting(3, 4, 5, dtype=dtype), ints([2, -1], [0, -3], [1, 1])

    def build(x, i):
        return (
            mb.gather(x=x, indices=i), mb.gather(x=x, indices=i, axis=1), mb.gather(x=x, indices=i, axis=-1),
            mb.gather(x=x, indices=2, axis=1), mb.gather(x=x, indices=[3, 0], axis=-1),
        )  # fmt: skip

    expected = [
        np.take(x, indices, 0), np.take(x, indices, 1), np.take(x, indices, -1), x[:, 2], x[:, :, [3, 0]],
    ]  # fmt: skip
    same(run(build, {"x": x, "i": indices}, ios=ios), expected)


@pytest.mark.parametrize("ios", [16, 17])
def test_gather_with_shared_axes(ios):
    """Every member of the batch on its own, one after the other."""
    x, indices = counting(2, 3, 4, 5), np.random.default_rng(0).integers(0, 3, (2, 3, 6)).astype(np.int32)

    def build(x, i):
        return (
            mb.gather(x=x, indices=i, axis=1, batch_dims=1), mb.gather(x=x, indices=i, axis=-1, batch_dims=1),
            mb.gather(x=x, indices=i, axis=2, batch_dims=2), mb.gather(x=x, indices=i, axis=3, batch_dims=2),
        )  # fmt: skip

    members = list(itertools.product(range(2), range(3)))

    def joined(axis: int) -> np.ndarray:
        parts = np.stack([np.take(x[a, b], indices[a, b], axis) for a, b in members])
        return parts.reshape(2, 3, *parts.shape[1:])

    expected = [
        np.stack([np.take(x[a], indices[a], 0) for a in range(2)]),
        np.stack([np.take(x[a], indices[a], 2) for a in range(2)]),
        joined(0),
        joined(1),
    ]
    same(run(build, {"x": x, "i": indices}, ios=ios), expected)


@pytest.mark.parametrize(("ios", "low"), [(15, -3), (17, 0)])
def test_gather_along_an_axis(ios, low):
    x = counting(3, 4, 5)
    rng = np.random.default_rng(1)
    first = rng.integers(low, 3, (6, 4, 5)).astype(np.int32)
    last = rng.integers(low, 3, (3, 4, 2)).astype(np.int32)

    def build(x, first, last):
        return mb.gather_along_axis(x=x, indices=first), mb.gather_along_axis(x=x, indices=last, axis=-1)

    expected = [np.take_along_axis(x, first, 0), np.take_along_axis(x, last, -1)]
    same(run(build, {"x": x, "first": first, "last": last}, ios=ios), expected)


def test_gather_nd():
    x, indices = counting(2, 3, 4, 5), ints([[1, 2], [0, -1]], [[-2, 0], [1, 1]])

    def build(x, i):
        return mb.gather_nd(x=x, indices=i), mb.gather_nd(x=x, indices=i, batch_dims=1)

    expected = [
        np.array([[x[tuple(place)] for place in row] for row in indices]),
        np.array([[x[batch][tuple(place)] for place in indices[batch]] for batch in range(2)]),
    ]
    same(run(build, {"x": x, "i": indices}, ios=16), expected)
    (whole,) = run(lambda x, i: mb.gather_nd(x=x, indices=i), {"x": x, "i": ints([1, 0, 3, 4], [0, 0, 0, 0])}, ios=15)
    np.testing.assert_array_equal(whole, [x[1, 0, 3, 4], x[0, 0, 0, 0]])


GATHERS = {
    "gather": lambda x, i, **more: mb.gather(x=x, indices=i, axis=1, **more),
    "gather_along_axis": lambda x, i, **more: mb.gather_along_axis(x=x, indices=i, axis=1, **more),
    "gather_nd": lambda x, i, **more: mb.gather_nd(x=x, indices=i, batch_dims=1, **more),
}


@pytest.mark.parametrize("kind", GATHERS)
def test_since_ios_17_a_gather_has_no_negative_indices(kind):
    """Refused where the program asks for it, and otherwise the nearest is taken: Core ML leaves it open."""
    given = {"x": counting(2, 3), "i": ints([-1], [5])}
    with pytest.raises(InputError, match=rf"{kind}.*index -1 is not one of 3"):
        run(lambda x, i: GATHERS[kind](x, i, validate_indices=True), given, ios=17)
    (found,) = run(lambda x, i: GATHERS[kind](x, i), given, ios=17)
    if kind == "gather":
        np.testing.assert_array_equal(found[:, :, 0], [[1, 3], [4, 6]])
    else:
        assert found.reshape(-1).tolist() == [1, 6]
    with pytest.raises(InputError, match=rf"{kind}.*index 5 is not one of 3"):
        run(lambda x, i: GATHERS[kind](x, i), given, ios=16)


def put(data: np.ndarray, changes: list[tuple[tuple, np.ndarray]], mode: str) -> np.ndarray:
    """One update after the other, value by value."""
    result = data.astype(np.float64)
    for place, new in changes:
        old = np.asarray(result[place])
        new = np.broadcast_to(new, old.shape)
        result[place] = np.vectorize(CHANGES[mode], otypes=[float])(old, new)
    return result


@pytest.mark.parametrize(("mode", "ios"), list(zip(CHANGES, [15, 16, 17, 18, 15, 16, 17], strict=True)))
def test_scatter(mode, ios):
    """Two updates meet at one place, so their order and their sum matter."""
    rng = np.random.default_rng(2)
    data = rng.integers(1, 9, (3, 4, 2)).astype(np.float32)
    rows, flat = ints(2, 0, 2, 1), ints(1, 1)
    updates = 2.0 ** rng.integers(-2, 3, (4, 4, 2)).astype(np.float32)
    columns = 2.0 ** rng.integers(-2, 3, (3, 4, 2)).astype(np.float32)

    def build(data, rows, updates, flat, columns):
        return (
            mb.scatter(data=data, indices=rows, updates=updates, mode=mode),
            mb.scatter(data=data, indices=flat, updates=columns, axis=-1, mode=mode),
        )

    flat = ints(1, 1)
    given = {"data": data, "rows": rows, "updates": updates, "flat": flat, "columns": columns}
    expected = [
        put(data, [((row,), updates[i]) for i, row in enumerate(rows)], mode),
        put(data, [((..., column), columns[..., i]) for i, column in enumerate(flat)], mode),
    ]
    same(run(build, given, ios=ios), expected)


@pytest.mark.parametrize(("mode", "ios"), list(zip(CHANGES, [18, 17, 16, 15, 17, 16, 15], strict=True)))
def test_scatter_along_an_axis_and_by_place(mode, ios):
    rng = np.random.default_rng(3)
    data = rng.integers(1, 9, (3, 4)).astype(np.float32)
    along = rng.integers(0, 4, (3, 6)).astype(np.int32)
    updates = 2.0 ** rng.integers(-2, 3, (3, 6)).astype(np.float32)
    places, single = ints([[0, 1], [2, 3]], [[0, 1], [1, 0]]), 2.0 ** counting(2, 2)
    rows, whole = ints([2], [0], [2]), 2.0 ** rng.integers(-2, 3, (3, 4)).astype(np.float32)

    def build(data, along, updates, places, single, rows, whole):
        return (
            mb.scatter_along_axis(data=data, indices=along, updates=updates, axis=-1, mode=mode),
            mb.scatter_nd(data=data, indices=places, updates=single, mode=mode),
            mb.scatter_nd(data=data, indices=rows, updates=whole, mode=mode),
        )

    given = {"data": data, "along": along, "updates": updates, "places": places, "single": single}
    expected = [
        put(data, [((r, along[r, c]), updates[r, c]) for r in range(3) for c in range(6)], mode),
        put(data, [(tuple(places[r, c]), single[r, c]) for r in range(2) for c in range(2)], mode),
        put(data, [((row[0],), whole[i]) for i, row in enumerate(rows)], mode),
    ]
    same(run(build, {**given, "rows": rows, "whole": whole}, ios=ios), expected)


def test_a_scatter_adds_unless_told_otherwise():
    data, rows, updates = counting(3, 2), ints(1), counting(1, 2)
    (found,) = run(
        lambda data, rows, updates: mb.scatter(data=data, indices=rows, updates=updates),
        {"data": data, "rows": rows, "updates": updates},
    )
    np.testing.assert_array_equal(found, data + np.float32([[0, 0], [1, 2], [0, 0]]))


SCATTERS = {
    "scatter": lambda d, i, u, **more: mb.scatter(data=d, indices=i, updates=u, mode="update", **more),
    "scatter_along_axis": lambda d, i, u, **more: mb.scatter_along_axis(
        data=d, indices=i, updates=u, mode="update", **more
    ),
    "scatter_nd": lambda d, i, u, **more: mb.scatter_nd(data=d, indices=i, updates=u, mode="update", **more),
}


@pytest.mark.parametrize("kind", SCATTERS)
def test_bad_indices_of_a_scatter(kind):
    """From the end until iOS 16; since then refused where the program asks for it, and otherwise left out."""
    indices = ints([-1], [1]) if kind == "scatter_nd" else ints(-1, 1)
    given = {"d": counting(3), "i": indices, "u": np.float32([70, 80])}
    (counted,) = run(lambda d, i, u: SCATTERS[kind](d, i, u), given, ios=16)
    assert counted.tolist() == [1, 80, 70]
    (left_out,) = run(lambda d, i, u: SCATTERS[kind](d, i, u), given, ios=17)
    assert left_out.tolist() == [1, 80, 3]
    with pytest.raises(InputError, match=rf"{kind}.*index -1 is not one of 3"):
        run(lambda d, i, u: SCATTERS[kind](d, i, u, validate_indices=True), given, ios=17)
    with pytest.raises(InputError, match=rf"{kind}.*index 3 is not one of 3"):
        run(lambda d, i, u: SCATTERS[kind](d, i, u), {**given, "i": abs(indices) * 3}, ios=16)


def test_whole_numbers_are_divided_towards_zero():
    given = {"d": ints(-7, 7, 5), "i": ints(0, 1, 2), "u": ints(2, 2, -3)}
    (found,) = run(lambda d, i, u: mb.scatter(data=d, indices=i, updates=u, mode="div"), given)
    assert found.tolist() == [-3, 3, -1]


def test_half_precision_is_summed_in_single_precision_and_rounded_once():
    """2048 + 1 + 1 is 2048 where every step is rounded to half precision."""
    given = {"d": np.float32([2048, 0.1]), "u": np.float32([1, 1])}
    found = run(
        lambda d, u: (mb.scatter(data=d, indices=[0, 0], updates=u, mode="add"), mb.gather(x=d, indices=[1])),
        given,
        half=True,
    )
    assert found[0].tolist() == [2050, np.float16(0.1)]
    assert found[1].tolist() == [np.float16(0.1)]
