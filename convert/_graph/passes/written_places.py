"""One number written to places that are known (`x[mask] = 0`, `index_fill`), as a choice by a constant mask.

    y = value where the mask is one, x elsewhere

Converters refuse the writing, but know the choice. Where several numbers are written, or the places are computed, the
operation is left, for a refusal that names it. Fires once per operation rewritten.
"""

from __future__ import annotations

import torch
from torch import Tensor, fx

from ..graph import add_constant, arguments, aten, call, constant, filled, get
from .spell_out import spelled_by


def written_places(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many writings became choices."""
    return spelled_by(
        graph,
        {
            aten.index_put.default: put,
            aten.index_fill.int_Scalar: fill,
            aten.index_fill.int_Tensor: fill,
        },
    )


def put(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    x, places, value, added = filled(node, None, None, None, False)
    held = [None if place is None else constant(graph, place) for place in places]
    unknown = any(place is not None and one is None for place, one in zip(places, held, strict=True))
    if added or unknown or value.meta["val"].numel() != 1:
        return None
    mask = torch.zeros(x.meta["val"].shape, dtype=torch.bool)
    mask[tuple(slice(None) if one is None else one for one in held)] = True
    return chosen(graph, x, mask, value)


def fill(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    x, axis, places, value = arguments(node)
    held = constant(graph, places)
    if held is None:
        return None
    mask = torch.zeros(x.meta["val"].shape, dtype=torch.bool).index_fill(axis, held, True)
    return chosen(graph, x, mask, value)


def chosen(graph: fx.GraphModule, x: fx.Node, mask: Tensor, value: fx.Node | float) -> fx.Node:
    dtype = x.meta["val"].dtype
    held = constant(graph, value) if isinstance(value, fx.Node) else torch.tensor(value, dtype=dtype)
    if held is not None:  # of the map's shape: not every converter broadcasts a choice
        value = get(graph, add_constant(graph, "written", held.to(dtype).reshape([]).expand(mask.shape).clone()))
    where = get(graph, add_constant(graph, "mask", mask))
    return call(graph, aten.where.self, where, value, x)
