"""The torch model as torch itself traces it, in float64, with values that can be put in from outside.

Nothing of the converter is in here: `torch.export` of the checkpoint's network, each node with the module it comes
from. A value that is given stands for the node from then on, and all that depends on it is computed from it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, fx, nn

Values = list[Tensor]  # one for each image


CONVOLUTIONS = {"conv1d", "conv2d", "conv_transpose2d", "convolution"}
WRAPPERS = {"Deployed", "Foreign", "Program"}  # ours, around the author's network
MODULE = "author's module"
LAYOUTS = (torch.contiguous_format, torch.channels_last)
LAYERS = CONVOLUTIONS | {"linear", "matmul", "addmm", "mm", "bmm"}


class Rounding(Protocol):
    """What a precision does to weights, to results, and to what a layer reads."""

    def weights(self, value: Tensor) -> Tensor: ...
    def result(self, value: Tensor) -> Tensor: ...
    def between(self, value: Tensor) -> Tensor: ...
    def read(self, value: Tensor) -> Tensor: ...


def same(value: Any) -> Any:
    return value


class Network:
    def __init__(self, module: nn.Module, images_u8: np.ndarray) -> None:
        """`module` takes (1, S, S, 3) and gives (1, K); a copy of it is made."""
        module = copy.deepcopy(module).double().eval()
        images = [torch.from_numpy(np.array(image[None])).double() for image in images_u8]
        program = torch.export.export(module, (images[0],)).run_decompositions({})
        self.graph = program.module(check_guards=False)
        self.images = images
        self.nodes = list(self.graph.graph.nodes)
        self.order = {node: number for number, node in enumerate(self.nodes)}
        name_modules(self.nodes, around(module))
        self.image = next(node for node in self.nodes if node.op == "placeholder")
        self.answer = next(node for node in self.nodes if node.op == "output").all_input_nodes[0]
        self.constants = {node: self.attribute(node) for node in self.nodes if node.op == "get_attr"}
        self.factors = factors(self.nodes)
        self.given: dict[fx.Node, Values] = {self.image: images}
        self.known: dict[fx.Node, list[Any]] = {}
        self.plain: dict[fx.Node, list[Any]] = {self.image: list(images)}  # nothing put in: what the model computes
        self.in_single: dict[torch.memory_format, dict[fx.Node, list[Any]]] = {
            layout: {self.image: [image.float() for image in images]} for layout in LAYOUTS
        }

    def attribute(self, node: fx.Node) -> Any:
        value: Any = self.graph
        for part in str(node.target).split("."):
            value = getattr(value, part)
        return value.detach() if isinstance(value, Tensor) else value

    def value(self, node: fx.Node) -> list[Any]:
        """What torch computes for the node from the given values, float64."""
        return self.computed(node, self.known, self.given)

    def model_value(self, node: fx.Node) -> list[Any]:
        """What the torch model computes for the node from the images."""
        return self.computed(node, self.plain, {})

    def single_value(self, node: fx.Node, layout: torch.memory_format) -> list[Any]:
        """What torch computes for the node from the images in float32, with maps that lie in memory in this way."""
        known = self.in_single[layout]
        for step in self.needed(node, known.__contains__):
            results = [single(self.run(step, number, known.__getitem__)) for number in range(len(self.images))]
            known[step] = [v.contiguous(memory_format=layout) if is_float(v) and v.ndim == 4 else v for v in results]
        return known[node]

    def computed(self, node: fx.Node, known: dict[fx.Node, list[Any]], inputs: dict[fx.Node, Values]) -> list[Any]:
        for one in self.needed(node, lambda n: n in known or n in inputs):
            known[one] = [
                self.run(one, number, lambda n: inputs.get(n) or known[n]) for number in range(len(self.images))
            ]
        return inputs.get(node) or known[node]

    def rounded(self, node: fx.Node, how: Rounding) -> list[Any]:
        """The node from the given values in float32, with weights, results and what layers read rounded on the way."""
        known: dict[fx.Node, list[Any]] = {}

        def of(step: fx.Node) -> list[Any]:
            return self.given.get(step) or known[step]

        for step in self.needed(node, lambda n: n in self.given):
            if step.op == "get_attr":
                value = single(self.constants[step])
                layer = isinstance(value, Tensor) and value.is_floating_point() and value.ndim > 1
                known[step] = [how.weights(value) if layer else value] * len(self.images)
                continue
            read = how.read if has_weights(step) else single
            results = [self.run(step, number, of, first=lambda v, read=read: read(single(v)), others=single)
                       for number in range(len(self.images))]  # fmt: skip
            finish = how.result if step is node else how.between
            known[step] = [finish(v) if is_float(v) else v for v in results]
        return of(node)

    def terms(self, node: fx.Node) -> int:
        """Of the longest sum between the given values and the node."""
        return max((self.summed(one) for one in self.needed(node, lambda n: n in self.given)), default=1)

    def independent(self, node: fx.Node, rounded_weights: bool) -> int:
        """Values of the node whose noise is drawn apart: output channels where weights are rounded, else all."""
        value = self.value(node)
        layers = [one for one in self.needed(node, lambda n: n in self.given) if has_weights(one)]
        if rounded_weights and layers:
            return min(channels_of(one) for one in layers)
        return max(1, sum(one.numel() for one in value))

    def summed(self, node: fx.Node) -> int:
        kind = kind_of(node)
        shapes = [tuple(one.meta["val"].shape) for one in node.all_input_nodes if hasattr(one.meta.get("val"), "shape")]
        if not shapes or node.op != "call_function":
            return 1
        if kind == "conv_transpose2d":
            return shapes[1][0] * prod(shapes[1][2:])
        if kind in CONVOLUTIONS:
            return prod(shapes[1][1:])
        if kind in {"linear", "matmul", "bmm", "mm", "addmm"}:
            return shapes[0][-1]
        if kind in {"layer_norm", "native_layer_norm", "softmax", "_softmax"}:
            return shapes[0][-1]
        made = node.meta.get("val")
        return max(1, prod(shapes[0]) // max(1, made.numel())) if isinstance(made, Tensor) else 1

    def needed(self, node: fx.Node, there: Callable[[fx.Node], bool]) -> list[fx.Node]:
        """The node and what it depends on, back to nodes that are there, in the order to compute them."""
        needed: set[fx.Node] = set()
        waiting = [node]
        while waiting:
            current = waiting.pop()
            if current in needed or there(current):
                continue
            needed.add(current)
            waiting += current.all_input_nodes
        return sorted(needed, key=self.order.__getitem__)

    @torch.inference_mode()
    def run(self, node: fx.Node, number: int, of: Callable[[fx.Node], list[Any]], first=same, others=same) -> Any:
        """One node for one image; `first` and `others` make its operands ready."""
        if node.op == "get_attr":
            return self.constants[node]
        leading = node.all_input_nodes[0] if node.all_input_nodes else None

        def fetched(one: fx.Node) -> Any:
            return (first if one is leading else others)(of(one)[number])

        target: Any = node.target
        if target in {
            torch.ops.aten.view.default,
            torch.ops.aten._unsafe_view.default,
        }:  # a value that was put in may lie differently in memory
            target = torch.ops.aten.reshape.default
        return target(*fx.map_arg(node.args, fetched), **fx.map_arg(node.kwargs, fetched))

    def reset(self) -> None:
        """Take out all that was put in, for the next file."""
        self.given = {self.image: self.images}
        self.known = {}

    def give(self, node: fx.Node, values: Values) -> None:
        """Let these values stand for the node."""
        self.given[node] = values
        self.forget(node)

    def forget(self, node: fx.Node) -> None:
        waiting = list(node.users)
        seen: set[fx.Node] = set()
        while waiting:
            current = waiting.pop()
            if current not in seen and current not in self.given:
                seen.add(current)
                self.known.pop(current, None)
                waiting += current.users

    def after(self, nodes: Iterable[fx.Node], reach: int) -> list[fx.Node]:
        """These nodes and what depends on them, nearest first, at most `reach` steps away."""
        reached = list(dict.fromkeys(nodes))
        seen, edge = set(reached), reached
        for _ in range(reach):
            edge = list(dict.fromkeys(user for node in edge for user in node.users if user not in seen))
            seen.update(edge)
            reached += sorted((node for node in edge if node.op == "call_function"), key=self.order.__getitem__)
        return reached


def single(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype == torch.float64 else value


def is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def channels_of(layer: fx.Node) -> int:
    shape = layer.meta["val"].shape
    return max(1, int(shape[1] if kind_of(layer) in CONVOLUTIONS else shape[-1]))


def factors(nodes: list[fx.Node]) -> list[float]:
    """The numbers that the network multiplies or divides by, and their inverses."""
    factors: dict[float, None] = {}
    for node in nodes:
        if kind_of(node) in {"mul", "div"}:
            for value in node.args:
                if isinstance(value, int | float) and value not in {0, 1}:
                    factors |= dict.fromkeys((float(value), 1 / float(value)))
    return list(factors)


def has_weights(node: fx.Node) -> bool:
    """A layer: a product whose second operand is a constant."""
    operands = node.args[1:2]
    return (
        kind_of(node) in LAYERS and bool(operands) and isinstance(operands[0], fx.Node) and operands[0].op == "get_attr"
    )


def kind_of(node: fx.Node) -> str:
    """The ATen operation's plain name."""
    schema = getattr(node.target, "_schema", None)
    return (
        schema.name.removeprefix("aten::") if schema is not None else getattr(node.target, "__name__", str(node.target))
    )


def module_of(node: fx.Node) -> str:
    """Path of the module in the author's network that the node belongs to; empty for what stands around the network."""
    return node.meta.get(MODULE, "")


def nearest_module(node: fx.Node, steps: int = 4) -> str:
    """Path of the node's module, or of the nearest one before it that has one."""
    for _ in range(steps):
        if module_of(node) or not node.all_input_nodes:
            break
        node = node.all_input_nodes[0]
    return module_of(node)


def around(module: nn.Module) -> str:
    """Path of the author's network inside of what stands around it: `net` of `Deployed`, `graph` of a program, …"""
    path = ""
    while True:
        kind, inner = type(module).__name__, [name for name, _ in module.named_children()]
        name = "graph" if kind == "Program" else "net"
        if (kind not in WRAPPERS and not (kind == "GraphModule" and inner == ["net"])) or name not in inner:
            return path
        module, path = module.get_submodule(name), f"{path}.{name}".lstrip(".")


def name_modules(nodes: list[fx.Node], prefix: str) -> None:
    """Note each node's module: where it was called, or, of a program that has forgotten that, whose weights it has."""
    for node in nodes:
        stack: Sequence[Any] = list((node.meta.get("nn_module_stack") or {}).values())
        owners = [str(one.target).rpartition(".")[0] for one in node.all_input_nodes if one.op == "get_attr"]
        inside = [path for path in (str(stack[-1][0]) if stack else "", *owners) if path.startswith(f"{prefix}.")]
        if inside and node.op == "call_function":
            node.meta[MODULE] = inside[0].removeprefix(f"{prefix}.")


def layer_of(node: fx.Node, steps: int = 4) -> str:
    """Path of the module whose weights made the node: its own, or through the few operations that are fused into it."""
    for _ in range(steps):
        if has_weights(node):
            return module_of(node)
        inputs = node.all_input_nodes
        if not inputs:
            break
        node = inputs[0]
    return ""
