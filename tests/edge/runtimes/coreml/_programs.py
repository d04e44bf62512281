"""Programs written for a test: built with coremltools, saved as a package, opened and run by our runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import types

from edge.runtimes import coreml

KINDS = {np.dtype(np.float32): types.fp32, np.dtype(np.float16): types.fp16, np.dtype(np.int32): types.int32,
         np.dtype(np.bool_): types.bool}  # fmt: skip
TARGETS = {15: ct.target.iOS15, 16: ct.target.iOS16, 17: ct.target.iOS17, 18: ct.target.iOS18}


def saved(
    build: Callable, inputs: Mapping[str, np.ndarray], folder: Path, *, ios: int = 16, half: bool = False
) -> Path:
    """The package of the program that `build` makes of Vars with the inputs' names, shapes and types."""
    specs = [mb.TensorSpec(shape=value.shape, dtype=KINDS[value.dtype]) for value in inputs.values()]

    # mb.program looks at the parameters' names, so the function is made with those
    names = list(inputs)
    scope: dict[str, Any] = {"build": build}
    exec(f"def made({', '.join(names)}):\n    return build({', '.join(f'{n}={n}' for n in names)})", scope)
    program = mb.program(input_specs=specs, opset_version=TARGETS[ios])(scope["made"])
    model = ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=TARGETS[ios],
        compute_precision=ct.precision.FLOAT16 if half else ct.precision.FLOAT32,
        skip_model_load=True,
        pass_pipeline=ct.PassPipeline.EMPTY if not half else None,
    )
    path = folder / "program.mlpackage"
    model.save(str(path))
    return path


def run(build: Callable, inputs: Mapping[str, np.ndarray], *, ios: int = 16, half: bool = False) -> list[np.ndarray]:
    """The outputs of the saved program, in its order, from our runtime."""
    with tempfile.TemporaryDirectory() as folder:
        model = coreml.load(saved(build, inputs, Path(folder), ios=ios, half=half))
        answers = model.predict(dict(inputs))
        return [np.asarray(answers[feature.name]) for feature in model.output_description]
