"""The matrix as a section of the one report. No arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge.questions.matrix.tables import NOTHING, sentences, small
from edge.report import words
from edge.report.template import template

SCHEMA = "dermedge/matrix/1"
TITLE = "Is the answer the same in every runtime?"
SIGNS = {"same": "✓", "differs": "✗", "refused": "∅", "not set up": "…", "reported": "■"}
LOOKS = {"same": "pass", "differs": "fail", "refused": "inconclusive"}  # state -> class of the page's style


def section(report: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """The section's HTML; names from outside are escaped by the template."""
    runtimes = list(dict.fromkeys(row["runtime"] for row in report["rows"]))
    by_place = {(row["file"], row["runtime"]): row for row in report["rows"]}
    # a package, .onnx or .aimodel has one runtime here: what its place shows is how it stands to the first file
    alone = {file["file"] for file in report["files"] if file["format"] != "tflite"}
    beside_first = {pair["file"]: pair for pair in report["pairs"] if pair["file"] in alone}
    by_place |= {place: beside_first[place[0]] for place in by_place if place[0] in beside_first}
    return template("edge.questions.matrix", "matrix.html.j2").render(
        report=report,
        runtimes=runtimes,
        versions={row["runtime"]: row["version"] for row in report["rows"] if row["version"]},
        files=[
            {
                **file,
                "size": words.size(file["bytes"]),
                "cells": [cell(by_place.get((file["file"], runtime))) for runtime in runtimes],
            }
            for file in report["files"]
        ],
        pairs=[{**pair, **cell(pair)} for pair in report["pairs"]],
        firsts=list(dict.fromkeys(pair["other"] for pair in report["pairs"])),
        sentences=sentences(report),
        signs=SIGNS,
    )


def cell(row: Mapping[str, Any] | None) -> dict[str, str]:
    """What a place of the table shows."""
    if row is None:
        return {"state": NOTHING, "look": "", "sign": "", "largest": "", "limit": "", "agreement": ""}
    counted = row.get("agreement") is not None
    return {
        "state": row["state"],
        "look": LOOKS.get(row["state"], ""),
        "sign": SIGNS.get(row["state"], ""),
        "largest": small(row.get("largest")) if counted else "",
        "limit": small(row.get("limit")) if counted else "",
        "agreement": f"{row['agreement']:.0%}" if counted else "",
    }
