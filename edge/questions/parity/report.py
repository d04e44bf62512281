"""Judged files -> one report: a plain dict that is the JSON file, from which every page can be made again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from edge.metrics.gates import FileParity, Observations, Verdict, overall
from edge.metrics.observations import UNKNOWN
from edge.metrics.statistics import Floats
from edge.questions.parity.section import SCHEMA
from edge.report.header import header
from edge.report.strict import plain
from edge.scheme import Scheme

WORST = 6  # images shown per file
WORTH_SHOWING = 0.005  # a probability that moves by less looks the same in print
DECADES = np.linspace(-8, 0, 33)  # bins of the |Δp| histogram: quarter decades from 1e-8 to 1


class Entry(NamedTuple):
    """One file on one runtime, and its parity."""

    file: str
    sha256: str
    bytes: int
    format: str  # "tflite", "mlpackage", "aimodel", "onnx"
    recipe: str
    runtime: str  # name and kind, as a person reads it
    parity: FileParity
    binding: bool = True  # whether a failed gate fails the command
    milliseconds: float | None = None  # median of one image on this host; None: not taken
    answered: str | None = None  # of a file with the second input: no, some or all questions ("none", "some", "all")
    times_fp32: float | None = None  # its time by that of the fp32 file in the same phone's library; None: not taken


def build_report(
    model: str,
    checkpoint_sha256: str,
    data: Mapping[str, Any],
    entries: Sequence[Entry],
    observations: Observations,
    candidates: Sequence[Floats],
    schemes: Mapping[str, Scheme] | None = None,
    *,
    untrained: bool = False,
    answered: Mapping[str, Observations] | None = None,
) -> dict[str, Any]:
    """The report of several files of one model, judged on the same observations.

    `answered`: what the float model says with no, some and all questions answered, where files take answers.

    `schemes`: format -> how its 8-bit layers were chosen. `untrained`: the weights are random, and the page says so.

    `data` holds name, images, patients, synthetic (bool) and note; `candidates` the probabilities (N, K) of each entry.
    """
    missing = {"name", "images", "patients", "synthetic", "note"} - set(data)
    if missing:
        raise ValueError(f"the description of the data lacks {', '.join(sorted(missing))}")
    if len(candidates) != len(entries) or not entries:
        raise ValueError(
            f"expected one array of probabilities per file, got {len(candidates)} for {len(entries)} files"
        )
    files = [
        _file(entry, (answered or {})[entry.answered] if entry.answered else observations, np.asarray(values))
        for entry, values in zip(entries, candidates, strict=True)
    ]
    return {
        **header(SCHEMA, model=model, checkpoint_sha256=checkpoint_sha256, data=dict(data)),
        "untrained": untrained,
        "classes": [
            {"code": code, "name": name, "malignant": malignant}
            for code, name, malignant in zip(
                observations.class_codes, observations.class_names, observations.malignant, strict=True
            )
        ],
        "null_means": "a number that is infinite or not defined; its neighbour ending in '_is' says which",
        "verdict": overall(Verdict(file["verdict"]) for file in files).value,
        "files": files,
        "schemes": {form: plain(scheme) for form, scheme in (schemes or {}).items()},
    }


def _file(entry: Entry, observations: Observations, candidate: Floats) -> dict[str, Any]:
    parity = entry.parity
    if parity.images == observations.photographs:  # judged without further views
        observations = observations.plain()
    if parity.recipe != entry.recipe or parity.images != len(observations):
        raise ValueError(
            f"{entry.file}: judged as {parity.recipe} on {parity.images} images, "
            f"reported as {entry.recipe} on {len(observations)}"
        )
    usable = parity.statistics is not None
    return {
        "file": entry.file,
        "sha256": entry.sha256,
        "bytes": int(entry.bytes),
        "format": entry.format,
        "recipe": entry.recipe,
        "runtime": entry.runtime,
        "answered": entry.answered,
        "verdict": parity.verdict.value,
        "binding": entry.binding,
        "images": parity.images,
        "host_ms": entry.milliseconds,
        "times_fp32": entry.times_fp32,
        "checks": plain(parity.checks),
        "statistics": plain(parity.statistics),
        "delta_p": _histogram(observations.reference, candidate) if usable else None,
        "worst": _worst(observations, candidate) if usable else [],
    }


def _histogram(reference: Floats, candidate: Floats) -> dict[str, Any]:
    """Images by their largest |Δp|, in logarithmic bins; what is below the first bin (equal, too) is counted in it."""
    largest = np.abs(candidate - reference).max(axis=1)
    position = np.clip(np.log10(np.maximum(largest, 1e-300)), DECADES[0], DECADES[-1])
    same = reference.argmax(axis=1) == candidate.argmax(axis=1)
    return {
        "edges": plain(10.0**DECADES),
        "same_class": plain(np.histogram(position[same], DECADES)[0]),
        "other_class": plain(np.histogram(position[~same], DECADES)[0]),
    }


def _worst(observations: Observations, candidate: Floats) -> list[dict[str, Any]]:
    """Images that get another class first, then those whose probabilities move most."""
    reference = observations.reference
    largest = np.abs(candidate - reference).max(axis=1)
    same = reference.argmax(axis=1) == candidate.argmax(axis=1)
    order = np.lexsort((-largest, same))
    chosen = [int(i) for i in order if not same[i] or largest[i] >= WORTH_SHOWING][:WORST]
    return [
        {
            "image": observations.image_ids[i],
            "domain": observations.domains[i],
            "label": None if observations.labels[i] == UNKNOWN else observations.class_codes[observations.labels[i]],
            "same_class": bool(same[i]),
            "largest_delta_p": float(largest[i]),
            "before": _answer(observations, reference[i]),
            "after": _answer(observations, candidate[i]),
        }
        for i in chosen
    ]


def _answer(observations: Observations, probabilities: Floats) -> list[dict[str, Any]]:
    """The three most probable classes, the first one first."""
    best = np.argsort(-probabilities, kind="stable")[:3]
    return [
        {
            "code": observations.class_codes[c],
            "name": observations.class_names[c],
            "malignant": observations.malignant[c],
            "probability": float(probabilities[c]),
        }
        for c in best
    ]
