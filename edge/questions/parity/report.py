"""Judged files -> one report: a plain dict that is the JSON file, from which every page can be made again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import edge
from edge.files import moved_into_place, read_json
from edge.metrics.gates import FileParity, Observations, Verdict, overall
from edge.metrics.observations import UNKNOWN
from edge.metrics.statistics import Floats
from edge.scheme import Scheme

SCHEMA = "dermedge/parity/1"
NOTICE = "Research and engineering use; not a medical device."
FILES = ("parity.json", "parity.xml")

WORST = 6  # images shown per file
WORTH_SHOWING = 0.005  # a probability that moves by less looks the same in print
DECADES = np.linspace(-8, 0, 33)  # bins of the |Δp| histogram: quarter decades from 1e-8 to 1
LEFT_OUT = {"sqnr_by_image", "dice_by_image"}  # one number per image is no summary


class Entry(NamedTuple):
    """One file on one runtime, and what was found."""

    file: str
    sha256: str
    bytes: int
    format: str  # "tflite", "mlpackage", "aimodel"
    recipe: str
    runtime: str  # name and kind, as a person reads it
    parity: FileParity


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
) -> dict[str, Any]:
    """The report of several files of one model, judged on the same observations.

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
        _file(Entry(*entry), observations, np.asarray(values))
        for entry, values in zip(entries, candidates, strict=True)
    ]
    return {
        "schema": SCHEMA,
        "notice": NOTICE,
        "dermedge": edge.__version__,
        "model": model,
        "checkpoint_sha256": checkpoint_sha256,
        "untrained": untrained,
        "data": plain(dict(data)),
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


def write(
    report: Mapping[str, Any], folder: Path, thumbnails: Mapping[str, np.ndarray] | None = None
) -> tuple[Path, ...]:
    """Write parity.json, parity.xml (JUnit) and the section of report.html; all are made before the first is written.

    `thumbnails`: image id -> uint8 RGB (height, width, 3), for the worst images; any may be missing.
    """
    import json

    from edge.questions.parity.page import section
    from edge.report import page as one_page
    from edge.report.junit import junit

    texts = (
        json.dumps(report, indent=1, allow_nan=False, ensure_ascii=False) + "\n",
        junit(report),
    )
    body = section(report, thumbnails or {})
    paths = tuple(Path(folder) / name for name in FILES)
    for path, text in zip(paths, texts, strict=True):
        with moved_into_place(path) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
    return (*paths, one_page.place(Path(folder), "parity", body, one_page.belongs(report)))


def read(path: Path) -> dict[str, Any]:
    """A report as `write` left it, to be rendered again; InputError if it is something else."""
    from edge.errors import InputError

    report = read_json(path, what=f"a parity report ({SCHEMA})")
    if report.get("schema") != SCHEMA:
        raise InputError(f"{path} is no parity report: expected schema {SCHEMA!r}, got {report.get('schema')!r}")
    return report


def plain(value: Any) -> Any:
    """Strict JSON from dataclasses, arrays and enums; a float that is not finite becomes null and says which it was."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain({f.name: getattr(value, f.name) for f in fields(value) if f.name not in LEFT_OUT})
    if isinstance(value, Mapping):
        out: dict[str, Any] = {}
        for key, item in value.items():
            out[str(key)] = plain(item)
            if isinstance(item, float) and not math.isfinite(item):
                out[f"{key}_is"] = "not defined" if math.isnan(item) else "infinite" if item > 0 else "minus infinite"
        return out
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def _file(entry: Entry, observations: Observations, candidate: Floats) -> dict[str, Any]:
    found = entry.parity
    if found.recipe != entry.recipe or found.images != len(observations):
        raise ValueError(
            f"{entry.file}: judged as {found.recipe} on {found.images} images, "
            f"reported as {entry.recipe} on {len(observations)}"
        )
    usable = found.statistics is not None
    return {
        "file": entry.file,
        "sha256": entry.sha256,
        "bytes": int(entry.bytes),
        "format": entry.format,
        "recipe": entry.recipe,
        "runtime": entry.runtime,
        "verdict": found.verdict.value,
        "images": found.images,
        "checks": plain(found.checks),
        "statistics": plain(found.statistics),
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
