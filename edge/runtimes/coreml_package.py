"""What a Core ML package on disk says of itself: inputs, outputs, labels, op and weight types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .coreml.messages import messages
from .coreml.program import read_spec

WEIGHTS = Path("Data", "com.apple.CoreML", "weights", "weight.bin")


@dataclass(frozen=True)
class Package:
    inputs: dict[str, str]  # name -> "image RGB 256x256" or "array …"
    outputs: dict[str, str]  # name -> type
    labels: tuple[str, ...]
    predicted_label: str
    predicted_probabilities: str
    metadata: dict[str, str]
    ops: dict[str, int] = field(default_factory=dict)  # op type -> count
    activations: dict[str, int] = field(default_factory=dict)  # element type of op results -> count
    weight_bytes: int = 0
    repeated: tuple[str, ...] = ()  # names that a block has for two values; the format takes each once


def describe(path: Path) -> Package:
    """Parse a saved .mlpackage; InputError if it is not one, or holds something else than an ML program."""
    spec = read_spec(path)
    colours = messages("FeatureTypes_pb2").ImageFeatureType.ColorSpace
    inputs = {}
    for feature in spec.description.input:
        kind = feature.type.WhichOneof("Type")
        image = feature.type.imageType
        inputs[feature.name] = (
            f"image {colours.Name(image.colorSpace)} {image.width}x{image.height}"
            if kind == "imageType"
            else f"array {tuple(feature.type.multiArrayType.shape)} {array_type(feature.type.multiArrayType)}"
            if kind == "multiArrayType"
            else str(kind)
        )
    main = spec.mlProgram.functions["main"]
    operations = main.block_specializations[main.opset].operations
    types = messages("MIL_pb2").DataType
    results = Counter(
        types.Name(op.outputs[0].type.tensorType.dataType) for op in operations if op.type != "const" and op.outputs
    )
    classify = next((op for op in operations if op.type == "classify"), None)
    weights = path / WEIGHTS
    return Package(
        inputs=inputs,
        outputs={f.name: str(f.type.WhichOneof("Type")) for f in spec.description.output},
        labels=class_labels(classify) if classify is not None else (),
        predicted_label=spec.description.predictedFeatureName,
        predicted_probabilities=spec.description.predictedProbabilitiesName,
        metadata=dict(spec.description.metadata.userDefined),
        ops=dict(Counter(op.type for op in operations)),
        activations=dict(results),
        weight_bytes=weights.stat().st_size if weights.is_file() else 0,
        repeated=tuple(repeated(operations, [tensor.name for tensor in main.inputs])),
    )


def repeated(operations: Iterable[Any], inputs: Iterable[str]) -> list[str]:
    """Names that a block of MIL operations, or one inside it, gives to two values; `inputs` are the block's own."""
    counts = Counter([*inputs, *(output.name for op in operations for output in op.outputs)])
    inside = [
        name
        for op in operations
        for block in op.blocks
        for name in repeated(block.operations, [tensor.name for tensor in block.inputs])
    ]
    return [name for name, count in counts.items() if count > 1] + inside


def array_type(kind) -> str:
    """The element type of an array, by its name in the format."""
    return messages("FeatureTypes_pb2").ArrayFeatureType.ArrayDataType.Name(kind.dataType)


def class_labels(classify) -> tuple[str, ...]:
    """The strings that the classify op gives the most probable one of."""
    items = classify.inputs["classes"].arguments[0].value.immediateValue.list.values
    return tuple(text for item in items for text in item.immediateValue.tensor.strings.values)


def shortcomings(
    package: Package, *, recipe: str, side: int, labels: list[str], mask: bool = False, answers: int = 0
) -> list[str]:
    """What differs from the tensor contract and the recipe, in words; empty if nothing does.

    `answers`: places of the second input, 0 of a package that takes a picture alone.
    """
    wrong = []
    inputs = {"image": f"image RGB {side}x{side}"}
    if answers:
        inputs["answers"] = f"array (1, {answers}) FLOAT32"
    if package.inputs != inputs:
        wanted = ", ".join(f"{name}: {kind}" for name, kind in inputs.items())
        wrong.append(f"inputs are {package.inputs}, expected {wanted}")
    outputs = ["classLabel", *(["mask"] if mask else []), "probabilities"]
    if sorted(package.outputs) != outputs:
        wrong.append(f"outputs are {sorted(package.outputs)}, expected {', '.join(outputs)}")
    if (package.predicted_label, package.predicted_probabilities) != ("classLabel", "probabilities"):
        wrong.append(
            f"predicted features are {package.predicted_label}, {package.predicted_probabilities}, "
            "expected classLabel, probabilities"
        )
    if list(package.labels) != labels:
        wrong.append(f"class labels are {', '.join(package.labels)}, expected {', '.join(labels)}")
    if package.repeated:
        wrong.append(f"two values of one block have the name {', '.join(package.repeated)}, expected each name once")
    if package.metadata.get("dermedge.recipe") != recipe:
        wrong.append(f"metadata says recipe {package.metadata.get('dermedge.recipe')!r}, expected {recipe!r}")
    half = package.activations.get("FLOAT16", 0) > package.activations.get("FLOAT32", 0)
    if half != (recipe != "fp32"):
        wrong.append(f"most results are {'float16' if half else 'float32'}, which is not what {recipe} means")
    compressed = any(op.startswith("constexpr_") for op in package.ops)
    if compressed != (recipe not in {"fp32", "fp16"}):
        wrong.append(f"weights are {'' if compressed else 'not '}compressed, which is not what {recipe} means")
    return wrong
