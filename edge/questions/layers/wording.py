"""Layer by layer in words: the headline of a file, and its rows as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge.questions.layers.kinds import CONVOLUTION, NORMS, kinds_of

# what torch.export calls operations -> what torch's users call them
USUAL_NAMES = {
    "_native_batch_norm_legit_no_training": "batch_norm", "_softmax": "softmax",
    "native_layer_norm": "layer_norm", "native_group_norm": "group_norm",
}  # fmt: skip
WORST = 4  # rows shown beside the first that is off: those nearest to their limit, or furthest beyond
HEADINGS = ("op", "torch module", "own SQNR dB", "at least", "from the model dB", "torch range", "file range")
BEYOND = 150.0  # dB, off the scale


def headline(file: Mapping[str, Any]) -> str:
    """The answer for one file in a sentence."""
    if file["note"]:
        return f"{file['file']}: {file['note']}"
    if file["first"] is None:
        return f"{file['file']}: no operation loses more than its precision explains ({tally(file)})"
    row = file["rows"][file["first"]]
    also = f", or the operations before it without a counterpart (op {listed(row['around'])})" if row["around"] else ""
    sure = "" if row["confirmed"] else " (the likeliest place: nothing after it agrees with torch either)"
    return (
        f"{file['file']}: leaves the torch model at op {row['op']}, {row['kind']} ({row['name']}), module "
        f"{module(row)}{line(row)}{also}: own SQNR {decibel(row, 'own_db')} dB, precision explains "
        f"{decibel(row, 'least_db')} dB; torch {span(row['torch_range'])}, file {span(row['file_range'])}{sure} "
        f"({tally(file)})"
    )


def tally(file: Mapping[str, Any]) -> str:
    count = file["counts"]
    text = (
        f"{count['ok']} results compared, {count['off']} off, {count['no counterpart']} without a counterpart in torch"
    )
    return text + f", {count['moves values']} that only move values left out"


def listed(places: Sequence[int]) -> str:
    shown = ", ".join(str(place) for place in places[-4:])
    return shown if len(places) <= 4 else f"… {shown}"


def module(row: Mapping[str, Any]) -> str:
    name = f"{row['module'] or behind(row)} ({operation(row)}{', ' + row['seen'] if row['seen'] else ''})"
    return name if row["torch"] else "–"


def behind(row: Mapping[str, Any]) -> str:
    """Of an operation whose module is not known: a program that was read from a file knows those of its weights."""
    return f"behind {row['behind']}" if row.get("behind") else "around the network"


def line(row: Mapping[str, Any]) -> str:
    """Where the author's code asks for the operation, where that is known."""
    return f", {row['line']}" if row.get("line") else ""


def operation(row: Mapping[str, Any]) -> str:
    """The torch operation as its users call it; a batch norm that went into the convolution before it, with that."""
    name = USUAL_NAMES.get(row["torch"], row["torch"])
    folded = row["torch"] in NORMS and kinds_of(row["kind"]) >= CONVOLUTION
    return f"convolution and {name}" if folded else name


def decibel(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if value is not None:
        return f"{value:.1f}"
    return {"infinite": "equal", "minus infinite": "-∞"}.get(row.get(f"{key}_is", ""), "–")


def span(limits: Mapping[str, Any] | None) -> str:
    if limits is None:
        return "–"
    broken = f", {limits['not_finite']} not finite" if limits["not_finite"] else ""
    if limits["low"] is None:
        return f"nothing finite{broken}"
    return f"[{limits['low']:.4g}, {limits['high']:.4g}]{broken}"


def shown(file: Mapping[str, Any]) -> list[int]:
    """The first row that is off, and those with the least room to their limit."""
    room = sorted(
        (value(row, "own_db") - value(row, "least_db"), number)
        for number, row in enumerate(file["rows"])
        if row["torch"] and number != file["first"]
    )
    first = [] if file["first"] is None else [file["first"]]
    return first + [number for _, number in room[:WORST]]


def value(row: Mapping[str, Any], key: str) -> float:
    """For order and plots: beyond the scale where it is not finite."""
    number = row.get(key)
    if number is not None:
        return float(number)
    return -BEYOND if row.get(f"{key}_is") == "minus infinite" else 2 * BEYOND


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"{row['op']} {row['kind']} {row['name']}", module(row), decibel(row, "own_db"), decibel(row, "least_db"),
        decibel(row, "model_db"), span(row["torch_range"]), span(row["file_range"]),
    )  # fmt: skip
