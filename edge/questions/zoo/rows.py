"""What the folders of a zoo hold, as plain rows: one for each model, with its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edge import artifact
from edge.checkpoint import load
from edge.manifest import FileEntry
from edge.questions.zoo.plan import YARDSTICK, Job

SUFFIXES = {"tflite": "tflite", "mlpackage": "coreml"}  # the manifest's formats -> ours


def rows(
    jobs: Sequence[Job], out: Path, models: Sequence[str], times: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> list[dict]:
    """One entry per model, with its files."""
    entries = []
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
        files = [entry for entry in manifest.of_pictures if (SUFFIXES[entry.format], entry.recipe) in wanted]
        kept = {(SUFFIXES[entry.format], entry.recipe) for entry in files}
        entries.append(
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
                "rejected": [" ".join(pair) for pair in sorted(wanted - kept)],
            }
        )
    return entries


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
