"""coremltools' exceptions in words for the network's author: which operation, its arguments, whose module.

coremltools says at most what an operation is called inside it. The node that it was at lies in the frames of the
exception, or else its message names the result of one.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import traceback
from typing import Any

from torch import fx

from edge.errors import InputError
from edge.exporting import first_line

from .._graph.refusals import refused


class NotTaken(InputError):
    """coremltools does not take a node of a program."""

    def __init__(self, node: fx.Node, why: str) -> None:
        super().__init__(str(refused(node, why)))
        self.node = node


def converted(program: Any, **options: Any):
    """`ct.convert` of an exported program; NotTaken for an operation, InputError for what has none, or a full disk."""
    import coremltools as ct

    try:
        return ct.convert(program, **options)
    except (InputError, OSError, MemoryError, ModuleNotFoundError):
        raise
    except Exception as error:
        if "MIL FileWriter" in str(error):  # of weights, into its temporary files; it does not say why
            place = tempfile.gettempdir()
            raise InputError(
                f"coremltools cannot write its temporary files to {place}, whose disk has "
                f"{shutil.disk_usage(place).free:,} bytes left; free some, or name another place in TMPDIR"
            ) from error
        why = f"coremltools does not take it ({type(error).__name__}: {first_line(error)})"
        node = node_of(error, program)
        if node is None:
            raise InputError(f"the network cannot be converted to Core ML: {why}") from error
        raise NotTaken(node, why) from error


def node_of(error: BaseException, program: Any) -> fx.Node | None:
    """The program's node that coremltools gave up at, if that can be told."""
    by_name = {node.name: node for node in program.graph.nodes if node.op == "call_function"}
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        name = getattr(frame.f_locals.get("node"), "name", None)
        if isinstance(name, str) and name in by_name and "coremltools" in frame.f_code.co_filename:
            return by_name[name]
    quoted = re.findall(r"""["'](\w+)["']""", str(error))
    return next((by_name[name] for name in quoted if name in by_name), None)
