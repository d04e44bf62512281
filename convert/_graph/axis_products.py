"""A linear change of one axis of a map: a slice where that is enough, or else one product with a constant matrix."""

from __future__ import annotations

import torch
from torch import Tensor, fx

from .._resize_names import MATRIX
from .graph import add_constant, aten, call, get
from .refusals import refused

LARGEST = 2**20  # numbers of one matrix, 4 MiB in float32


def along(graph: fx.GraphModule, origin: fx.Node, x: fx.Node, axis: int, matrix: Tensor) -> fx.Node:
    """y[…, i, …] = sum_j matrix[i, j] x[…, j, …] over one axis of x; `matrix`: float64 (new, old).

    A matrix that only takes every s-th place is a slice, which rounds nothing. Raises InputError that names `origin`
    where the matrix has more than `LARGEST` numbers.
    """
    axis %= x.meta["val"].ndim
    if is_identity(matrix):
        return x
    places = evenly_taken(matrix)
    if places is not None:
        return call(graph, aten.slice.Tensor, x, axis, places.start, places.stop, places.step)
    if matrix.numel() > LARGEST:
        new, old = matrix.shape
        raise refused(
            origin,
            f"{old} to {new} places would take a constant matrix of {matrix.numel():,} numbers, and at most "
            f"{LARGEST:,} are written; resize by a whole factor, in smaller steps, or outside the network",
        )
    value = matrix.T.contiguous().to(x.meta["val"].dtype)
    held = get(graph, add_constant(graph, MATRIX, value))
    last = axis == x.meta["val"].ndim - 1
    x = x if last else call(graph, aten.transpose.int, x, axis, -1)
    y = call(graph, aten.matmul.default, x, held)
    return y if last else call(graph, aten.transpose.int, y, axis, -1)


def along_both(graph: fx.GraphModule, origin: fx.Node, x: fx.Node, rows: Tensor, columns: Tensor) -> fx.Node:
    """The last two axes of x by their matrices, the axis that shrinks more first."""
    order = sorted([(-2, rows), (-1, columns)], key=lambda side: side[1].shape[0] / side[1].shape[1])
    for axis, matrix in order:
        x = along(graph, origin, x, axis, matrix)
    return x


def is_move(matrix: Tensor) -> bool:
    """Whether `along` multiplies nothing."""
    return is_identity(matrix) or evenly_taken(matrix) is not None


def is_identity(matrix: Tensor) -> bool:
    return matrix.shape[0] == matrix.shape[1] and bool((matrix - torch.eye(len(matrix))).abs().max() < 1e-12)


def evenly_taken(matrix: Tensor) -> range | None:
    """The places that the rows take, where each takes one and they are evenly apart."""
    places = taken(matrix)
    if places is None or len(places) == 0:
        return None
    step = places[1] - places[0] if len(places) > 1 else 1
    if step < 1 or places != list(range(places[0], places[0] + step * len(places), step)):
        return None
    return range(places[0], places[-1] + 1, step)


def taken(matrix: Tensor) -> list[int] | None:
    """The place that each row takes; None where a row takes more than one or changes what it takes."""
    if not bool(((matrix == 0) | (matrix == 1)).all()) or not bool((matrix.sum(1) == 1).all()):
        return None
    return [int(place) for place in matrix.argmax(1)]
