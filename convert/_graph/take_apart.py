"""Operations that a format has nothing for, in torch's own smaller operations.

Torch defines some operations by others (`reshape_as`, `einsum`) and keeps decompositions of more (`addmm`, `im2col`).
Each call of such an operation is traced alone, on values of its operands' shapes, and what that traced takes its place.
An operation whose parts are none of ATen's, or change a tensor in place, is left, so that a refusal names what its
author wrote. Fires once per call taken apart.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from .graph import add_constant, arguments, aten, call, copy_graph, finish, get, in_place_of

VIEWS = {aten.view.default, aten._unsafe_view.default}  # of operands whose numbers may lie in another order here
COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd


def take_apart(graph: fx.GraphModule, targets: Collection[object]) -> tuple[fx.GraphModule, int]:
    """The copy with every call of `targets` taken apart where torch knows how, and how many there were."""
    graph = copy_graph(graph)
    apart = 0
    for node in list(graph.graph.nodes):
        if node.op != "call_function" or node.target not in targets:
            continue
        parts = parts_of(node)
        if parts is None:
            continue
        with in_place_of(graph, node):
            results = inlined(graph, parts, operands_of(node))
        if isinstance(results, fx.Node):
            node.replace_all_uses_with(results)
        else:
            for piece in list(node.users):
                piece.replace_all_uses_with(results[arguments(piece)[1]])
                graph.graph.erase_node(piece)
        graph.graph.erase_node(node)
        apart += 1
    return finish(graph), apart


def operands_of(node: fx.Node) -> list[fx.Node]:
    """Every place of the arguments where a node stands, in order."""
    return [part for part in pytree.tree_leaves((node.args, node.kwargs)) if isinstance(part, fx.Node)]


def parts_of(node: fx.Node) -> fx.GraphModule | None:
    """A graph of the operands that does what the node does; None where torch has no smaller operations for it."""
    from torch.fx.experimental.proxy_tensor import make_fx

    target: Any = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return None
    composite = target.has_kernel_for_dispatch_key(COMPOSITE)
    smaller: Callable | None = target if composite else torch._decomp.decomposition_table.get(target)
    if smaller is None:
        return None
    leaves, shape = pytree.tree_flatten((node.args, node.kwargs))
    places = [number for number, leaf in enumerate(leaves) if isinstance(leaf, fx.Node)]

    def alone(*values: Tensor) -> Any:
        filled = list(leaves)
        for number, value in zip(places, values, strict=True):
            filled[number] = value
        args, kwargs = pytree.tree_unflatten(filled, shape)
        result = smaller(*args, **kwargs)
        return tuple(result) if isinstance(result, (list, tuple)) else result

    examples = [torch.zeros(v.shape, dtype=v.dtype) for v in (leaves[number].meta["val"] for number in places)]
    try:
        with torch.no_grad():
            parts = make_fx(alone, tracing_mode="fake", pre_dispatch=not composite)(*examples)
    except Exception:  # whatever a decomposition may raise, there is none then
        return None
    change_copies_by_value(parts)
    calls = [part.target for part in parts.graph.nodes if part.op == "call_function"]
    usual = all(not isinstance(one, torch._ops.OpOverload) or one.namespace == "aten" for one in calls)
    return parts if usual and not changes_in_place(parts) and target not in calls else None


def changes_in_place(parts: fx.GraphModule) -> bool:
    calls = (part.target for part in parts.graph.nodes if part.op == "call_function")
    return any(isinstance(target, torch._ops.OpOverload) and target._schema.is_mutable for target in calls)


def change_copies_by_value(parts: fx.GraphModule) -> None:
    """`clamp_min_` of a tensor that was copied just for it (in cosine similarity) becomes `clamp_min` of it.

    Other changes in place, of tensors that may be seen under two names, stay.
    """
    for node in parts.graph.nodes:
        target, name = node.target, str(node.target)
        changed = node.args[0] if node.args else None
        if not (isinstance(target, torch._ops.OpOverload) and target._schema.is_mutable):
            continue
        if not (isinstance(changed, fx.Node) and changed.target is aten.clone.default and "_." in name):
            continue
        plain = getattr(aten, name.removeprefix("aten.").split(".")[0].removesuffix("_"), None)
        if plain is None or target._overloadname not in plain.overloads():
            continue
        later = behind(node)
        if any(user not in {node} | later for user in changed.users):  # a view of it, perhaps
            continue
        node.target = getattr(plain, target._overloadname)
        for user in later & set(changed.users):
            user.replace_input_with(changed, node)


def behind(node: fx.Node) -> set[fx.Node]:
    """The nodes after it."""
    nodes = list(node.graph.nodes)
    return set(nodes[nodes.index(node) + 1 :])


def inlined(graph: fx.GraphModule, parts: fx.GraphModule, operands: list[fx.Node]) -> Any:
    """The nodes of `parts` at the current insertion point, on these operands; what its output names."""
    new: dict[fx.Node, fx.Node] = {}
    remaining = iter(operands)
    for node in parts.graph.nodes:
        if node.op == "placeholder":
            new[node] = next(remaining)
        elif node.op == "get_attr":
            new[node] = get(graph, add_constant(graph, "part", getattr(parts, str(node.target))))
        elif node.op == "call_function":
            args, kwargs = fx.map_arg((node.args, node.kwargs), new.__getitem__)
            target = aten.reshape.default if node.target in VIEWS else node.target
            new[node] = call(graph, target, *args, **kwargs)
        else:
            return fx.map_arg(arguments(node)[0], new.__getitem__)
    raise AssertionError("a graph ends with its output")
