"""Stored weights, op by op: against what coremltools itself expands them to."""

from __future__ import annotations

import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import types

from edge.runtimes.coreml.values import unpacked
from tests.edge.runtimes.coreml._apple import folded
from tests.edge.runtimes.coreml._programs import run

RNG = np.random.default_rng(4)


def bits(n: int, shape: tuple[int, ...], *, signed: bool = False) -> np.ndarray:
    """Random whole numbers of n bits, every one of them if there is room, in coremltools' type for them."""
    low, high = (-(2 ** (n - 1)), 2 ** (n - 1)) if signed else (0, 2**n)
    values = RNG.permutation(np.resize(np.arange(low, high), np.prod(shape))).reshape(shape)
    return values.astype(types.nptype_from_builtin(types.string_to_builtin(f"{'' if signed else 'u'}int{n}")))


def some(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def packed(values: np.ndarray, n: int) -> np.ndarray:
    """Numbers of n bits in bytes, lowest bit first, written out bit by bit."""
    stream = "".join(format(int(v), f"0{n}b")[::-1] for v in values.reshape(-1))
    stream += "0" * (-len(stream) % 8)
    return np.array([int(stream[at : at + 8][::-1], 2) for at in range(0, len(stream), 8)], np.uint8)


def size(*shape: int) -> np.ndarray:
    return np.array(shape, np.uint32)


SPARSE_16 = (RNG.random((4, 5)) < 0.4).astype(np.uint8)
OLDER = {
    "affine, one scale": ("affine_dequantize", {
        "quantized_data": bits(8, (4, 5), signed=True), "zero_point": np.int8(3), "scale": np.float32(0.3), "axis": 0}),
    "affine, channels": ("affine_dequantize", {
        "quantized_data": bits(8, (4, 5)), "zero_point": bits(8, (5,)), "scale": some(5), "axis": 1}),
    "affine, from the end": ("affine_dequantize", {
        "quantized_data": bits(8, (4, 5, 2)), "zero_point": np.uint8(128), "scale": some(4), "axis": -3}),
    **{f"table of {n} bits": ("lut_to_dense", {
        "indices": packed(bits(n, (7, 11)), n), "lut": some(2**n), "shape": size(7, 11)}) for n in (1, 2, 4, 6, 8)},
    "sparse": ("sparse_to_dense", {
        "nonzero_data": some(int(SPARSE_16.sum())), "mask": packed(SPARSE_16, 1), "shape": size(4, 5)}),
    "cast": ("cast", {"source_val": some(4, 5).astype(np.float16), "output_dtype": "fp32"}),
}  # fmt: skip
MASK = (RNG.random((4, 6)) < 0.5).astype(types.nptype_from_builtin(types.uint1))
SET = int(np.count_nonzero(MASK))
NEWER = {
    "blocks of int4": ("blockwise_shift_scale", {"data": bits(4, (4, 6), signed=True), "scale": some(4, 2)}),
    "blocks both ways, shifted": ("blockwise_shift_scale", {
        "data": bits(4, (4, 6)), "scale": some(2, 3), "offset": bits(4, (2, 3))}),
    "int8, a shift that is no whole number": ("blockwise_shift_scale", {
        "data": bits(8, (4, 6, 2), signed=True), "scale": some(1, 6, 1), "offset": some(1, 6, 1)}),
    "floats, scaled": ("blockwise_shift_scale", {"data": some(4, 6), "scale": some(4, 1)}),
    **{f"table of {n} bits": ("lut_to_dense", {
        "indices": bits(n, (6, 8)), "lut": some(1, 1, 2**n, 1)}) for n in (1, 2, 3, 4, 6, 8)},
    "tables for groups": ("lut_to_dense", {"indices": bits(2, (6, 8)), "lut": some(2, 1, 4, 1)}),
    "tables both ways": ("lut_to_dense", {"indices": bits(3, (6, 8)), "lut": some(3, 2, 8, 1)}),
    "vectors along the first axis": ("lut_to_dense", {
        "indices": bits(2, (6, 8)), "lut": some(1, 1, 4, 3), "vector_axis": 0}),
    "vectors along a middle axis": ("lut_to_dense", {
        "indices": bits(1, (2, 2, 2)), "lut": some(1, 1, 1, 2, 3), "vector_axis": 1}),
    "vectors in groups, from the end": ("lut_to_dense", {
        "indices": bits(2, (6, 8)), "lut": some(2, 1, 4, 3), "vector_axis": -1}),
    "sparse": ("sparse_to_dense", {"nonzero_data": some(SET), "mask": MASK}),
}  # fmt: skip
SPARSE = {
    "table": ("lut_to_sparse", {
        "indices_mask": MASK, "indices_nonzero_data": bits(2, (SET,)), "lut": some(1, 1, 4, 1)}),
    "tables for groups": ("lut_to_sparse", {
        "indices_mask": MASK, "indices_nonzero_data": bits(2, (SET,)), "lut": some(2, 1, 4, 1)}),
    "vectors": ("lut_to_sparse", {
        "indices_mask": MASK, "indices_nonzero_data": bits(1, (SET,)), "lut": some(1, 1, 2, 2), "vector_axis": 0}),
    "blocks": ("sparse_blockwise_shift_scale", {
        "data_mask": MASK, "nonzero_data": bits(4, (SET,), signed=True), "scale": some(1, 3)}),
    "blocks, shifted": ("sparse_blockwise_shift_scale", {
        "data_mask": MASK, "nonzero_data": bits(8, (SET,)), "scale": some(4, 1), "offset": bits(8, (4, 1))}),
}  # fmt: skip
ZERO = {"x": np.zeros(1, np.float32)}


def expanded(cases, ios: int) -> list[np.ndarray]:
    """Every stored weight as it stands in a saved program; zero is added, so that a run gives it."""

    def build(x):
        return tuple(mb.add(x=x, y=getattr(mb, f"constexpr_{kind}")(**more)) for kind, more in cases.values())

    return run(build, ZERO, ios=ios)


@pytest.mark.parametrize(("cases", "ios"), [(OLDER, 16), (OLDER, 17), (NEWER, 18)])
def test_dense_weights_are_what_coremltools_expands(cases, ios):
    for got, (case, (kind, more)) in zip(expanded(cases, ios), cases.items(), strict=True):
        expected = folded(f"constexpr_{kind}", ios=ios, **more)
        assert got.shape == expected.shape, case
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7, err_msg=case)


def test_sparse_weights_are_what_coremltools_expands():
    def build(x):
        made = []
        for kind, more in SPARSE.values():
            mask, values = getattr(mb, f"constexpr_{kind}")(**more)
            made.append(mb.add(x=x, y=mb.constexpr_sparse_to_dense(nonzero_data=values, mask=mask)))
        return tuple(made)

    for got, (case, (kind, more)) in zip(run(build, ZERO, ios=18), SPARSE.items(), strict=True):
        mask, values = folded(f"constexpr_{kind}", ios=18, **more)
        expected = np.zeros(mask.shape, np.float32)
        expected[mask != 0] = values
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7, err_msg=case)


def test_one_stored_weight_can_be_made_of_another():
    """A table of int8 values with a scale: how palettised weights are quantised in turn."""
    indices, table, scale = bits(2, (4, 6)), np.array([-100, -3, 50, 127], np.int8), some(4, 1)

    def build(x):
        whole = mb.constexpr_lut_to_dense(indices=indices, lut=table.reshape(1, 1, 4, 1))
        return mb.add(x=x, y=mb.constexpr_blockwise_shift_scale(data=whole, scale=scale))

    (got,) = run(build, ZERO, ios=18)
    np.testing.assert_allclose(got, table[indices.astype(int)] * scale, rtol=1e-6)


@pytest.mark.parametrize("n", range(1, 9))
def test_numbers_of_a_few_bits_cross_bytes(n):
    values = RNG.integers(0, 2**n, 29)
    np.testing.assert_array_equal(unpacked(packed(values, n), n, 29), values)
