"""The zoo in words: cells of its tables, and the sentences around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge.questions.zoo.plan import YARDSTICK, YARDSTICK_RECIPE

NOTHING = "–"
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
        *(megabytes(file) for file in (float32, int8)),
        *(ratio(file) for file in (float32, int8)),
        decibel(int8),
        agreement(int8) if model["trained"] else NOTHING,
        accuracy(model),
    ]


def file_rows(form: str, models: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The cells of every file of a format."""
    return [
        [
            model["model"],
            file["recipe"],
            megabytes(file),
            ratio(file),
            decibel(file),
            agreement(file) if model["trained"] else NOTHING,
            f"{file['share_8bit']:.0%}" if file["share_8bit"] is not None else NOTHING,
            file["verdict"] or NOTHING,
        ]
        for model in models
        for file in model["files"]
        if file["format"] == form
    ]


def rejected(form: str, models: Sequence[Mapping[str, Any]]) -> list[str]:
    """Model and recipe of every file of a format that a gate rejected."""
    return [f"{m['model']} {pair.split()[1]}" for m in models for pair in m["rejected"] if pair.startswith(form)]


def warnings(models: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the audit of the graphs warns of, by file."""
    return [f"{file['file']}: {text}" for model in models for file in model["files"] for text in file["warnings"]]


def made_by(report: Mapping[str, Any]) -> str:
    return f"{report['date']}, dermedge {report['dermedge']}, made by `{report['command']}`."


def how_to_read(report: Mapping[str, Any]) -> str:
    return (
        f"Times: median ratio to {YARDSTICK}'s {YARDSTICK_RECIPE} file in the same of {report['rounds']} rounds, one "
        f"thread of {report['machine']}; ratios travel, milliseconds do not; a model of another side than its is not "
        "timed. Core ML is run by an interpreter here, so that it has no times. MB are 10⁶ bytes; MACs are those of "
        "the side in the table. SQNR and agreement: the file's answers against the float torch model's."
    )


def judged_on(report: Mapping[str, Any]) -> str:
    """What SQNR and agreement were measured on: drawn pictures give other numbers than photographs."""
    every = [file.get("judged_on") or {} for model in report["models"] for file in model["files"]]
    sets = list(dict.fromkeys((on["data"], on["images"], on["synthetic"]) for on in every if on.get("data")))
    if not sets:
        return ""
    named = [
        f"{images} {'computer-drawn pictures' if drawn else 'photographs'} ({name})" for name, images, drawn in sets
    ]
    remark = f" {DRAWN}" if any(drawn for _, _, drawn in sets) else ""
    return f"Judged on {', '.join(named)}.{remark}"


DRAWN = (
    "The ranges of 8-bit files were measured on drawn pictures as well: SQNR may differ by several decibels from that "
    "of photographs, in either direction."
)
RANDOM = (
    "weights are judged on SQNR alone: no class means anything there. They do not say how well a trained model of the "
    "family survives 8 bits."
)


def file_of(model: Mapping[str, Any], recipe: str) -> Mapping[str, Any] | None:
    """The .tflite of a recipe."""
    return next((file for file in model["files"] if (file["format"], file["recipe"]) == ("tflite", recipe)), None)


def megabytes(file: Mapping[str, Any] | None) -> str:
    return f"{file['bytes'] / 1e6:.2f}" if file else NOTHING


def ratio(file: Mapping[str, Any] | None) -> str:
    return f"{file['ratio']:.2f}" if file and file["ratio"] is not None else NOTHING


def decibel(file: Mapping[str, Any] | None) -> str:
    return f"{file['sqnr_db']:.1f}" if file and file["sqnr_db"] is not None else NOTHING


def agreement(file: Mapping[str, Any] | None) -> str:
    return f"{file['agreement']:.1%}" if file and file["agreement"] is not None else NOTHING


def accuracy(model: Mapping[str, Any]) -> str:
    interval = model["balanced_accuracy"]
    return f"{interval['value']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]" if interval else NOTHING
