"""A network named on the command line: `package.module:build` or `path/to/net.py:build`, with weights from a file."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import InputError
from edge.files import read_json
from edge.labels import Label, doubtful, from_json

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger("dermedge")

Builder = Callable[..., Any]
COUNTS = ("num_classes", "num_labels", "n_classes", "classes")  # names of a parameter that takes the number of classes


def is_source(model: str | None) -> bool:
    """Whether `model` names a function to build a network with, rather than a model of dermedge."""
    return model is not None and ":" in model


def builder_of(model: str) -> Builder:
    """The function that `package.module:build` or `path/to/net.py:build` names. Its module is imported, so it runs."""
    place, _, name = model.rpartition(":")
    if not place or not name:
        raise InputError(f"a network of your own is package.module:build or path/to/net.py:build, got {model!r}")
    try:
        module = module_at(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except InputError:
        raise
    except ModuleNotFoundError as error:
        raise InputError(f"{place} cannot be imported ({error}); is its folder on PYTHONPATH?") from error
    except (Exception, SystemExit) as error:  # whatever a stranger's module does when it is imported
        raise InputError(f"{place} cannot be imported: {type(error).__name__}: {error}") from error
    build = getattr(module, name, None)
    if not callable(build):
        known = ", ".join(sorted(key for key, value in vars(module).items() if callable(value) and key[0] != "_")[:8])
        raise InputError(f"{place} has no function or class {name!r}; it has {known or 'none'}")
    return build


def module_at(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"no Python file at {path}")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)  # for what it imports from beside it; last, so that it shadows nothing
    spec = importlib.util.spec_from_file_location(f"dermedge_source_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build_network(build: Builder, classes: int) -> nn.Module:
    """Call a builder, with the number of classes where it takes one."""
    from torch import nn

    try:
        parameters = list(inspect.signature(build).parameters)
    except (TypeError, ValueError):  # of a builtin
        parameters = []
    named = next((name for name in COUNTS if name in parameters), None)
    called = getattr(build, "__name__", str(build))
    try:
        network = build(**{named: classes}) if named else build()
    except (Exception, SystemExit) as error:  # whatever a stranger's function does
        first = (str(error).splitlines() or ["?"])[0][:300]
        raise InputError(f"{called} fails: {type(error).__name__}: {first}") from error
    if not isinstance(network, nn.Module):
        raise InputError(f"{called} returns {type(network).__name__}, not a torch.nn.Module")
    return network


def load_into(network: nn.Module, weights: Path) -> nn.Module:
    """The network with the tensors of a .safetensors or .pth file; InputError that names the first that do not fit."""
    from edge.models import check_state
    from edge.weight_files import as_float32, read_foreign

    state = {name.removeprefix("module."): value for name, value in as_float32(read_foreign(weights), weights).items()}
    check_state(type(network).__name__, network.state_dict(), state)
    network.load_state_dict(state)
    return network


def read_labels(text: str) -> tuple[Label, ...]:
    """Classes in output order from a labels.json, or from codes joined by commas, whose malignancy is unknown."""
    if text.endswith(".json"):
        path = Path(text)
        classes = from_json(read_json(path, expected="class labels").get("classes"), where=str(path))
        for doubt in doubtful(classes):
            log.warning("%s: %s", path, doubt)
        return classes
    from .wrapping import labels_of  # brings NumPy along, which --help does without

    return labels_of([code.strip() for code in text.split(",") if code.strip()])


def three_numbers(text: str | None, flag: str) -> Sequence[float]:
    """`0.485,0.456,0.406` -> three floats."""
    example = {"mean": "0.485,0.456,0.406", "std": "0.229,0.224,0.225"}[flag]
    if text is None:
        raise InputError(f"a network of your own needs `{flag}`, three numbers, as torchvision's {example}")
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 3:
        raise InputError(f"`{flag}` is three numbers like {example}, got {text!r}")
    return numbers
