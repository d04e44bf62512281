"""`load`: a saved package or bare program file, ready to predict. Not run: neural networks (before iOS 15)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from edge.errors import InputError

from .element_types import check_element_types
from .misstated import trusted
from .model import CoreMLModel
from .pipeline import CoreMLPipeline, models_of
from .program import kind_of, listed, read_model, read_program
from .suppression import Suppression
from .values import Weights

M = TypeVar("M", bound=CoreMLModel | CoreMLPipeline)
PROGRAM, BOXES = "mlProgram", "nonMaximumSuppression"


class RuntimeDependentWarning(UserWarning):
    """A package has an operation to which Apple's runtime and this interpreter give different answers."""


def load(
    path: str | Path, compute_units: object = None, function_name: str | None = None
) -> CoreMLModel | CoreMLPipeline:
    """Open a saved ML program, or a pipeline of them. InputError names what is wrong with it.

    A RuntimeDependentWarning says of a package that Apple's runtime is known to answer otherwise.

    `function_name`: of a package with several functions, which to open; None takes the package's default.
    `compute_units` is there for code that is written for coremltools; here all is computed on the CPU.
    """

    def opened(spec: Any, weights: Weights) -> CoreMLModel | CoreMLPipeline:
        if models_of(spec) is None:
            return program_of(spec, weights, function_name)
        if function_name is not None:
            raise InputError(f"a pipeline has no functions; `function_name` is {function_name!r}, leave it out")
        return pipeline_of(spec, weights)

    return whole(path, opened)


def load_program(path: str | Path, function_name: str | None = None) -> CoreMLModel:
    """`load` where a single ML program is needed; InputError for a pipeline."""
    return whole(path, lambda spec, weights: program_of(spec, weights, function_name))


def whole(path: str | Path, opened: Callable[[Any, Weights], M]) -> M:
    """What `opened` makes of the package; all that a damaged one can bring about is an InputError with its name."""
    if not isinstance(path, str | Path):
        raise InputError(f"load takes the path of a saved package, got {type(path).__name__}; save the model first")
    path = Path(path)
    if not path.exists():
        raise InputError(f"no Core ML package at {path}")
    spec = read_model(path)
    folder = (path / listed(path)).parent if path.is_dir() else path.parent
    try:
        model = opened(spec, Weights(folder))
        notices = model.notices
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (ValueError, LookupError, AttributeError, TypeError, OverflowError, RuntimeError, MemoryError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"the program of {path} is damaged ({reason}); copy or convert it again") from error
    for notice in notices:
        said = f"{path.name}: the answer depends on the runtime: {notice}"
        warnings.warn(said, RuntimeDependentWarning, stacklevel=3)
    return model


def program_of(spec: Any, weights: Weights, function_name: str | None = None) -> CoreMLModel:
    if spec.WhichOneof("Type") != PROGRAM:
        raise InputError(f"holds {kind_of(spec)}")
    program = read_program(spec, weights, function_name)
    check_element_types(program)
    return CoreMLModel(spec, trusted(program), function_name)


def pipeline_of(spec: Any, weights: Weights) -> CoreMLPipeline:
    """A pipeline whose models are ML programs, suppressions of boxes, or such pipelines."""
    pipeline = models_of(spec)
    names = [str(name) for name in pipeline.names]
    stages: dict[str, Any] = {}
    for number, inner in enumerate(pipeline.models, 1):
        label = f"model {number}" + (f" ({names[number - 1]})" if len(names) == len(pipeline.models) else "")
        try:
            if models_of(inner) is not None:
                stages[label] = pipeline_of(inner, weights)
            else:
                stages[label] = Suppression(inner) if inner.WhichOneof("Type") == BOXES else program_of(inner, weights)
        except InputError as error:
            raise InputError(f"{label} of the pipeline: {error}") from error
    return CoreMLPipeline(spec, stages)
