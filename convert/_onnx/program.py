"""Checkpoint -> ONNX model: trace, rewrite, write operator by operator."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import fx

from edge.checkpoint import Checkpoint
from edge.manifest import INTENDED_USE, Manifest
from edge.models.deployed import OUTPUTS
from edge.runtimes.onnx import IMAGE, METADATA

from .._graph.graph import results, trace
from .._graph.lowering import Unwritten, written
from .._graph.passes import HALF_SUM_PASSES, ONNX_PASSES, Pass, rewrite
from .._graph.refusals import refused
from .emit import OPSET, TABLE, emit

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Lowered:
    """A float32 model (`onnx.ModelProto` as bytes) and how often each rewrite fired.

    `graph`: the rewritten graph; `write`: makes a model of such a graph.
    """

    content: bytes
    fired: dict[str, int]
    graph: fx.GraphModule
    write: Callable[[fx.GraphModule], bytes]

    @cached_property
    def fits_half(self) -> bytes:
        """The model for half precision: the sums in its norms stay below 65504 where they are computed in float16, too.

        For the files that GPUs take. It gives the same answers, under the names of `content`, which it is where no norm
        needs it.
        """
        smaller, fired = rewrite(self.graph, HALF_SUM_PASSES)
        return self.write(smaller) if any(fired.values()) else self.content


def float_model(checkpoint: Checkpoint, *, opset: int = OPSET) -> Lowered:
    """The float32 model of a checkpoint."""
    import torch

    side = checkpoint.preprocess.side
    return lower(checkpoint.deployed(layout="NHWC"), torch.zeros(1, side, side, 3), opset=opset)


def lower(
    module: nn.Module,
    example: Tensor,
    *,
    opset: int = OPSET,
    before: Sequence[Pass] = (),
    without: Mapping[str, str] | None = None,
) -> Lowered:
    """The float32 model of a module that keeps the tensor contract: `example` (1, S, S, 3) in, (1, K) out, and behind
    it, where the module gives one, a mask (1, S, S, 1).

    `before`: rewrites before ONNX's own; `without`: operators that may not be used, and why. Raises InputError with the
    operation,
    its arguments and its module where no operator stands for it.
    """

    def write(graph: fx.GraphModule) -> bytes:
        names = OUTPUTS[: len(results(graph))]
        return emit(graph, inputs=[IMAGE], outputs=names, opset=opset, without=without).SerializeToString()

    try:
        done = written(trace(module, example), (*before, *ONNX_PASSES), TABLE, write)
    except Unwritten as stop:
        missing = stop.missing
        raise refused(missing.node, f"there is no ONNX operator for {missing.why}") from None
    return Lowered(done.content, done.fired, done.graph, write)


def with_metadata(model: Any, facts: Mapping[str, object]) -> Any:
    """The model with the manifest's facts inside, as JSON under the metadata key `dermedge`, and what it is for."""
    from onnx import helper

    helper.set_model_props(model, {METADATA: json.dumps(facts, separators=(",", ":"), ensure_ascii=False)})
    return model


def save(model: Any, target: Path, manifest: Manifest, recipe: str, *, answers: bool = False) -> None:
    """Check the model by ONNX's own rules and write it with the manifest's facts inside."""
    import onnx

    model.doc_string = (
        f"{manifest.model} ({recipe}): RGB photograph of a skin lesion -> class probabilities. {INTENDED_USE}"
    )
    model = with_metadata(model, manifest.facts_inside(answers=answers) | {"recipe": recipe})
    onnx.checker.check_model(model, full_check=True)
    target.write_bytes(model.SerializeToString())
