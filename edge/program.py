"""A network as an exported program (torch.export's `.pt2`): it runs without the source that it was written in.

A file is parsed as hostile before torch reads it: torch would run pickles, call any function that an operation names,
and evaluate shapes that are written as expressions.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from edge.errors import InputError
from edge.exporting import exported

if TYPE_CHECKING:
    from torch import nn

SUFFIX = ".pt2"
MAX_BYTES = 2 * 2**30
MAX_JSON_BYTES = 256 * 2**20
OPERATION = re.compile(r"torch\.ops\.aten\.\w+(\.\w+)?|_operator\.getitem")
# Members of the archive, behind the name of its top folder. Weights and constants are raw bytes.
MEMBERS = re.compile(
    r"models/model\.json|data/(weights|constants)/(weight_\d+|tensor_\d+|model_(weights|constants)_config\.json)"
    r"|data/sample_inputs/model\.pt|archive_format|archive_version|byteorder|\.data/(version|serialization_id)"
)
EMPTY = "data/sample_inputs/model.pt"  # would be a pickle; ours has none


def to_bytes(module: nn.Module, side: int) -> bytes:
    """The exported program of a module that takes a picture (1, 3, side, side), float32.

    The same module gives the same bytes, so that their digest tells networks apart.

    Neither the author's source lines nor the example input go along. Raises InputError where torch.export cannot follow
    the module.
    """
    import torch

    program = exported(module, torch.zeros(1, 3, side, side))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    program._example_inputs = None
    program._guards_code = []
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


def from_bytes(content: bytes, *, where: str) -> nn.Module:
    """The module of an exported program, in evaluation mode: (N, 3, S, S) -> what it returned when it was exported.

    Raises InputError that names `where` for anything but a program of ATen operations on raw tensors.
    """
    import torch

    check(content, where=where)
    try:
        program = torch.export.load(io.BytesIO(content))
        graph = program.module(check_guards=False)
    except Exception as error:  # damaged in a way that the checks let pass
        first = (str(error).splitlines() or ["?"])[0][:200]
        raise InputError(f"{where} is damaged: {type(error).__name__}: {first}; convert again") from error
    return one_at_a_time()(graph)


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

        def forward(self, images: Tensor) -> Any:
            if images.shape[0] == 1:
                return self.graph(images)
            outputs = [self.graph(image[None]) for image in images]
            if isinstance(outputs[0], tuple):
                return tuple(torch.cat(parts) for parts in zip(*outputs, strict=True))
            return torch.cat(outputs)

    return Program


def check(content: bytes, *, where: str) -> None:
    """InputError unless the archive holds ATen operations and raw tensors alone, each member of bounded size."""
    again = "convert the network again with dermedge"
    if len(content) > MAX_BYTES:
        raise InputError(f"{where} is larger than {MAX_BYTES} bytes; expected the network of a phone model")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {info.filename.partition("/")[2]: info for info in archive.infolist()}
            if sum(info.file_size for info in members.values()) > MAX_BYTES:
                raise InputError(f"{where} unpacks to more than {MAX_BYTES} bytes")
            strange = [name for name in members if not MEMBERS.fullmatch(name)]
            if strange or "models/model.json" not in members or members[EMPTY].file_size:
                raise InputError(
                    f"{where} holds {(strange or [EMPTY])[0]!r}, which is no part of a plain program; {again}"
                )
            documents = {
                name: json_member(archive, info, where) for name, info in members.items() if name.endswith(".json")
            }
    except InputError:
        raise
    except (zipfile.BadZipFile, KeyError, OSError, ValueError, RecursionError, NotImplementedError) as error:
        raise InputError(f"{where} is no exported program ({type(error).__name__}: {error}); {again}") from error
    for name, document in documents.items():
        for key, value in walk(document):
            if key == "use_pickle" and value is not False:
                raise InputError(f"{where}: {name} holds a pickle, which is never read; {again}")
            if key == "path_name" and not re.fullmatch(r"(weight|tensor)_\d+", str(value)):
                raise InputError(f"{where}: {name} names {str(value)[:60]!r} for a tensor; {again}")
            if key == "target" and not (isinstance(value, str) and is_operation_or_name(value)):
                raise InputError(f"{where}: calls {str(value)[:80]!r}; expected ATen operations alone; {again}")
            if key == "guards_code" and value:
                raise InputError(f"{where}: brings code of its own; {again}")
            if key in {"as_expr", "expr_str"}:
                raise InputError(f"{where}: has shapes that are expressions; expected fixed ones; {again}")


def is_operation_or_name(target: str) -> bool:
    """Whether torch would call an ATen operation, or takes the text for the name of a weight."""
    called = target.startswith(("torch", "_operator", "math", "#"))
    return bool(OPERATION.fullmatch(target)) or not called


def json_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> Any:
    if info.file_size > MAX_JSON_BYTES:
        raise InputError(f"{where}: {info.filename} is larger than {MAX_JSON_BYTES} bytes")
    return json.loads(archive.read(info))


def walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key of every object in a JSON value, with what stands there."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield from item.items()
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
