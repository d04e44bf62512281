"""What a .tflite says of itself to other people's tools: names, normalisation, labels, and a card in words.

The file's own normalisation, temperature and softmax are inside the network, so the metadata states none: pixels go in
as they are, and probabilities need no calibration. A threshold is not stated either, because MediaPipe would drop the
classes below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edge.labels import MALIGNANT
from edge.manifest import ANSWERS_MEANING, Manifest
from edge.models.deployed import OUTPUTS
from edge.questionnaire import length_of
from edge.runtimes.litert import ANSWERS
from edge.tflite.google_metadata import (
    DESCRIPTIONS,
    ENTRY,
    GRAYSCALE,
    LABELS_OF_AXIS,
    PARSER,
    RGB,
    Table,
    member,
    packed,
    table,
    with_files,
)

from .file import INPUT, with_metadata

CODES, NAMES, CARD = "labels.txt", "labels_en.txt", "card.txt"  # files behind the .tflite
LICENCE = "Apache-2.0"
LANGUAGE = "en"  # of the names; MediaPipe's option `display_names_locale`


def with_facts(content: bytes, manifest: Manifest, recipe: str, *, answers: bool = False) -> bytes:
    """The file with the manifest's facts inside: as JSON for dermedge, and as Google's metadata with files behind it.

    `answers`: the file has the second input. Files of other inputs or outputs than the contract's: KeyError.
    """
    inputs, outputs = names_of(content)
    google = packed(model_metadata(manifest, recipe, inputs, outputs))
    facts = manifest.facts_inside(answers=answers) | {"recipe": recipe}
    files = {CODES: lines(manifest.codes), NAMES: lines([label.name for label in manifest.labels])}
    return with_files(with_metadata(content, facts, {ENTRY: google}), {**files, CARD: card(manifest, recipe)})


def names_of(content: bytes) -> tuple[list[str], list[str]]:
    """Of a file's inputs and outputs, in its order."""
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    inputs = [graph.Inputs(place) for place in range(graph.InputsLength())]
    outputs = [graph.Outputs(place) for place in range(graph.OutputsLength())]
    return [graph.Tensors(n).Name().decode() for n in inputs], [graph.Tensors(n).Name().decode() for n in outputs]


def lines(texts: Sequence[str]) -> str:
    return "".join(f"{text}\n" for text in texts)


def model_metadata(manifest: Manifest, recipe: str, inputs: Sequence[str], outputs: Sequence[str]) -> Table:
    """The metadata of a file with inputs and outputs of these names, in the file's order."""
    described = {
        INPUT: image(manifest),
        ANSWERS: numbers(ANSWERS, f"{length_of(manifest.questions)} numbers: {ANSWERS_MEANING}"),
        OUTPUTS[0]: probabilities(manifest),
        OUTPUTS[1]: mask(manifest),
    }
    graph = table(
        "SubGraphMetadata",
        input_tensor_metadata=[described[name] for name in inputs],
        output_tensor_metadata=[described[name] for name in outputs],
    )
    return table(
        "ModelMetadata",
        name=manifest.model,
        description=f"{manifest.model} ({recipe}): RGB photograph of a skin lesion -> class probabilities. "
        f"{manifest.intended_use}",
        version=manifest.versions.get("dermedge"),
        subgraph_metadata=[graph],
        author="dermedge",
        license=licence(manifest),
        associated_files=[table("AssociatedFile", name=CARD, description="model card", type=DESCRIPTIONS)],
        min_parser_version=PARSER,
    )


def licence(manifest: Manifest) -> str:
    return f"{LICENCE} (network); training data: {manifest.training.attribution}"


def image(manifest: Manifest) -> Table:
    size = table("ImageSize", width=manifest.side, height=manifest.side)
    as_it_is = table("NormalizationOptions", mean=[0.0], std=[1.0])
    return table(
        "TensorMetadata",
        name=INPUT,
        description=f"upright RGB, {manifest.side} x {manifest.side} pixels, 0..255, not normalised: centred square "
        f"crop, resize {manifest.preprocess}",
        content=content(table("ImageProperties", color_space=RGB, default_size=size)),
        process_units=[table("ProcessUnit", **member("options", as_it_is))],
        stats=table("Stats", max=[255.0], min=[0.0]),
    )


def numbers(name: str, description: str, **fields: Any) -> Table:
    """Metadata of a tensor of numbers between 0 and 1."""
    return table(
        "TensorMetadata", name=name, description=description, content=content(table("FeatureProperties")),
        stats=table("Stats", max=[1.0], min=[0.0]), **fields,
    )  # fmt: skip


def probabilities(manifest: Manifest) -> Table:
    labels = [
        table("AssociatedFile", name=CODES, description="class codes in output order", type=LABELS_OF_AXIS),
        table("AssociatedFile", name=NAMES, description="class names", type=LABELS_OF_AXIS, locale=LANGUAGE),
    ]
    calibrated = f"{manifest.output.meaning}; temperature {manifest.output.temperature:.6g} is applied inside"
    return numbers(OUTPUTS[0], calibrated, associated_files=labels)


def mask(manifest: Manifest) -> Table | None:
    """None of a network that gives none. Without labels: MediaPipe's ImageClassifier takes every output for classes,
    and stops where there are labels of another number."""
    if manifest.mask is None:
        return None
    size = table("ImageSize", width=manifest.mask.side, height=manifest.mask.side)
    return table(
        "TensorMetadata",
        name=OUTPUTS[1],
        description=f"{manifest.mask.meaning}; lesion from {manifest.mask.threshold:g} on",
        content=content(table("ImageProperties", color_space=GRAYSCALE, default_size=size)),
        stats=table("Stats", max=[1.0], min=[0.0]),
    )


def content(properties: Table) -> Table:
    return table("Content", **member("content_properties", properties))


def card(manifest: Manifest, recipe: str) -> str:
    """The model card in plain text, from the manifest's facts alone."""
    output, training = manifest.output, manifest.training
    about = {
        "model": f"{manifest.model}, family {manifest.family}, {manifest.parameters} parameters, recipe {recipe}",
        "checkpoint": f"SHA-256 {manifest.checkpoint_sha256}",
        "intended use": manifest.intended_use,
        "input": f"{INPUT}: RGB, {manifest.side} x {manifest.side}, 0..255; preprocessing {manifest.preprocess}",
        "output": f"{OUTPUTS[0]}: {output.meaning}; temperature {output.temperature:.6g}, applied inside",
        "abstain below": "not measured" if output.abstain_threshold is None else f"{output.abstain_threshold:.6g}",
        "training data": training.attribution,
        "licence of the network": LICENCE,
    }
    classes = [f"  {label.code}: {label.name}; malignant: {MALIGNANT[label.malignant]}" for label in manifest.labels]
    return lines([*(f"{key}: {value}" for key, value in about.items()), "classes, in output order:", *classes])
