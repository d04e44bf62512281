"""What operations lose, in the form in which Google's Model Explorer shows data on the nodes of a .tflite.

Its format (`node_data_builder.py` of the package ai-edge-model-explorer, 0.1.34): by graph, results by the name of an
operator's output tensor, and colours from the smallest (0) to the largest (1).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from edge.questions.layers.wording import value
from edge.report import plots

FOLDER = "model_explorer"  # beside the report
GRAPH = "main"  # the name of the one graph that our files have
TOP = 150.0  # dB, for what is equal; float32 has 144
BOTTOM = -20.0  # dB, for what is not a number
WHITE = "#ffffff"
# figure -> its key in a row, and the title that Model Explorer shows
FIGURES = {
    "own": ("own_db", "SQNR of the operation itself, dB"),
    "model": ("model_db", "SQNR against the model, dB"),
}


def node_data(report: Mapping[str, Any]) -> dict[str, str]:
    """File name -> JSON, for every .tflite of a report of layers and each of the two figures.

    Operations without a counterpart in torch have no number. Those that are off are marked, whatever the others lose.
    """
    texts = {}
    for file in report["files"]:
        judged = [row for row in file["rows"] if row["torch"]]
        if file["format"] != "tflite" or not judged:
            continue
        for figure, (key, title) in FIGURES.items():
            gradient = [{"stop": 0, "bgColor": plots.VERMILLION}, {"stop": 1, "bgColor": WHITE}]
            worst: dict[str, Mapping[str, Any]] = {}
            for row in judged:  # an operator with several results, as SPLIT, has a row for each
                known = worst.get(row["name"])
                if known is None or (row["status"] != "off", value(row, key)) < (
                    known["status"] != "off",
                    value(known, key),
                ):
                    worst[row["name"]] = row
            results = {name: shown(row, key) for name, row in worst.items()}
            data = {GRAPH: {"name": title, "results": results, "gradient": gradient}}
            texts[f"{FOLDER}/{file['file']}.{figure}.json"] = json.dumps(data, indent=1, allow_nan=False) + "\n"
    return texts


def shown(row: Mapping[str, Any], key: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"value": round(min(max(value(row, key), BOTTOM), TOP), 2)}
    return entry | {"bgColor": plots.VERMILLION, "textColor": WHITE} if row["status"] == "off" else entry
