"""Where train/ and convert/ are: inside `edge` in an installed wheel, beside it in a clone."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

import edge


def room(module: str) -> ModuleType:
    """Import `train.x` or `convert.x`, by the name that it has here.

    In a clone the folders lie beside `edge` and keep their own names, as the scripts in them have; a wheel must not
    claim names as common as these, so it carries them as `edge.train` and `edge.convert`.
    """
    package = module.partition(".")[0]
    beside = Path(edge.__file__).resolve().parents[1] / package / "__init__.py"
    spec = importlib.util.find_spec(package)
    ours = spec is not None and spec.origin is not None and Path(spec.origin).resolve() == beside
    return importlib.import_module(module if ours else f"edge.{module}")
