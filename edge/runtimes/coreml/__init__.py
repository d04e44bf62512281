"""Run a saved Core ML package on Linux: the file on disk, with the types that its program states.

    from edge.runtimes import coreml
    model = coreml.load("model.mlpackage")
    model.predict({"image": picture})          # {"probabilities": ..., "classLabel": ...}

The interface is that of coremltools' `MLModel`, so that only the import changes. `saved.py` opens, `model.py` runs a
program, `pipeline.py` several in a row.
"""

from .model import CoreMLModel
from .pipeline import CoreMLPipeline
from .saved import RuntimeDependentWarning, load, load_program
from .state import MLState

__all__ = ["CoreMLModel", "CoreMLPipeline", "MLState", "RuntimeDependentWarning", "load", "load_program"]
