"""Blocks of `torch.no_grad` and `torch.autocast` in an exported program, as the operations inside them.

torch.export keeps such a block as a call of a graph of its own. Gradients are never asked for, and what is computed in
another type on other devices is computed in float32 here.
"""

from __future__ import annotations

from typing import Any

from torch import fx

from edge.errors import InputError

NO_GRAD, AUTOCAST = "wrap_with_set_grad_enabled", "wrap_with_autocast"


def without_blocks(program: Any) -> Any:
    """The exported program, changed in place; InputError for a block that computes in another type on the CPU."""
    graph = program.graph_module
    while blocks := [node for node in graph.graph.nodes if block_of(node) is not None]:
        for node in blocks:
            if block_of(node) == AUTOCAST and node.args[0] == "cpu" and node.args[2]:
                kind = str(node.args[1] or "bfloat16").removeprefix("torch.")
                raise InputError(
                    f"the network computes in {kind} (torch.autocast on the CPU), and files are made of a network in "
                    "float32; leave torch.autocast out, it is for training"
                )
            put_inside(program, node)
        graph.delete_all_unused_submodules()
        graph.recompile()
    return program


def block_of(node: fx.Node) -> str | None:
    name = getattr(node.target, "__name__", "")
    return name if node.op == "call_function" and name in {NO_GRAD, AUTOCAST} else None


def put_inside(program: Any, node: fx.Node) -> None:
    """The operations of the graph that `node` calls, in its place."""
    graph: fx.GraphModule = program.graph_module
    given: tuple[Any, ...] = node.args
    place = next(number for number, part in enumerate(given) if isinstance(part, fx.Node))
    inner, *operands = given[place:]
    block: Any = graph.get_submodule(str(inner.target))
    remaining = iter(operands)
    new: dict[fx.Node, Any] = {}
    with graph.graph.inserting_before(node):
        for part in block.graph.nodes:
            if part.op == "placeholder":
                new[part] = next(remaining)
            elif part.op == "output":
                results: Any = fx.map_arg(part.args[0], new.__getitem__)
            elif part.op == "get_attr":  # a block inside the block
                name = f"{inner.target}_{part.target}"
                graph.add_submodule(name, getattr(block, str(part.target)))
                new[part] = graph.graph.get_attr(name)
            else:
                new[part] = graph.graph.node_copy(part, new.__getitem__)
    for user in list(node.users):  # each takes one of the results
        result = results[user.args[1]]
        user.replace_all_uses_with(result)
        program.graph_signature.replace_all_uses(user.name, result.name)  # where the network returns it
        graph.graph.erase_node(user)
    graph.graph.erase_node(node)
    if not inner.users:
        graph.graph.erase_node(inner)
