"""The zoo as JSON, and as a Markdown page made of that JSON alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import edge
from edge import artifact
from edge.checkpoint import load
from edge.manifest import FileEntry

from .plan import FORMATS, YARDSTICK, YARDSTICK_RECIPE, Job

SCHEMA = "dermedge/zoo/1"
SUFFIXES = {"tflite": "tflite", "mlpackage": "coreml"}  # the manifest's formats -> ours
NOTHING = "–"


def rows(
    jobs: Sequence[Job], out: Path, models: Sequence[str], times: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> list[dict]:
    """One entry per model, with its files."""
    found = []
    yardstick = artifact.read(out / YARDSTICK).side if times else None
    for model in models:
        own = [job for job in jobs if job.model == model]
        if not own:
            continue
        manifest, checkpoint = artifact.read(out / model), own[0].checkpoint
        unseen = load(checkpoint).metrics.get("unseen", {}) if checkpoint else {}
        wanted = {(job.format, recipe) for job in own for recipe in job.recipes}
        side = manifest.side
        took = times.get(model, {}) if side == yardstick else {}  # a ratio across sides would say nothing of the model
        files = [entry for entry in manifest.files if (SUFFIXES[entry.format], entry.recipe) in wanted]
        made = {(SUFFIXES[entry.format], entry.recipe) for entry in files}
        found.append(
            {
                "model": model,
                "family": manifest.family,
                "trained": checkpoint is not None,
                "checkpoint_sha256": manifest.checkpoint_sha256,
                "side": side,
                "parameters": manifest.parameters,
                "macs": manifest.macs,
                "balanced_accuracy": unseen.get("balanced_accuracy"),
                "images": unseen.get("images"),
                "files": [file_row(entry, took.get(entry.file)) for entry in files],
                "rejected": [" ".join(pair) for pair in sorted(wanted - made)],
            }
        )
    return found


def file_row(entry: FileEntry, took: Mapping[str, float] | None) -> dict:
    parity = vars(entry.parity) if entry.parity else {}
    return {
        "file": entry.file,
        "format": SUFFIXES[entry.format],
        "recipe": entry.recipe,
        "bytes": entry.bytes,
        "ms": took["ms"] if took else None,
        "ratio": took["ratio"] if took else None,
        "sqnr_db": parity.get("sqnr_db_median"),
        "agreement": parity.get("agreement"),
        "verdict": parity.get("verdict"),
        "judged_on": {key: parity.get(key) for key in ("images", "data", "synthetic")},
        "share_8bit": entry.audit.share_8bit if entry.audit else None,
        "warnings": warnings_of(entry),
    }


def warnings_of(entry: FileEntry) -> list[str]:
    """What the audit warns of; that a float32 package is float32, which no Neural Engine takes, is its recipe."""
    warnings = entry.audit.warnings if entry.audit else ()
    return [text for text in warnings if not (entry.recipe == "fp32" and text.startswith("ane-float32"))]


def report(models: list[dict], *, command: str, date: str, machine: str, rounds: int) -> dict:
    return {
        "schema": SCHEMA,
        "dermedge": edge.__version__,
        "command": command,
        "date": date,
        "machine": machine,
        "rounds": rounds,
        "models": models,
    }


def markdown(found: Mapping[str, Any], plot: str | None) -> str:
    """The page. `plot`: file name of the figure beside it."""
    models = found["models"]
    parts = [
        "# The zoo",
        f"Every model by every recipe, {found['date']}, dermedge {found['dermedge']}, made by `{found['command']}`.",
        f"Times: median ratio to {YARDSTICK}'s {YARDSTICK_RECIPE} file in the same of {found['rounds']} rounds, one "
        f"thread of {found['machine']}; ratios travel, milliseconds do not; a model of another side than its is not "
        "timed. Core ML is run by an interpreter here, so "
        "that it has no times. MB are 10⁶ bytes; MACs are those of the side in the table. SQNR and agreement: the "
        "file's answers against the float torch model's. **Random** weights are judged on SQNR alone: no class means "
        "anything there. They do not say how well a trained model of the family survives 8 bits.",
        "## Models",
        table(MODEL_COLUMNS, [model_cells(model) for model in models]),
        f"![size, time and, where there is a checkpoint, accuracy]({plot})" if plot else "",
        "## Files",
        *(files_section(form, models) for form in FORMATS),
        warnings_section(models),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


MODEL_COLUMNS = (
    "model", "weights", "side", "parameters, M", "MMACs", "fp32, MB", "int8, MB", "fp32, time", "int8, time",
    "int8 SQNR, dB", "int8 agreement", "balanced accuracy [95 %]",
)  # fmt: skip
FILE_COLUMNS = ("model", "recipe", "MB", "time", "SQNR, dB", "agreement", "8-bit MACs", "verdict")


def model_cells(model: Mapping[str, Any]) -> list[str]:
    float32, int8 = (file_of(model, recipe) for recipe in ("fp32", "int8"))
    return [
        model["model"],
        "trained" if model["trained"] else "random",
        str(model["side"]),
        f"{model['parameters'] / 1e6:.2f}",
        f"{model['macs'] / 1e6:.0f}",
        *(megabytes(one) for one in (float32, int8)),
        *(ratio(one) for one in (float32, int8)),
        decibel(int8),
        agreement(int8) if model["trained"] else NOTHING,
        accuracy(model),
    ]


def files_section(form: str, models: Sequence[Mapping[str, Any]]) -> str:
    cells = [
        [
            model["model"],
            one["recipe"],
            megabytes(one),
            ratio(one),
            decibel(one),
            agreement(one) if model["trained"] else NOTHING,
            f"{one['share_8bit']:.0%}" if one["share_8bit"] is not None else NOTHING,
            one["verdict"] or NOTHING,
        ]
        for model in models
        for one in model["files"]
        if one["format"] == form
    ]
    gone = [f"{m['model']} {pair.split()[1]}" for m in models for pair in m["rejected"] if pair.startswith(form)]
    note = f"\n\nRejected by their gate, so that no file is kept: {', '.join(gone)}." if gone else ""
    return f"### {form}\n\n{table(FILE_COLUMNS, cells)}{note}" if cells or gone else ""


def warnings_section(models: Sequence[Mapping[str, Any]]) -> str:
    lines = [f"- {one['file']}: {text}" for model in models for one in model["files"] for text in one["warnings"]]
    return "## Warnings of the graph audit\n\n" + ("\n".join(lines) or "None.")


def file_of(model: Mapping[str, Any], recipe: str) -> Mapping[str, Any] | None:
    """The .tflite of a recipe."""
    return next((one for one in model["files"] if (one["format"], one["recipe"]) == ("tflite", recipe)), None)


def megabytes(one: Mapping[str, Any] | None) -> str:
    return f"{one['bytes'] / 1e6:.2f}" if one else NOTHING


def ratio(one: Mapping[str, Any] | None) -> str:
    return f"{one['ratio']:.2f}" if one and one["ratio"] is not None else NOTHING


def decibel(one: Mapping[str, Any] | None) -> str:
    return f"{one['sqnr_db']:.1f}" if one and one["sqnr_db"] is not None else NOTHING


def agreement(one: Mapping[str, Any] | None) -> str:
    return f"{one['agreement']:.1%}" if one and one["agreement"] is not None else NOTHING


def accuracy(model: Mapping[str, Any]) -> str:
    found = model["balanced_accuracy"]
    return f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]" if found else NOTHING


def table(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in cells])
