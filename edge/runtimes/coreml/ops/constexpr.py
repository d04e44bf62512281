"""Weights as they are stored: quantised, by a table, sparse, cast. They are expanded once, when a program is opened."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from ..values import unpacked
from .kinds import Ints


def affine_dequantize(quantized_data: Tensor, zero_point: Tensor, scale: Tensor, axis: int) -> Tensor:
    """scale * (data - zero point), one pair for the tensor or for each place of an axis."""

    def spread(value: Tensor) -> Tensor:
        if value.numel() == 1:
            return value.float().reshape(())
        return value.float().reshape([-1 if a == axis % quantized_data.ndim else 1 for a in range(quantized_data.ndim)])

    return spread(scale) * (quantized_data.float() - spread(zero_point))


def numbers(packed: Tensor, bits: int, count: int) -> Tensor:
    """Numbers of a few bits out of bytes, lowest bit first."""
    if len(packed) * 8 < count * bits:
        raise ValueError(f"{count} numbers of {bits} bits need {-(-count * bits // 8)} bytes, {len(packed)} are there")
    return torch.from_numpy(unpacked(packed.numpy(), bits, count))


def lut_to_dense_16(indices: Tensor, lut: Tensor, shape: Ints) -> Tensor:
    """Packed indices into one table for the whole tensor."""
    bits = (lut.numel() - 1).bit_length()
    return lut.reshape(-1)[numbers(indices.reshape(-1), bits, prod(shape)).long()].reshape(list(shape))


def lut_to_dense_18(indices: Tensor, lut: Tensor, vector_axis: int | None = None) -> Tensor:
    """Tables for blocks of the tensor; an entry may be a vector, laid along `vector_axis`.

    lut is (tables along each axis of indices …, entries, size of a vector).
    """
    rank = indices.ndim
    *tables, entries, size = lut.shape
    if len(tables) != rank or any(n % t for n, t in zip(indices.shape, tables, strict=True)):
        raise ValueError(f"tables of shape {tuple(lut.shape)} for indices of shape {tuple(indices.shape)}")
    which = torch.zeros((), dtype=torch.int64)  # the table of each place, counted through all axes
    for axis, (places, count) in enumerate(zip(indices.shape, tables, strict=True)):
        block = torch.arange(places) // (places // count)
        which = which * count + block.reshape([-1 if a == axis else 1 for a in range(rank)])
    vectors = lut.reshape(-1, size)[which * entries + indices.long()]  # (…, size)
    if size == 1:
        return vectors[..., 0]
    if vector_axis is None:
        raise ValueError("a table of vectors needs vector_axis")
    axis = vector_axis % rank
    shape = list(indices.shape)
    shape[axis] *= size
    return vectors.movedim(-1, axis + 1).reshape(shape)


def sparse_to_dense_16(nonzero_data: Tensor, mask: Tensor, shape: Ints) -> Tensor:
    """The values of the places whose bit is set, zero elsewhere."""
    places = numbers(mask.reshape(-1), 1, prod(shape)).bool()
    return filled(places.reshape(list(shape)), nonzero_data)


def filled(places: Tensor, values: Tensor) -> Tensor:
    if int(places.sum()) != values.numel():
        raise ValueError(f"{values.numel()} values for {int(places.sum())} places")
    dense = torch.zeros(places.shape, dtype=values.dtype)
    dense[places] = values.reshape(-1)
    return dense


def sparse_to_dense_18(nonzero_data: Tensor, mask: Tensor) -> Tensor:
    return filled(mask.bool(), nonzero_data)


def blockwise(value: Tensor, shape: torch.Size) -> Tensor:
    """A value for each block, repeated to the whole tensor."""
    for axis, (wanted, have) in enumerate(zip(shape, value.shape, strict=True)):
        if wanted % have:
            raise ValueError(f"blocks {tuple(value.shape)} do not divide {tuple(shape)}")
        if have not in {1, wanted}:
            value = value.repeat_interleave(wanted // have, axis)
    return value


def blockwise_shift_scale(data: Tensor, scale: Tensor, offset: Tensor | None = None) -> Tensor:
    """scale * (data - offset), one pair for each block."""
    value = data.float()
    if offset is not None:
        value = value - blockwise(offset.float(), data.shape)
    return value * blockwise(scale, data.shape)


def lut_to_sparse(
    indices_mask: Tensor, indices_nonzero_data: Tensor, lut: Tensor, vector_axis: int | None = None
) -> tuple[Tensor, Tensor]:
    """Like the dense form for the places that are set: the mask of the result, and its values in order."""
    places = indices_mask.bool()
    indices = filled(places, indices_nonzero_data.long())
    dense = lut_to_dense_18(indices, lut, vector_axis)
    if dense.shape != places.shape:
        axis = (vector_axis or 0) % places.ndim
        places = places.repeat_interleave(dense.shape[axis] // places.shape[axis], axis)
    return places.to(indices_mask.dtype), dense[places]


def sparse_blockwise_shift_scale(
    data_mask: Tensor, nonzero_data: Tensor, scale: Tensor, offset: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    places = data_mask.bool()
    dense = blockwise_shift_scale(filled(places, nonzero_data.float()), scale, offset)
    return data_mask, dense[places]


def cast_constant(source_val: Tensor, output_dtype: str) -> Tensor:
    """Stored in one type, used in another; the stated type of the result does the rest."""
    return source_val


TABLE = {
    "constexpr_affine_dequantize": affine_dequantize,
    "constexpr_lut_to_dense": {"CoreML6": lut_to_dense_16, "CoreML8": lut_to_dense_18},
    "constexpr_sparse_to_dense": {"CoreML6": sparse_to_dense_16, "CoreML8": sparse_to_dense_18},
    "constexpr_blockwise_shift_scale": blockwise_shift_scale,
    "constexpr_lut_to_sparse": lut_to_sparse,
    "constexpr_sparse_blockwise_shift_scale": sparse_blockwise_shift_scale,
    "constexpr_cast": cast_constant,
}
EXACT: frozenset[str] = frozenset()
