"""A checkpoint and its cross-validation -> the model card, Markdown. It has measured figures only."""

from __future__ import annotations

from edge.checkpoint import Checkpoint
from edge.manifest import INTENDED_USE

LEFT_OUT = {"folds", "fold", "held_back", "split_seed", "init"}  # put into words: `init` in the remarks


def card(checkpoint: Checkpoint, validation: dict, remarks: str) -> str:
    """`validation` is a cross_validation.json of the same model."""
    pooled = validation["out_of_fold"]
    parts = [
        f"# {checkpoint.model}",
        INTENDED_USE,
        "## What it is",
        bullets(
            [
                f"{checkpoint.model}, {len(checkpoint.labels)} classes: "
                + ", ".join(f"{x.code} ({x.name}{', malignant' if x.malignant else ''})" for x in checkpoint.labels),
                f"input: RGB, {checkpoint.preprocess.side} x {checkpoint.preprocess.side} pixels, centred square crop, "
                f"preprocessing `{checkpoint.preprocess.version}`",
                f"output: softmax of the logits divided by {checkpoint.temperature:.3f}, fitted on held-back patients; "
                "the loss was adjusted for class shares, so probabilities are those of a world where all classes are "
                "equally frequent",
                f"weights: SHA-256 `{checkpoint.sha256}`",
            ]
        ),
        "## Data",
        bullets(describe_data(part) for part in checkpoint.data),
        "Patients by role in this checkpoint (the ids are in its JSON):",
        table(
            ["set", "learned from", "held back", "unseen"],
            [
                [domain, *(count(getattr(checkpoint, role).get(domain)) for role in ("trained", "held_back", "unseen"))]
                for domain in sorted({*checkpoint.trained, *checkpoint.unseen})
            ],
        ),
        "## How good it is",
        f"Out of fold: {pooled['images']} photographs of {pooled['patients']} patients, each judged by one of "
        f"{validation['folds']} models that never saw the patient (`train/cross_validate.py`, recipe below; the "
        "shipped weights are the model of fold 0). Intervals are 95 %, from resampling patients for balanced accuracy, "
        "Wilson's otherwise.",
        table(
            ["figure", "value", "95 % interval"],
            [
                ["**balanced accuracy**", *cells(pooled["balanced_accuracy"])],
                ["accuracy", f"{pooled['accuracy']:.3f}", ""],
                *(
                    [f"malignant against benign: {name}", *cells(value)]
                    for name, value in pooled.get("malignant", {}).items()
                ),
                *(
                    [f"sensitivity {code} ({value['images']} photographs)", *cells(value)]
                    for code, value in pooled["sensitivity"].items()
                ),
                ["expected calibration error", f"{pooled['calibration_error']:.3f}", ""],
                *(
                    [f"baseline, {name}: balanced accuracy", *cells(b["balanced_accuracy"])]
                    for name, b in validation["baselines"].items()
                ),
            ],
        ),
        "By fold, balanced accuracy: "
        + ", ".join(f"{fold['unseen']['balanced_accuracy']['value']:.3f}" for fold in validation["by_fold"])
        + ".",
        remarks.strip(),
        "## Recipe",
        bullets(f"{name}: {value}" for name, value in checkpoint.recipe.items() if name not in LEFT_OUT),
        split_in_words(checkpoint.recipe),
        "Versions: " + ", ".join(f"{name} {version}" for name, version in checkpoint.versions.items()) + ".",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def describe_data(part: dict) -> str:
    kind = " (**synthetic**, drawn by computer)" if part.get("synthetic") else ""
    shares = ", ".join(f"{code} {n}" for code, n in part.get("classes", {}).items() if n)
    return (
        f"{part['name']}{kind}: {part['images']} images to learn from, {part['patients']} patients or sessions "
        f"({shares}); licence {part.get('licence', 'unknown')}; SHA-256 `{part.get('sha256', '')[:16]}…`"
    )


def split_in_words(recipe: dict) -> str:
    return (
        f"Split: {recipe.get('folds')} patient-level folds, fold {recipe.get('fold')} unseen, a share of "
        f"{recipe.get('held_back')} of the other patients held back, seed {recipe.get('split_seed')}."
    )


def count(listed: dict | None) -> str:
    return f"{len(listed['patients'])} ({len(listed['images'])} images)" if listed else "0"


def cells(value: dict) -> list[str]:
    if value["value"] is None:
        return ["not defined", ""]
    return [f"{value['value']:.3f}", f"{value['low']:.3f} to {value['high']:.3f}"]


def bullets(items) -> str:
    return "\n".join(f"* {item}" for item in items)


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
