"""Norms whose sums of squares stay within half precision: in a graph what `_tflite/half_norms.py` does to a file.

    x / sqrt(mean(x x) + eps) = (s x) / sqrt(mean(s x s x) + s^2 eps)        s = 2^-k

is the same number; in float32 the products round as before. Where only norms read the stream that x belongs to, s goes
into the weights, biases and constants that are written to it, under the names that they had; else x is multiplied by s
in front of the norm. How large sums become, and with that k, is seen on black, white, noise and coarse patches.

Knows norms as they are spelled out, so it comes after all rewrites that do so. Fires once per norm that was made
smaller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

import numpy as np
import torch
from torch import Tensor, fx, nn

from ..._extremes import drawn
from ..._half_steps import NO_STEP, SMALLEST, Step, Sums, step_of
from ..axes import LINKS
from ..graph import arguments, aten, call, constant, copy_graph, finish, in_place_of

LAYERS = {aten.linear.default, aten.conv2d.default}
SUMS = {aten.add.Tensor, aten.sub.Tensor, aten.cat.default}  # of operands that have to be smaller alike
# of the first operand, times s where that is
ALIKE = LINKS | {aten.mean.dim, aten.slice.Tensor, aten.select.int, aten.expand.default, aten.clone.default}


@dataclass(frozen=True, eq=False)
class Norm:
    """The operations of x / sqrt(mean(x x) + eps)."""

    x: fx.Node
    square: fx.Node
    power: fx.Node  # the mean of the squares
    plus: fx.Node
    eps: float
    products: tuple[fx.Node, ...]  # of x and what it is multiplied by


def norms_in_half(graph: fx.GraphModule) -> tuple[fx.GraphModule, int]:
    """The rewritten copy and how many norms get a smaller operand. Runs the graph where it has norms.

    `graph` takes one picture, (1, S, S, 3) or (1, 3, S, S), 0..255.
    """
    graph = copy_graph(graph)
    norms = norms_of(graph)
    steps = dict(zip(norms, (step_of(sums, norm.eps) for norm, sums in sums_of(graph, norms)), strict=True))
    left = [norm for norm in norms if steps[norm].needed]
    changed = 0
    while left:
        stream = Stream(graph, norms)
        if stream.collect(left[0].x) and (k := stream.common(steps)):
            stream.shrink(2.0**-k)
            done = stream.norms
        else:
            multiply(graph, left[0], 2.0 ** -steps[left[0]].needed)
            done = left[:1]
        changed += len(done)
        left = [norm for norm in left if norm not in done]
    return finish(graph), changed


def norms_of(graph: fx.GraphModule) -> list[Norm]:
    """Layer norms and RMS norms as rewrites spell them out."""
    norms = []
    for root in graph.graph.find_nodes(op="call_function", target=aten.rsqrt.default):
        plus = arguments(root)[0]
        if plus.target is not aten.add.Tensor or plus.kwargs or not isinstance(arguments(plus)[1], (int, float)):
            continue
        power = arguments(plus)[0]
        square = arguments(power)[0] if power.target is aten.mean.dim else None
        if square is None or square.target is not aten.mul.Tensor or arguments(square)[0] is not arguments(square)[1]:
            continue
        x, products = arguments(square)[0], tuple(root.users)
        alone = all(len(node.users) == 1 for node in (square, power, plus))
        if alone and all(user.target is aten.mul.Tensor and set(arguments(user)) == {x, root} for user in products):
            norms.append(Norm(x, square, power, plus, float(arguments(plus)[1]), products))
    return norms


def sums_of(graph: fx.GraphModule, norms: list[Norm]) -> list[tuple[Norm, Sums]]:
    """What each norm adds up, over the drawn pictures."""
    if not norms:
        return []
    placeholder = graph.graph.find_nodes(op="placeholder")[0]
    shape = placeholder.meta["val"].shape
    by_power = {norm.power: norm for norm in norms}
    largest, quietest = dict.fromkeys(norms, 0.0), dict.fromkeys(norms, inf)

    class Watched(fx.Interpreter):
        def run_node(self, n: fx.Node) -> object:
            value = super().run_node(n)
            norm = by_power.get(n)
            if norm is not None and isinstance(value, Tensor):
                terms = norm.square.meta["val"].numel() // max(1, value.numel())
                finite = bool(value.isfinite().all())
                largest[norm] = max(largest[norm], float(value.max()) * terms) if finite else inf
                quietest[norm] = min([quietest[norm], *value[value > 0].flatten().tolist()])
            return value

    with torch.no_grad():
        for picture in drawn(max(shape[-2:])):
            image = torch.from_numpy(picture[None].astype(np.float32))
            Watched(graph).run(image if shape[-1] == image.shape[-1] else image.permute(0, 3, 1, 2).contiguous())
    return [(norm, Sums(largest[norm], quietest[norm])) for norm in norms]


class Stream:
    """All values that have to be s times as large if one of them is, what makes them, and the norms that read them."""

    def __init__(self, graph: fx.GraphModule, norms: list[Norm]) -> None:
        self.graph, self.known = graph, norms
        self.values: set[fx.Node] = set()
        self.writers: dict[str, set[fx.Node]] = {}  # name of a constant -> the stream's operations that read it
        self.factors: set[str] = set()  # the constants that something is multiplied with
        self.norms: list[Norm] = []

    def collect(self, value: fx.Node) -> bool:
        """Take in the value and all that goes with it; False if something of it forbids the factor."""
        waiting = [value]
        while waiting:
            value = waiting.pop()
            if value in self.values:
                continue
            self.values.add(value)
            before = self.written_by(value)
            after = [self.read_by(user, value) for user in value.users]
            if before is None or any(some is None for some in after):
                return False
            waiting += before + [more for some in after for more in some or ()]
        return all(self.is_own(name) for name in self.writers)

    def written_by(self, value: fx.Node) -> list[fx.Node] | None:
        """Operands that have to be smaller as well; constants among them are noted. None: it cannot be."""
        if value.target in LAYERS:
            stored = [one for one in arguments(value)[1:3] if one is not None]
            if not all(self.note(value, one) for one in stored):
                return None
            self.factors.add(str(stored[0].target))
            return []
        if value.target in SUMS and not value.kwargs:
            operands = arguments(value)[0] if value.target is aten.cat.default else arguments(value)[:2]
            if not all(isinstance(one, fx.Node) for one in operands):
                return None
            return [one for one in operands if not self.note(value, one)]
        return [arguments(value)[0]] if value.target in ALIKE else None

    def read_by(self, user: fx.Node, value: fx.Node) -> list[fx.Node] | None:
        """What becomes smaller if the value does; None if the operation does something else with it."""
        for norm in self.known:
            if norm.x is value and user in (norm.square, *norm.products):
                self.norms += [] if norm in self.norms else [norm]
                return []
        return [user] if user.target in SUMS | ALIKE else None

    def note(self, reader: fx.Node, operand: fx.Node) -> bool:
        """Remember that the stored operand times s is wanted. False if it is computed."""
        if constant(self.graph, operand) is None:
            return False
        self.writers.setdefault(str(operand.target), set()).add(reader)
        return True

    def is_own(self, name: str) -> bool:
        """Whether the stream's operations alone read a constant of floats."""
        nodes = [node for node in self.graph.graph.find_nodes(op="get_attr") if node.target == name]
        value = constant(self.graph, nodes[0])
        return (
            value is not None
            and value.is_floating_point()
            and {user for node in nodes for user in node.users} <= self.writers[name]
        )

    def common(self, steps: Mapping[Norm, Step]) -> int:
        """The k that the whole stream can be made smaller by, 0 if one of its norms or weights would lose digits."""
        own = [steps.get(norm, NO_STEP) for norm in self.norms]
        k = max(step.needed for step in own)
        if any(step.borne < k for step in own):
            return 0
        largest = [float(self.graph_value(name).abs().max()) or inf for name in self.factors]
        return k if all(value * 2.0**-k >= SMALLEST for value in largest) else 0

    def shrink(self, s: float) -> None:
        for name in self.writers:
            parent, _, leaf = name.rpartition(".")
            module, value = self.graph.get_submodule(parent), self.graph_value(name) * s
            kept = isinstance(getattr(module, leaf), nn.Parameter)
            setattr(module, leaf, nn.Parameter(value, requires_grad=False) if kept else value)
        for norm in self.norms:
            norm.plus.update_arg(1, norm.eps * s * s)

    def graph_value(self, name: str) -> Tensor:
        node = next(node for node in self.graph.graph.find_nodes(op="get_attr") if node.target == name)
        value = constant(self.graph, node)
        assert value is not None  # `note` has seen it
        return value


def multiply(graph: fx.GraphModule, norm: Norm, s: float) -> None:
    """A product with s in front of the norm."""
    with in_place_of(graph, norm.square):
        smaller = call(graph, aten.mul.Tensor, norm.x, s)
    for reader in (norm.square, *norm.products):
        reader.replace_input_with(norm.x, smaller)
    norm.plus.update_arg(1, norm.eps * s * s)
