"""The quantisation scheme: what conversion chose for every layer, and what fine-tuning imitates.

A JSON file beside the converted one and beside the shipped checkpoint, so that a clone without photographs gives the
same 8-bit file. A layer is one operator with weights of the float file:

* `static`: weights and activations in 8 bits, ranges of input and output fixed here
* `dynamic`: weights in 8 bits, the input quantised while the model runs, float output
* `input`: weights and input in 8 bits, range of the input fixed here, float output (Core ML)
* `float`: as it was
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .errors import InputError
from .files import read_json, write_json

SCHEMA = "dermedge/scheme/1"
SUFFIX = ".scheme.json"
COREML_SUFFIX = ".coreml.scheme.json"
ONNX_SUFFIX = ".onnx.scheme.json"
COREML_OPERATORS = {"conv", "linear"}
KINDS = ("static", "input", "dynamic", "float")
Range = tuple[float, float]  # smallest and largest value
LARGEST = 1e30  # of a range; float32 ends at 3e38, and so would the width of the range


@dataclass(frozen=True)
class Layer:
    tensor: str  # the operator's output in the float file: its name there
    operator: str  # CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED or TRANSPOSE_CONV; conv or linear; Conv, Gemm or MatMul
    kind: str
    macs: int
    module: str | None = None  # path of the torch module that owns the weight; None where the trace has lost it
    normalised_by: str | None = None  # path of the batch norm that was folded into it: the output is taken after it
    input: Range | None = None  # of a static layer, or one of which the input alone is fixed
    output: Range | None = None
    alone_db: Mapping[str, float | None] = field(default_factory=dict)  # kind -> SQNR at the logits, that layer alone


@dataclass(frozen=True)
class Scheme:
    model: str
    checkpoint_sha256: str
    graph: str  # key of the float file that it belongs to
    data: str  # name of the photographs that it was measured on
    images: int  # that the ranges come from
    budget_db: float  # median SQNR that the choice had to keep
    layers: tuple[Layer, ...]
    curve: tuple[Mapping[str, float], ...]  # from least to most static: what each choice costs and gives
    chosen: int  # place in the curve
    chain_from: int | None = None  # from this operator on all are in 8 bits, also those without weights; None: layers
    ranges: Mapping[str, Range] = field(default_factory=dict)  # tensor -> range, of a network that can be such a chain

    @property
    def measured(self) -> Mapping[str, float]:
        """What the chosen point gave on the images it was chosen on."""
        return self.curve[self.chosen]


def beside(checkpoint: str | Path) -> Path:
    """Where the scheme of a checkpoint's weights is kept."""
    return Path(checkpoint).with_suffix(SUFFIX)


def save(path: str | Path, scheme: Scheme) -> None:
    write_json(path, {"schema": SCHEMA, **asdict(scheme)})


def load(path: str | Path) -> Scheme:
    """Read a scheme; InputError that names the field if it is not one."""
    stored = read_json(path, expected=f"a quantisation scheme ({SCHEMA}), which conversion writes")
    if stored.get("schema") != SCHEMA:
        raise InputError(f"{path}: expected schema {SCHEMA}, got {stored.get('schema')!r}; convert again to get one")
    try:
        layers = tuple(layer_of(entry) for entry in stored["layers"])
        curve = tuple({str(k): float(v) for k, v in point.items()} for point in stored["curve"])
        scheme = Scheme(
            model=str(stored["model"]),
            checkpoint_sha256=str(stored["checkpoint_sha256"]),
            graph=str(stored["graph"]),
            data=str(stored["data"]),
            images=int(stored["images"]),
            budget_db=float(stored["budget_db"]),
            layers=layers,
            curve=curve,
            chosen=int(stored["chosen"]),
            chain_from=None if stored.get("chain_from") is None else int(stored["chain_from"]),
            ranges={str(name): widest(name, limits) for name, limits in stored.get("ranges", {}).items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: missing or malformed: {error}; convert again to get a whole one") from error
    if not 0 <= scheme.chosen < len(scheme.curve):
        raise InputError(f"{path}: chosen is {scheme.chosen}, the curve has {len(scheme.curve)} points")
    return scheme


def layer_of(entry: dict) -> Layer:
    layer = Layer(
        tensor=str(entry["tensor"]),
        operator=str(entry["operator"]),
        kind=str(entry["kind"]),
        macs=int(entry["macs"]),
        module=optional(entry.get("module")),
        normalised_by=optional(entry.get("normalised_by")),
        input=pair(entry.get("input")),
        output=pair(entry.get("output")),
        alone_db=dict(entry.get("alone_db", {})),
    )
    if layer.kind not in KINDS:
        raise ValueError(f"{layer.tensor}: kind is one of {', '.join(KINDS)}, got {layer.kind!r}")
    if layer.kind == "static" and not (layer.input and layer.output):
        raise ValueError(f"{layer.tensor}: a static layer has the ranges of its input and output")
    if layer.kind == "input" and not layer.input:
        raise ValueError(f"{layer.tensor}: a layer with a fixed input has that input's range")
    return layer


def widest(name: str, limits: object) -> Range:
    ends = pair(limits)
    if ends is None:
        raise ValueError(f"{name} has no range")
    return ends


def optional(value: object) -> str | None:
    return None if value is None else str(value)


def pair(value: object) -> Range | None:
    if value is None:
        return None
    if not (isinstance(value, (list, tuple)) and len(value) == 2):
        raise ValueError(f"a range is [smallest, largest], got {value!r}")
    low, high = (float(v) for v in value)
    if not (math.isfinite(low) and math.isfinite(high) and low <= high and max(abs(low), abs(high)) <= LARGEST):
        raise ValueError(f"a range is [smallest, largest], got {value!r}")
    return low, high
