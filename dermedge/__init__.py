"""dermedge: from photographs of skin lesions to the same answer on a phone, with the proof.

    import dermedge

    photos = dermedge.open_photos("PAD-UFES-20")
    checkpoint = dermedge.load("hierattn_xs")
    build = dermedge.convert(checkpoint, recipes=["fp32", "int8"], photos=photos, out="build/mine")
    dermedge.parity(build, photos).write("build/mine")

Every name loads when it is first used, so that `import dermedge` is quick and needs no torch. docs/api.md has them all.
Research and engineering use; not a medical device.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from edge import __version__

if TYPE_CHECKING:
    from edge import camera, capture, preprocess
    from edge.build import Build
    from edge.checkpoint import Checkpoint
    from edge.data.table import Photo, PhotoSet
    from edge.errors import GateError, InputError
    from edge.labels import Label
    from edge.progress import Progress
    from edge.runtimes import coreml

    from ._api.conversion import convert
    from ._api.loading import load, open_build, open_photos, save
    from ._api.prediction import Model, Outcome, open_model
    from ._api.questions import decision, layers, matrix, mistakes, parity, robustness
    from ._api.splits import check_split
    from ._api.training import evaluate, fit_answers, train
    from ._api.wrapping import wrap

# public name -> module that has it; a module of that name where nothing follows the colon
_PLACES = {
    "open_photos": "dermedge._api.loading",
    "load": "dermedge._api.loading",
    "save": "dermedge._api.loading",
    "open_build": "dermedge._api.loading",
    "train": "dermedge._api.training",
    "evaluate": "dermedge._api.training",
    "fit_answers": "dermedge._api.training",
    "wrap": "dermedge._api.wrapping",
    "convert": "dermedge._api.conversion",
    "parity": "dermedge._api.questions",
    "layers": "dermedge._api.questions",
    "matrix": "dermedge._api.questions",
    "mistakes": "dermedge._api.questions",
    "robustness": "dermedge._api.questions",
    "decision": "dermedge._api.questions",
    "check_split": "dermedge._api.splits",
    "open_model": "dermedge._api.prediction",
    "Model": "dermedge._api.prediction",
    "Outcome": "dermedge._api.prediction",
    "Build": "edge.build",
    "Checkpoint": "edge.checkpoint",
    "Label": "edge.labels",
    "Photo": "edge.data.table",
    "PhotoSet": "edge.data.table",
    "Progress": "edge.progress",
    "InputError": "edge.errors",
    "GateError": "edge.errors",
}
_MODULES = {
    "camera": "edge.camera",
    "capture": "edge.capture",
    "coreml": "edge.runtimes.coreml",
    "preprocess": "edge.preprocess",
}

__all__ = [
    "Build",
    "Checkpoint",
    "GateError",
    "InputError",
    "Label",
    "Model",
    "Outcome",
    "Photo",
    "PhotoSet",
    "Progress",
    "__version__",
    "camera",
    "capture",
    "check_split",
    "convert",
    "coreml",
    "decision",
    "evaluate",
    "fit_answers",
    "layers",
    "load",
    "matrix",
    "mistakes",
    "open_build",
    "open_model",
    "open_photos",
    "parity",
    "preprocess",
    "robustness",
    "save",
    "train",
    "wrap",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value: Any = importlib.import_module(_MODULES[name])
    elif name in _PLACES:
        value = getattr(importlib.import_module(_PLACES[name]), name)
    else:
        raise AttributeError(f"module 'dermedge' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
