"""Arithmetic, comparison, logic and functions of one number: against Apple's NumPy definitions, with broadcasting."""

from __future__ import annotations

import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb

from tests.edge.runtimes.coreml._apple import folded
from tests.edge.runtimes.coreml._programs import run

RNG = np.random.default_rng(2)
A = RNG.uniform(-4, 4, (2, 1, 4)).astype(np.float32)
B = RNG.choice([-2.5, -1, 0.5, 2, 3], (3, 1)).astype(np.float32)
A[0, 0, 0] = B[0, 0]  # somewhere they are equal
M, N = RNG.integers(-9, 10, (2, 1, 4), np.int32), RNG.choice(np.array([-4, -3, 2, 5], np.int32), (3, 1))
M[0, 0, 0] = N[0, 0]
ARITHMETIC = ("add", "sub", "mul", "real_div", "floor_div", "mod", "maximum", "minimum")
COMPARISONS = ("equal", "not_equal", "greater", "greater_equal", "less", "less_equal")


@pytest.fixture(scope="module")
def found():
    """Every binary op on floats and on whole numbers, in one program."""

    def build(a, b, i, j):
        made = [getattr(mb, kind)(x=x, y=y) for x, y in ((a, b), (i, j)) for kind in ARITHMETIC]
        made += [
            mb.cast(x=getattr(mb, kind)(x=x, y=y), dtype="int32") for x, y in ((a, b), (i, j)) for kind in COMPARISONS
        ]
        return tuple(made)

    results = iter(run(build, {"a": A, "b": B, "i": M, "j": N}))
    order = [(kind, n) for kinds in (ARITHMETIC, COMPARISONS) for n in ("floats", "whole") for kind in kinds]
    return {key: next(results) for key in order}


@pytest.mark.parametrize("kind", (*ARITHMETIC, *COMPARISONS))
@pytest.mark.parametrize("numbers", ["floats", "whole"])
def test_binary(found, kind, numbers):
    x, y = (A, B) if numbers == "floats" else (M, N)
    expected = folded(kind, x=x, y=y)
    if kind == "real_div" and numbers == "whole":
        expected = np.trunc(expected)  # the program says that the quotient is a whole number
    assert found[kind, numbers].shape == (2, 3, 4)
    np.testing.assert_allclose(found[kind, numbers], expected, rtol=1e-6)


def test_quotients_of_great_whole_numbers_are_exact():
    x = np.array([2**30 + 1, -(2**30) - 1, 7, -7], np.int32)
    true, floor = run(lambda x: (mb.real_div(x=x, y=np.int32(2)), mb.floor_div(x=x, y=np.int32(2))), {"x": x})
    np.testing.assert_array_equal(true, [2**29, -(2**29), 3, -3])
    np.testing.assert_array_equal(floor, [2**29, -(2**29) - 1, 3, -4])


def test_powers():
    base, exponent = np.array([0.5, 2, 3, 0], np.float32), np.array([[-1.5], [0], [2.5]], np.float32)
    whole = np.array([-3, 0, 2, 7], np.int32)
    with np.errstate(divide="ignore"):
        expected = base**exponent
    floats, squares, cubes = run(
        lambda x, y, i: (mb.pow(x=x, y=y), mb.pow(x=x, y=2.0), mb.pow(x=i, y=np.int32(3))),
        {"x": base, "y": exponent, "i": whole},
    )
    np.testing.assert_allclose(floats, expected, rtol=1e-6)
    np.testing.assert_allclose(squares, base**2)
    np.testing.assert_array_equal(cubes, whole**3)


def test_logic():
    p, q = np.array([0, 0, 1, 1], np.int32), np.array([[0], [1]], np.int32)

    def build(p, q):
        x, y = mb.cast(x=p, dtype="bool"), mb.cast(x=q, dtype="bool")
        made = [getattr(mb, f"logical_{kind}")(x=x, y=y) for kind in ("and", "or", "xor")]
        return tuple(mb.cast(x=one, dtype="int32") for one in (*made, mb.logical_not(x=x)))

    got = run(build, {"p": p, "q": q})
    for one, expected in zip(got, (p & q, p | q, p ^ q, 1 - p), strict=True):
        np.testing.assert_array_equal(one, expected)


def test_select_takes_all_its_parts_in_broadcast():
    cond, a, b = np.array([[1], [0]], np.int32), A, np.float32(9)
    i = np.arange(4, dtype=np.int32)

    def build(c, a, i):
        chosen = mb.cast(x=c, dtype="bool")
        return mb.select(cond=chosen, a=a, b=b), mb.select(cond=chosen, a=i, b=np.int32(-1))

    floats, whole = run(build, {"c": cond, "a": A, "i": i})
    np.testing.assert_array_equal(floats, np.where(cond, a, b))
    np.testing.assert_array_equal(whole, np.where(cond, i, -1))
    assert whole.dtype == np.int32


WIDE = np.concatenate([RNG.uniform(-3, 3, 20), [-2.5, -1.5, -0.5, 0, 0.5, 1.5, 2.5]]).astype(np.float32)
NARROW, POSITIVE = (WIDE / 3.1).astype(np.float32), (np.abs(WIDE) + 0.01).astype(np.float32)
UNARY = {
    "wide": ("abs", "atan", "ceil", "cos", "cosh", "erf", "exp", "exp2", "floor", "round", "sign", "sin", "sinh",
             "square", "tan", "tanh"),
    "narrow": ("acos", "asin", "atanh"),
    "positive": ("sqrt", "log", "rsqrt", "inverse"),
}  # fmt: skip
RANGES = {"wide": WIDE, "narrow": NARROW, "positive": POSITIVE}
MORE = {  # with the second operand that the op has beside x
    "clip": {"alpha": -1.0, "beta": 0.75},
    "threshold": {"alpha": 0.3},
    "log": {"epsilon": 0.5},
    "rsqrt": {"epsilon": 0.25},
    "inverse": {"epsilon": 0.125},
}


@pytest.fixture(scope="module", params=[15, 17])
def unary(request):
    def build(wide, narrow, positive):
        given = {"wide": wide, "narrow": narrow, "positive": positive}
        return tuple(getattr(mb, kind)(x=given[name]) for name, kinds in UNARY.items() for kind in kinds)

    results = iter(run(build, RANGES, ios=request.param))
    return {kind: next(results) for kinds in UNARY.values() for kind in kinds}


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, kinds in UNARY.items() for kind in kinds])
def test_functions_of_one_number(unary, name, kind):
    np.testing.assert_allclose(unary[kind], folded(kind, x=RANGES[name]), rtol=3e-6, atol=1e-7)


@pytest.mark.parametrize("ios", [15, 17])
def test_functions_with_a_constant(ios):
    got = run(lambda x: tuple(getattr(mb, kind)(x=x, **more) for kind, more in MORE.items()), {"x": POSITIVE}, ios=ios)
    for one, (kind, more) in zip(got, MORE.items(), strict=True):
        np.testing.assert_allclose(one, folded(kind, x=POSITIVE, **more), rtol=2e-6, atol=1e-7, err_msg=kind)


def test_functions_of_whole_numbers():
    x = np.array([-7, -1, 0, 3, 12], np.int32)

    def build(x):
        return mb.abs(x=x), mb.sign(x=x), mb.square(x=x), mb.exp2(x=mb.abs(x=x)), mb.threshold(x=x, alpha=np.int32(-2))

    got = run(build, {"x": x})
    expected = (np.abs(x), np.sign(x), x * x, 2 ** np.abs(x), np.maximum(x, -2))
    for one, wanted in zip(got, expected, strict=True):
        assert one.dtype == np.int32
        np.testing.assert_array_equal(one, wanted)


def test_halves_go_to_the_even_neighbour():
    x = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.500001], np.float32)
    (got,) = run(lambda x: mb.round(x=x), {"x": x})
    np.testing.assert_array_equal(got, [-2, -2, 0, 0, 2, 2, 3])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32"])
def test_casts_cut_towards_zero_and_go_round_in_small_types(dtype):
    x = np.array([-1.9, -0.4, 0, 0.9, 100.5], np.float32)
    x = np.abs(x) if dtype.startswith("u") else x
    whole = np.array([-1, 0, 127, 128, 256, 70000], np.int32)

    def build(x, i):
        return tuple(mb.cast(x=mb.cast(x=one, dtype=dtype), dtype="int32") for one in (x, i))

    floats, numbers = run(build, {"x": x, "i": whole}, ios=17)
    np.testing.assert_array_equal(floats, np.trunc(x))
    np.testing.assert_array_equal(numbers, whole.astype(dtype))


def test_what_is_not_zero_is_true():
    x, i = np.array([0, -0.0, 0.25, -3], np.float32), np.array([0, 2, -1], np.int32)

    def build(x, i):
        truths = [mb.cast(x=one, dtype="bool") for one in (x, i)]
        return tuple(mb.cast(x=one, dtype=dtype) for one in truths for dtype in ("fp32", "int32"))

    got = run(build, {"x": x, "i": i})
    for one, expected in zip(got, ([0, 0, 1, 1], [0, 0, 1, 1], [0, 1, 1], [0, 1, 1]), strict=True):
        np.testing.assert_array_equal(one, expected)


def test_half_precision_is_rounded_after_every_op():
    x, y = (RNG.uniform(-5, 5, 200).astype(np.float32) for _ in range(2))

    def half(values):
        return values.astype(np.float16).astype(np.float32)

    def build(x, y):
        return mb.add(x=mb.mul(x=x, y=y), y=x), mb.real_div(x=x, y=y), mb.clip(x=mb.square(x=x), alpha=0.1, beta=3.3)

    sums, quotients, clipped = run(build, {"x": x, "y": y}, half=True)
    a, b = half(x), half(y)
    np.testing.assert_array_equal(sums, half(half(a * b) + a))
    assert (sums != half(a * b + a)).any()  # had it been rounded at the end only
    np.testing.assert_array_equal(quotients, half(a / b))
    np.testing.assert_array_equal(clipped, np.clip(half(a * a), np.float16(0.1), np.float16(3.3)))
