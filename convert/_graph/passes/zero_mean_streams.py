"""Keep the mean of a residual stream at zero, so that its layer norms need not take it out.

A layer norm sees x only as x - mean(x). If every reader of a stream of sums is a layer norm over its channels, all that
is written to the stream may be centred where it is made, x = W u + b:

    W' = (I - 1 1^T / d) W        b' = (I - 1 1^T / d) b

and the stream is x - mean(x) from then on. The layer norms are left as they are, but marked, so that `plain_layer_norm`
spares them the mean. (Ashkboos et al., "SliceGPT", ICLR 2024, use the same to turn layer norm into RMS norm.)

A convolution in groups cannot be centred: the mean over its outputs is a sum over inputs that no single group sees.

A stream is everything connected by additions, reshapes and transposes that keep the channel axis whole. It is centred
only if it begins in linear layers, convolutions and constants alone and ends in layer norms alone. Fires once per
layer norm that was marked.
"""

from __future__ import annotations

from torch import Tensor, fx

from ..axes import backward, forward, is_link
from ..graph import CONVOLUTION, add_constant, arguments, aten, constant, copy_graph, filled, finish, get

CENTRED = "centred"  # key in a layer norm's meta


def zero_mean_streams(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many layer norms were marked."""
    graph = copy_graph(graph)
    marked = 0
    for norm in list(graph.graph.find_nodes(op="call_function", target=aten.layer_norm.default)):
        if CENTRED in norm.meta or len(arguments(norm)[1]) != 1:
            continue
        stream = Stream(graph)
        x = arguments(norm)[0]
        if not stream.collect(x, x.meta["val"].ndim - 1):
            continue
        for source, axis in stream.sources.items():
            centre(graph, source, axis)
        for reader in stream.norms:
            reader.meta[CENTRED] = True
            marked += 1
    return finish(graph), marked


class Stream:
    """The nodes of one stream with their channel axis, what writes to it and what reads it."""

    def __init__(self, graph: fx.GraphModule) -> None:
        self.graph = graph
        self.axis: dict[fx.Node, int] = {}
        self.sources: dict[fx.Node, int] = {}
        self.norms: list[fx.Node] = []

    def collect(self, node: fx.Node, axis: int) -> bool:
        """Take in `node` and all that is connected to it; False if something of it forbids centring."""
        waiting = [(node, axis)]
        while waiting:
            node, axis = waiting.pop()
            if node in self.axis:
                if self.axis[node] != axis:
                    return False
                continue
            self.axis[node] = axis
            more = self.origins(node, axis)
            if more is None:
                return False
            waiting += more
            for user in node.users:
                further = self.reader(node, user, axis)
                if further is None:
                    return False
                waiting += further
        return True

    def origins(self, node: fx.Node, axis: int) -> list[tuple[fx.Node, int]] | None:
        value = node.meta["val"]
        if is_link(node):
            before = backward(node, axis)
            return None if before is None else [(arguments(node)[0], before)]
        if is_sum(node):
            return [(a, axis) for a in arguments(node)]
        if node.target is aten.linear.default:
            fits = axis == value.ndim - 1 and all(constant(self.graph, a) is not None for a in arguments(node)[1:])
        elif node.target is aten.conv2d.default:
            fits = (
                axis == 1
                and filled(node, *CONVOLUTION)[6] == 1
                and all(a is None or constant(self.graph, a) is not None for a in arguments(node)[1:3])
            )
        else:
            held = constant(self.graph, node)
            fits = held is not None and held.ndim > axis
        if not fits:
            return None
        self.sources[node] = axis
        return []

    def reader(self, node: fx.Node, user: fx.Node, axis: int) -> list[tuple[fx.Node, int]] | None:
        if is_link(user):
            after = forward(user, axis)
            return None if after is None else [(user, after)]
        if is_sum(user):
            return [(user, axis)]
        if user.target is aten.layer_norm.default and arguments(user)[0] is node and axis == node.meta["val"].ndim - 1:
            self.norms.append(user)
            return []
        return None


def is_sum(node: fx.Node) -> bool:
    """An addition of two values of one shape: nothing is broadcast, so each operand has the channel axis."""
    return (
        node.target is aten.add.Tensor
        and not node.kwargs
        and all(isinstance(a, fx.Node) and a.meta["val"].shape == node.meta["val"].shape for a in arguments(node))
    )


def centre(graph: fx.GraphModule, source: fx.Node, axis: int) -> None:
    """Centre what the source writes: its weight and bias over the outputs, or the constant itself."""
    if source.op == "get_attr":
        value = constant(graph, source)
        assert value is not None  # checked when it was collected
        replace(graph, source, value - value.mean(axis, keepdim=True))
        return
    weight, *bias = (constant(graph, a) for a in arguments(source)[1:3])
    assert weight is not None
    with graph.graph.inserting_before(source):
        source.update_arg(1, get(graph, add_constant(graph, "centred_w", without_mean(weight))))
        if bias and bias[0] is not None:
            source.update_arg(2, get(graph, add_constant(graph, "centred_b", without_mean(bias[0]))))


def without_mean(value: Tensor) -> Tensor:
    wide = value.double()
    return (wide - wide.mean(0, keepdim=True)).to(value.dtype)


def replace(graph: fx.GraphModule, node: fx.Node, value: Tensor) -> None:
    with graph.graph.inserting_before(node):
        new = get(graph, add_constant(graph, "centred", value))
    node.replace_all_uses_with(new)
