"""An operation that conversion cannot take, in words for the network's author: its arguments, its module, its line."""

from __future__ import annotations

import torch
from torch import Tensor, fx

from edge.errors import InputError
from edge.exporting import line_of

WRAPPERS = {"Deployed", "Foreign", "Program"}  # ours, around the author's network


def refused(node: fx.Node, why: str) -> InputError:
    """What to raise for an operation that a format has nothing for."""
    return InputError(f"the network cannot be converted: {described(node)}: {why}")


def described(node: fx.Node) -> str:
    """`aten.topk.default(float32[1, 8], 2) in module head.pick (TopK), net.py:12`, as much of it as is known."""
    arguments = [text_of(argument) for argument in node.args]
    arguments += [f"{name}={text_of(value)}" for name, value in node.kwargs.items()]
    path, kind = module_of(node)
    place = f" in module {path} ({kind})" if path else f" in {kind}" if kind else ""
    line = line_of(node)
    return f"{name_of(node)}({', '.join(arguments)}){place}{f', {line}' if line else ''}"


def name_of(node: fx.Node) -> str:
    target = node.target
    return str(target) if isinstance(target, torch._ops.OpOverload) else getattr(target, "__name__", str(target))


def text_of(argument: object) -> str:
    if isinstance(argument, fx.Node):
        value = argument.meta.get("val")
        if not isinstance(value, Tensor):
            return argument.name
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    if isinstance(argument, (list, tuple)):
        return f"[{', '.join(text_of(part) for part in argument)}]"
    return repr(argument)


def module_of(node: fx.Node) -> tuple[str, str]:
    """Path in the author's network of the innermost module whose forward pass has the node, and its class."""
    stack = [(str(path), class_of(kind)) for path, kind in (node.meta.get("nn_module_stack") or {}).values()]
    inside = [entry for entry in stack if entry[1] not in WRAPPERS]
    if not inside:
        return "", ""
    root, (path, kind) = inside[0][0], inside[-1]
    return path.removeprefix(root).removeprefix("."), kind


def class_of(kind: object) -> str:
    return (kind if isinstance(kind, str) else getattr(kind, "__qualname__", str(kind))).rpartition(".")[2]
