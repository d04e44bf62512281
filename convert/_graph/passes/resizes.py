"""Resizes as torch defines them: by the formats' own operators where these mean the same, or else by constant matrices.

Every resize of torch (nearest, nearest-exact, linear, bilinear, bicubic, with or without antialias and aligned corners)
is linear and works on one axis after the other,

    y = A x B^T,  A (h, H) and B (w, W)

and A and B follow from the arguments: sides, a scale factor where one was given (torch then places the points by
1 / factor, not by the two sides), `align_corners`. They are what torch's own operator makes of the unit vectors, in
float64. Then, for each resize:

* An axis that only loses places evenly is cut by a slice, one that stays is left alone.
* A and B are those of an operator that goes by the two sides alone (nearest, nearest-exact, bilinear with or without
  aligned corners): that operator, with the sides and nothing else. Other arguments are what converters ignore.
* Otherwise each axis is multiplied by its matrix.

`resizes` keeps operators for any two sides, as torch, TFLite and litert-torch have them. `uneven_resizes` keeps them
for whole factors only, stated as such: Core ML's upsampling operators are defined for those, what its runtime does with
others is not, and it has no nearest-exact. One dimension is that of a map with one row. Fires once per resize that
changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx

from ..axis_products import along_both, is_move
from ..graph import aten, call, copy_graph, finish, in_place_of
from ..refusals import refused

SAME = 1e-9  # of a weight, in float64
LARGEST_LOOKED_AT = 2**24  # numbers of a matrix, 128 MiB, to see whether an operator has it
AT_ONCE = 256  # unit vectors


class Form(NamedTuple):
    """An operator that files have, by the two sides alone."""

    target: Any
    options: tuple  # between the size and the scale factors
    matrix: Callable[[int, int], Tensor]  # old side, new side -> (new, old)


def resizes(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many resizes were changed; InputError for one of three dimensions."""
    return rewritten(graph, whole=False)


def uneven_resizes(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The same, with operators for whole factors only, which are stated."""
    return rewritten(graph, whole=True)


def rewritten(graph: fx.GraphModule, *, whole: bool) -> tuple[fx.GraphModule, int]:
    graph = copy_graph(graph)
    changed = 0
    for node in list(graph.graph.nodes):
        if not is_resize(node):
            continue
        with in_place_of(graph, node):
            y = resized(graph, node, whole)
        if y is None:
            continue
        node.replace_all_uses_with(y)
        graph.graph.erase_node(node)
        changed += 1
    return finish(graph), changed


def is_resize(node: fx.Node) -> bool:
    return node.op == "call_function" and isinstance(node.target, torch._ops.OpOverload) and "upsample_" in str(
        node.target
    )  # fmt: skip


def resized(graph: fx.GraphModule, node: fx.Node, whole: bool) -> fx.Node | None:
    """What stands for the resize; None if it is in its form already."""
    options = named(node)
    x: fx.Node = options["input"]
    shape, new = list(x.meta["val"].shape), list(node.meta["val"].shape)
    if len(shape) > 4:
        raise refused(node, "a resize of three dimensions has no operator in any format; only one and two have")
    for old_side, new_side in zip(shape[2:], new[2:], strict=True):
        if old_side * new_side > LARGEST_LOOKED_AT:
            raise refused(node, f"a resize of {old_side} to {new_side} places is too large; resize outside the network")
    matrices = [matrix_of(node, axis) for axis in range(len(shape) - 2)]
    if not explains(matrices, node):
        raise refused(
            node,
            "torch itself computes something else here than its resize of one axis after the other (as its antialiased "
            "resize to a width of 1 does); choose another size or mode",
        )
    if len(shape) == 3:
        matrices = [torch.eye(1, dtype=torch.float64), *matrices]
        x = call(graph, aten.reshape.default, x, [*shape[:2], 1, shape[2]])
    if all(is_move(matrix) for matrix in matrices):
        y = along_both(graph, node, x, *matrices)
    elif form := form_of(matrices, whole):
        arguments = form_arguments(form, matrices, whole)
        if node.target is form.target and list(node.args[1:]) == arguments:
            return None
        y = call(graph, form.target, x, *arguments)
    else:
        y = along_both(graph, node, x, *matrices)
    return call(graph, aten.reshape.default, y, new) if len(shape) == 3 else y


def named(node: fx.Node) -> dict[str, Any]:
    """The resize's arguments by name; its operand as `input`."""
    names = [argument.name for argument in node.target._schema.arguments]  # type: ignore[union-attr]
    options = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
    options["input"] = options.pop(names[0])
    return options


def matrix_of(node: fx.Node, axis: int) -> Tensor:
    """What the resize does to one of its axes, float64 (new, old): torch's own answer to the unit vectors.

    They are the channels of a map; along its other axis, where it has one, the map is constant.
    """
    old, new = (int(value.meta["val"].shape[2 + axis]) for value in (named(node)["input"], node))
    (factors, other), size = (factors_of(node), 3 - axis), [new]
    if len(factors) == 2:
        size.insert(1 - axis, 3)
        factors[1 - axis] = None
    rows = []
    for vectors in torch.eye(old, dtype=torch.float64).split(AT_ONCE):
        maps = vectors[None] if len(factors) == 1 else vectors[None].unsqueeze(other).repeat_interleave(2, other)
        answers = torchs_answer(node, maps, size, factors)
        rows.append((answers if len(factors) == 1 else answers.select(other, 0))[0])
    return torch.cat(rows).T.contiguous()


def factors_of(node: fx.Node) -> list[float | None]:
    """The scale factor of each axis, None where the sides decide."""
    options = named(node)
    if options.get("scale_factors") is not None:
        return list(options["scale_factors"])
    return [options.get(name) for name in (("scales_h", "scales_w") if node.meta["val"].ndim == 4 else ("scales",))]


def torchs_answer(node: fx.Node, x: Tensor, size: list[int], factors: list[float | None]) -> Tensor:
    options = named(node)
    corners = [options["align_corners"]] if "align_corners" in options else []
    packet = getattr(aten, node.target._schema.name.removeprefix("aten::"))  # type: ignore[union-attr]
    return packet.default(x, size, *corners, *factors)


def explains(matrices: list[Tensor], node: fx.Node) -> bool:
    """Whether torch's answer to a map of drawn numbers is that of the matrices."""
    sides = [matrix.shape[1] for matrix in matrices]
    x = torch.rand(1, 1, *sides, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    wanted = torchs_answer(node, x, list(node.meta["val"].shape[2:]), factors_of(node))
    y = x @ matrices[-1].T
    y = matrices[0] @ y if len(matrices) == 2 else y
    return bool((y - wanted).abs().max() < SAME)


def form_of(matrices: list[Tensor], whole: bool) -> Form | None:
    """The operator that has these matrices, rows and columns."""
    if whole and any(len(matrix) % matrix.shape[1] for matrix in matrices):
        return None
    for form in WHOLE_FORMS if whole else FORMS:
        if all(bool((m - form.matrix(m.shape[1], m.shape[0])).abs().max() < SAME) for m in matrices):
            return form
    return None


def form_arguments(form: Form, matrices: list[Tensor], whole: bool) -> list[Any]:
    sides = [len(matrix) for matrix in matrices]
    if whole:
        factors = [len(matrix) / matrix.shape[1] for matrix in matrices]
        return [None, *form.options, factors]
    return [sides, *form.options, None]


def nearest(offset: float) -> Callable[[int, int], Tensor]:
    """Place floor((i + offset) old / new), in float32 as runtimes and torch compute it."""

    def matrix(old: int, new: int) -> Tensor:
        scale = torch.tensor(old, dtype=torch.float32) / torch.tensor(new, dtype=torch.float32)
        places = ((torch.arange(new, dtype=torch.float32) + offset) * scale).floor().long().clamp(max=old - 1)
        return torch.eye(old, dtype=torch.float64)[places]

    return matrix


def repeated(old: int, new: int) -> Tensor:
    """Every place new / old times, a whole number."""
    return torch.eye(old, dtype=torch.float64).repeat_interleave(new // old, 0)


def linear(*, corners: bool) -> Callable[[int, int], Tensor]:
    """Points i (old - 1) / (new - 1), or (i + 1/2) old / new - 1/2, inside the old side."""

    def matrix(old: int, new: int) -> Tensor:
        steps = torch.arange(new, dtype=torch.float64)
        points = steps * ((old - 1) / max(new - 1, 1)) if corners else (steps + 0.5) * (old / new) - 0.5
        points = points.clamp(0, old - 1)
        low = points.floor().long().clamp(max=old - 1)
        share = (points - low)[:, None]
        eye = torch.eye(old, dtype=torch.float64)
        return (1 - share) * eye[low] + share * eye[(low + 1).clamp(max=old - 1)]

    return matrix


CENTRED = Form(aten.upsample_bilinear2d.vec, (False,), linear(corners=False))
ALIGNED = Form(aten.upsample_bilinear2d.vec, (True,), linear(corners=True))
FORMS = (  # of a single place all have the same matrix: bilinear comes first, because XNNPACK has no nearest
    CENTRED,
    Form(aten.upsample_nearest2d.vec, (), nearest(0.0)),
    Form(aten._upsample_nearest_exact2d.vec, (), nearest(0.5)),
    ALIGNED,
)
WHOLE_FORMS = (Form(aten.upsample_nearest2d.vec, (), repeated), CENTRED, ALIGNED)
