"""From a module to an ATen graph with shapes, and the little surgery that the passes share."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn

from edge.exporting import draws, exported

from .refusals import refused

aten = torch.ops.aten
# input, weight, bias, stride, padding, dilation, groups of aten.conv2d, where they are left out
CONVOLUTION = (None, None, None, [1, 1], [0, 0], [1, 1], 1)
# input, weight, bias, stride, padding, output padding, groups, dilation of aten.conv_transpose2d
TRANSPOSED = (None, None, None, [1, 1], [0, 0], [0, 0], 1, [1, 1])

ORIGIN = ("nn_module_stack", "stack_trace")  # of a call, as torch.export leaves them
# composite operations that never give a view of an operand
FRESH = {
    aten.conv2d.default, aten.conv2d.padding, aten.linear.default, aten.batch_norm.default, aten.layer_norm.default,
    aten.matmul.default, aten.softmax.int, aten.conv_transpose2d.input, aten.silu.default, aten.relu6.default,
    aten.adaptive_avg_pool2d.default, aten.max_pool2d.default, aten.upsample_bilinear2d.vec,
    aten.conv1d.default, aten.conv1d.padding,
}  # fmt: skip


def trace(module: nn.Module, example: Tensor) -> fx.GraphModule:
    """The forward pass for inputs shaped like `example`, static shapes, every node with `meta["val"]`.

    Nothing is changed in place: the rewrites take a value for what its node made of it. A layer's node knows whose
    weight it uses: `meta["module"]`, the path of the module in `module`; every call knows where in the network's code
    it comes from: `meta["nn_module_stack"]` and `meta["stack_trace"]`, as torch.export leaves them. Raises InputError
    that names the place where the network cannot be followed.
    """
    program = exported(module, example)
    graph = program.module(check_guards=False)
    if not without_changes_in_place(graph):
        graph = with_batch_norm(program.run_decompositions({}).module(check_guards=False))
    for node in graph.graph.nodes:
        if draws(node):
            raise refused(node, "it draws random numbers; the network has to answer alike every time")
        if has_open_shape(node):
            raise refused(node, "the shape of its result depends on the picture's values (data-dependent)")
        if node.target in {aten.conv2d.default, aten.conv2d.padding, aten.linear.default}:
            node.meta["module"] = owner(arguments(node)[1])
    return graph


def has_open_shape(node: fx.Node) -> bool:
    values = node.meta.get("val")
    values = values if isinstance(values, (list, tuple)) else [values]
    return any(isinstance(v, Tensor) and not all(isinstance(n, int) for n in v.shape) for v in values)


def without_changes_in_place(graph: fx.GraphModule) -> bool:
    """Put y = f(x) for each y = f_(x); False where a view shows the change to others, which that would lose.

    The tracer lets whoever reads x later read y. What is left are views of x, and x as a view of something.
    """
    order = {node: number for number, node in enumerate(graph.graph.nodes)}
    for node in list(graph.graph.nodes):
        if not changes_in_place(node):
            continue
        x = arguments(node)[0]
        name = node.target._schema.name.removeprefix("aten::").removesuffix("_")
        pure = getattr(getattr(aten, name, None), node.target._overloadname, None)
        later = [user for user in x.users if order[user] > order[node]]
        if pure is None or later or shares_memory(x) or any(shares_memory(user) for user in x.users if user != node):
            return False
        node.target = pure
    graph.recompile()
    return True


def changes_in_place(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def shares_memory(node: fx.Node) -> bool:
    """Whether the result may be a view of an operand; where the schema does not say, it may."""
    if node.op != "call_function" or changes_in_place(node):
        return False
    if not isinstance(node.target, torch._ops.OpOverload):
        return True
    schema = node.target._schema
    composite = node.target.has_kernel_for_dispatch_key(torch._C.DispatchKey.CompositeImplicitAutograd)
    said = any(value.alias_info is not None for value in schema.returns)
    return said or (composite and node.target not in FRESH)


def with_batch_norm(graph: fx.GraphModule) -> fx.GraphModule:
    """Batch norm under the name that it has in a graph with changes in place."""
    for norm in graph.graph.find_nodes(op="call_function", target=aten._native_batch_norm_legit_no_training.default):
        (result,) = norm.users  # the other two results are statistics for training
        with graph.graph.inserting_before(norm):
            *operands, momentum, eps = norm.args
            new = graph.graph.call_function(aten.batch_norm.default, (*operands, False, momentum, eps, False))
        new.meta["val"] = result.meta["val"]
        result.replace_all_uses_with(new)
    return finish(graph)


def owner(attribute: object) -> str | None:
    """Path of the module that a `get_attr` node's tensor belongs to."""
    if not isinstance(attribute, fx.Node) or attribute.op != "get_attr":
        return None
    return str(attribute.target).rpartition(".")[0] or None


def stands_for(new: fx.Node, old: fx.Node) -> None:
    """`new` does what `old` did: it is the same module's layer."""
    new.meta |= {key: old.meta[key] for key in ("module", "normalised_by", *ORIGIN) if key in old.meta}


def comes_from(new: fx.Node, old: fx.Node) -> None:
    """`new` is there because of what the author wrote for `old`."""
    new.meta |= {key: old.meta[key] for key in ORIGIN if key in old.meta}


@contextmanager
def in_place_of(graph: fx.GraphModule, node: fx.Node) -> Iterator[None]:
    """New nodes go before `node`, and come from where it comes from."""
    with graph.graph.inserting_before(node):
        yield
    new = node.prev
    while new.op in {"call_function", "get_attr"} and "nn_module_stack" not in new.meta:
        comes_from(new, node)
        new = new.prev


def copy_graph(graph: fx.GraphModule) -> fx.GraphModule:
    """A copy that shares nothing with `graph`, so that a pass can work on it in place."""
    return copy.deepcopy(graph)


def arguments(node: fx.Node) -> tuple[Any, ...]:
    """The node's arguments; fx types each as a union of some twenty things, which helps no reader."""
    return node.args


def filled(node: fx.Node, *defaults: Any) -> tuple[Any, ...]:
    """The node's arguments, and the defaults of the last ones that it does not give."""
    given = tuple(node.args)
    return given + defaults[len(given) :]


def constant(graph: fx.GraphModule, node: object) -> Tensor | None:
    """The tensor that a `get_attr` node stands for; None for any other node."""
    if not isinstance(node, fx.Node) or node.op != "get_attr":
        return None
    value: object = graph
    for part in str(node.target).split("."):
        value = getattr(value, part)
    return value.detach() if isinstance(value, Tensor) else None


def add_constant(graph: fx.GraphModule, name: str, value: Tensor) -> str:
    """Register a buffer under a name like `name` that is free; returns the name it got."""
    chosen, number = name, 0
    while hasattr(graph, chosen):
        number += 1
        chosen = f"{name}_{number}"
    graph.register_buffer(chosen, value, persistent=True)
    return chosen


def call(graph: fx.GraphModule, target: Callable, *args: Any, **options: Any) -> fx.Node:
    """A new call node at the current insertion point, with its shape worked out."""
    node = graph.graph.call_function(target, args, options)
    values, named = torch.fx.node.map_arg((args, options), lambda n: n.meta["val"])
    node.meta["val"] = target(*values, **named)
    return node


def get(graph: fx.GraphModule, name: str) -> fx.Node:
    node = graph.graph.get_attr(name)
    value = getattr(graph, name)
    node.meta["val"] = torch.empty_like(value, device="meta") if not isinstance(value, Tensor) else value
    return node


def results(graph: fx.GraphModule) -> list[fx.Node]:
    """The nodes whose values the graph returns, in order."""
    (output,) = graph.graph.find_nodes(op="output")
    return flat(arguments(output)[0])


def flat(value: object) -> list[fx.Node]:
    if isinstance(value, fx.Node):
        return [value]
    assert isinstance(value, (list, tuple))
    return [node for part in value for node in flat(part)]


def finish(graph: fx.GraphModule) -> fx.GraphModule:
    """Drop what nothing uses any more and compile the module anew."""
    graph.graph.eliminate_dead_code()
    graph.delete_all_unused_submodules()
    graph.graph.lint()
    graph.recompile()
    return graph
