"""A module as a float32 package, run by the interpreter, without a checkpoint around it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import coremltools as ct
import numpy as np
import torch
from torch import Tensor, nn

from convert._coreml import gelu as _coreml_gelu  # noqa: F401  (as conversion does)
from convert._graph.graph import trace
from convert._graph.passes import NEURAL_ENGINE_PASSES, rewrite
from edge.runtimes import coreml


def model_of(module: nn.Module, x: Tensor, *, ios: int = 16):
    """The MLModel of a module with one input and one output, after the rewrites that Core ML gets."""
    graph, _ = rewrite(trace(module, x), NEURAL_ENGINE_PASSES)
    program = torch.export.export(graph, (x,)).run_decompositions({})
    return ct.convert(
        program,
        minimum_deployment_target={16: ct.target.iOS16, 17: ct.target.iOS17}[ios],
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
    )


def answer(model, x: Tensor) -> np.ndarray:
    """What the interpreter computes from it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.mlpackage")
        model.save(str(path))
        opened = coreml.load(path)
        (found,) = opened.predict({opened.input_description[0].name: x.numpy()}).values()
    return np.asarray(found)


def operations_of(model) -> list:
    """Its operations but constants."""
    return [op for op in model._mil_program.functions["main"].operations if op.op_type != "const"]
