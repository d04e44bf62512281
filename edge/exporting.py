"""torch.export with refusals that say where in the network's own code it could not follow."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, fx, nn

OURS = tuple(str(Path(__file__).parents[1] / room) for room in ("convert", "edge", "dermedge"))
LONGEST = 160  # characters of another program's message


def exported(module: nn.Module, example: Tensor) -> Any:
    """torch.export's program of a module for inputs shaped like `example`, in evaluation mode.

    Raises InputError with the place in the network's code and its module where torch.export cannot follow it.
    """
    import torch

    def followed() -> Any:
        return torch.export.export(module.eval(), (example,))

    from .inlining import without_blocks

    try:
        return without_blocks(with_constant_masks(followed, module, example))
    except (InputError, MemoryError, ModuleNotFoundError):
        raise
    except Exception as error:  # torch has a class of its own for every reason
        shape = " x ".join(str(length) for length in example.shape)
        raise InputError(f"torch.export cannot follow the network for a picture of {shape}: {said(error)}") from error


def with_constant_masks(followed: Callable[[], Any], module: nn.Module, example: Tensor) -> Any:
    """What `followed` gives; where a shape would stay open, once more with masks that no picture changes."""
    program, refusal = None, None
    try:
        program = followed()
        if not any(has_open_shape(node) for node in program.graph.nodes):
            return program
    except Exception as error:
        refusal = error
    from .constant_masks import Placed, masks_of

    try:
        masks = masks_of(module, example)
    except Exception:  # what is wrong was said by torch.export
        masks = []
    if any(masks):
        with Placed(masks):
            return followed()
    if refusal is not None:
        raise refusal
    return program


def has_open_shape(node: fx.Node) -> bool:
    """Whether torch.export could not tell how long an axis of the result is."""
    from torch import Tensor

    values = node.meta.get("val")
    values = values if isinstance(values, (list, tuple)) else [values]
    return any(isinstance(v, Tensor) and not all(isinstance(n, int) for n in v.shape) for v in values)


def draws(node: fx.Node) -> bool:
    """Whether an operation of a graph gives random numbers; dropout does not, in evaluation."""
    import torch

    name = getattr(node.target, "__name__", str(node.target))
    tagged = torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
    return tagged and not any(word in name for word in ("dropout", "attention", "rrelu", "lstm", "gru", "rnn"))


def no_operation(node: fx.Node) -> str | None:
    """In words, what a node of a graph does that is no operation on tensors of known shapes; None for others."""
    import torch

    where = f" ({line})" if (line := line_of(node)) else ""
    if node.target in {torch.ops.aten.item.default, torch.ops.aten._local_scalar_dense.default}:
        return (
            f"the network makes a Python number of a tensor{where}, as .item(), float() and .tolist() do, and goes on "
            "with it; a file has tensors alone: leave it a tensor"
        )
    name = getattr(node.target, "__name__", str(node.target))
    plain = isinstance(node.target, torch._ops.OpOverload) or name in {"getitem", "_enter_autocast", "_exit_autocast"}
    if node.op == "call_function" and not plain:
        return (
            f"the network calls {name}{where}, as torch.cond, torch.vmap and other functions of functions do; a file "
            "has plain operations alone: write it out"
        )
    return None


def said(error: Exception) -> str:
    """An exception from the network's own code in one line: its words, the place in the code, the module's class."""
    words = f"{type(error).__name__}: {first_line(error)}"
    if "data-dependent" in words:
        words = "what it does depends on the picture (data-dependent), and a file does the same for each"
    frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if is_authors(frame)]
    if not frames:
        return words
    frame, line = frames[-1]
    code = shortened(traceback.FrameSummary(frame.f_code.co_filename, line, frame.f_code.co_name).line or "?")
    owner = type(frame.f_locals["self"]).__name__ if "self" in frame.f_locals else ""
    return f"{words} ({Path(frame.f_code.co_filename).name}:{line}, `{code}`{f', in {owner}' if owner else ''})"


def line_of(node: fx.Node) -> str | None:
    """`net.py:12` of the author's code that asked for the operation of a traced graph; None where that is not known."""
    lines = re.findall(r'File "([^"]+)", line (\d+)', node.meta.get("stack_trace") or "")
    places = [f"{Path(file).name}:{line}" for file, line in lines if theirs(file)]
    return places[-1] if places else None


def is_authors(frame: Any) -> bool:
    return theirs(frame.f_code.co_filename)


def theirs(file: str) -> bool:
    """Whether a source file is neither torch's nor dermedge's."""
    import torch

    return not file.startswith((*OURS, str(Path(torch.__file__).parent), "<"))


def first_line(error: BaseException) -> str:
    return shortened(next((line for line in str(error).splitlines() if line.strip()), "?"))


def shortened(text: str) -> str:
    """On one line, not too long."""
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
