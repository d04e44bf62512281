"""Run a saved Core ML package on Linux: the file on disk, with the types that its program states.

    from edge.runtimes import coreml
    model = coreml.load("model.mlpackage")
    model.predict({"image": picture})          # {"probabilities": ..., "classLabel": ...}

The interface is that of coremltools' `MLModel`, so that only the import changes. See `model.py` for what is and is not
run.
"""

from .model import CoreMLModel, load
from .state import MLState

__all__ = ["CoreMLModel", "MLState", "load"]
