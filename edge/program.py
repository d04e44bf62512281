"""A network as an exported program (torch.export's `.pt2`): it runs without the source that it was written in.

What a file may hold, and how it is read: `edge.program_file`.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edge.errors import InputError
from edge.exporting import draws, exported, no_operation
from edge.program_file import checked

if TYPE_CHECKING:
    from torch import nn

SUFFIX = ".pt2"


def to_bytes(module: nn.Module, side: int) -> bytes:
    """The exported program of a module that takes a picture (1, 3, side, side), float32.

    The same module gives the same bytes, so that their digest tells networks apart.

    Neither the author's source lines nor the example input go along. Raises InputError where torch.export cannot follow
    the module.
    """
    import torch

    program = exported(module, torch.zeros(1, 3, side, side))
    for node in program.graph.nodes:
        if draws(node):
            raise InputError(
                f"the network draws random numbers ({node.target}), and a seed that it sets itself is not exported; "
                "make it answer alike every time, from the picture and its weights alone"
            )
        if (words := no_operation(node)) is not None:
            raise InputError(words)
        node.meta.pop("stack_trace", None)
    program._example_inputs = None
    program._guards_code = []
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    checked(buffer.getvalue(), where="the network as exported")  # what could not be read again is said now
    return buffer.getvalue()


def from_bytes(content: bytes, *, where: str) -> nn.Module:
    """The module of an exported program, in evaluation mode: (N, 3, S, S) -> what it returned when it was exported.

    Raises InputError that names `where` for anything but a program of ATen operations on raw tensors.
    """
    import torch

    content = checked(content, where=where)
    try:
        with quiet():
            program = torch.export.load(io.BytesIO(content))
            graph = program.module(check_guards=False)
    except Exception as error:  # damaged in a way that the checks let pass
        first = (str(error).splitlines() or ["?"])[0][:200]
        raise InputError(f"{where} is damaged: {type(error).__name__}: {first}; convert again") from error
    return one_at_a_time()(graph)


@contextmanager
def quiet() -> Iterator[None]:
    """Without torch's own log of what is wrong with a file: the error says it."""
    logger = logging.getLogger("torch.export")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def one_at_a_time() -> type[nn.Module]:
    """The class of a module that runs a program, which takes a single picture, on N of them."""
    import torch
    from torch import Tensor, nn

    class Program(nn.Module):
        """Runs an exported program picture by picture. It has no training mode."""

        def __init__(self, graph: nn.Module) -> None:
            super().__init__()
            self.graph = graph

        def train(self, mode: bool = True) -> Program:
            if mode:
                raise InputError("an exported program cannot be trained; give the network's own source as `model`")
            return self

        def answer(self, picture: Tensor) -> Any:
            try:
                return self.graph(picture)
            except (RuntimeError, AssertionError) as error:  # a program that was changed, or takes another side
                if torch.compiler.is_exporting():
                    raise
                first = (str(error).splitlines() or [type(error).__name__])[0][:200]
                raise InputError(
                    f"the exported network does not run on {tuple(picture.shape)}: {first}; convert it again"
                ) from error

        def forward(self, images: Tensor) -> Any:
            outputs = [self.answer(image[None]) for image in images]
            if len(outputs) == 1:
                return outputs[0]
            if isinstance(outputs[0], tuple):
                return tuple(torch.cat(parts) for parts in zip(*outputs, strict=True))
            return torch.cat(outputs)

    return Program
