"""Where in a network something lies that conversion cannot take, in words for its author."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from edge.errors import InputError

OURS = tuple(str(Path(__file__).parents[2] / room) for room in ("convert", "edge", "dermedge"))
TORCH = str(Path(torch.__file__).parent)
WRAPPER = "net"  # what the deployed module calls the network
LONGEST = 160  # characters of another program's message


def exported(module: nn.Module, example: Tensor) -> Any:
    """torch.export's program of a module; InputError that says where in the network's code it could not follow."""
    try:
        return torch.export.export(module, (example,))
    except (InputError, MemoryError, ModuleNotFoundError):
        raise
    except Exception as error:
        raise InputError(f"the network cannot be traced for images {tuple(example.shape)}: {said(error)}") from error


def said(error: Exception) -> str:
    """An exception from the network's own code in one line: its words, the place in the code, the module."""
    words = f"{type(error).__name__}: {first_line(error)}"
    if "data-dependent" in words:
        words = "what it does depends on the picture (data-dependent), and a file does the same for each"
    frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if is_authors(frame)]
    if not frames:
        return words
    frame, line = frames[-1]
    summary = traceback.FrameSummary(frame.f_code.co_filename, line, frame.f_code.co_name)
    place = f"{Path(summary.filename).name}:{line}, `{summary.line}`"
    owner = frame.f_locals.get("self")
    return f"{words} ({place}{f', in {type(owner).__name__}' if isinstance(owner, nn.Module) else ''})"


def is_authors(frame: Any) -> bool:
    name = frame.f_code.co_filename
    return not name.startswith((*OURS, TORCH, "<"))


def first_line(error: Exception) -> str:
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "?")
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"


def refused(node: fx.Node, why: str) -> InputError:
    """What to raise for an operation that a format has nothing for."""
    return InputError(f"the network cannot be converted: {described(node)}: {why}")


def described(node: fx.Node) -> str:
    """An operation with its arguments, the module that it comes from, and the line of code if that is known."""
    arguments = [text_of(argument) for argument in node.args]
    arguments += [f"{name}={text_of(value)}" for name, value in node.kwargs.items()]
    return f"{name_of(node)}({', '.join(arguments)}){place_of(node)}"


def name_of(node: fx.Node) -> str:
    target = node.target
    return f"{target}" if isinstance(target, torch._ops.OpOverload) else getattr(target, "__name__", str(target))


def text_of(argument: object) -> str:
    if isinstance(argument, fx.Node):
        value = argument.meta.get("val")
        if isinstance(value, Tensor):
            return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
        return argument.name
    if isinstance(argument, (list, tuple)):
        return f"[{', '.join(text_of(part) for part in argument)}]"
    return repr(argument)


def place_of(node: fx.Node) -> str:
    """` in module a.b (Attention), file.py:12`, as much of it as is known."""
    path, kind = module_of(node)
    text = f" in module {path} ({kind})" if path else f" in {kind}" if kind else ""
    line = line_of(node)
    return text + (f", {line}" if line else "")


def module_of(node: fx.Node) -> tuple[str, str]:
    """Path of the innermost module whose forward pass has the node, without the wrapper's name, and its class."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    if not stack:
        return "", ""
    path, kind = stack[-1][:2]
    kind = kind if isinstance(kind, str) else getattr(kind, "__qualname__", str(kind))
    return str(path).removeprefix(WRAPPER).removeprefix("."), str(kind).rpartition(".")[2]


def line_of(node: fx.Node) -> str | None:
    """`file.py:12` of the author's code that asked for the operation."""
    lines = re.findall(r'File "([^"]+)", line (\d+)', node.meta.get("stack_trace") or "")
    theirs = [(name, line) for name, line in lines if not name.startswith((*OURS, TORCH, "<"))]
    return f"{Path(theirs[-1][0]).name}:{theirs[-1][1]}" if theirs else None
