"""Apple's message types of saved models, read from the installed coremltools without importing all of it.

`import coremltools` takes 5 s and writes a dozen warnings about other packages; its message types take 0.1 s.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from functools import cache
from pathlib import Path
from typing import Any

from edge.errors import InputError, install

STANDING_IN = "_dermedge_coremltools_proto"  # the name under which the folder is a package


@cache
def messages(name: str) -> Any:
    """The module `coremltools.proto.<name>`. Protobuf keeps one class a message, so both ways give the same classes."""
    if "coremltools" in sys.modules:
        return importlib.import_module(f"coremltools.proto.{name}")
    spec = importlib.util.find_spec("coremltools")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"reading .mlpackage needs coremltools: {install('coreml')}")
    if STANDING_IN not in sys.modules:
        package = types.ModuleType(STANDING_IN)
        package.__path__ = [str(Path(spec.submodule_search_locations[0], "proto"))]
        sys.modules[STANDING_IN] = package
    return importlib.import_module(f"{STANDING_IN}.{name}")
