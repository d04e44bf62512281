"""Losses by operation as Model Explorer reads them: by graph, by output tensor, each a finite number."""

from __future__ import annotations

import json
import math

from edge.questions.layers.measure import LayersReport
from edge.report.strict import plain


def row(name: str, own: float | None, **changes: object) -> dict:
    numbers = {"own_db": own, "model_db": 40.0}
    return plain({"name": name, "status": "ok", "torch": "conv2d", **numbers, **changes})


ROWS = [
    row("conv", 51.234), row("fc", 3.0, status="off"), row("moved", None, torch=""),
    row("same", math.inf), row("nothing", -math.inf),
    row("split", 40.0), row("split", 30.0), row("split", 50.0),
]  # fmt: skip


def written() -> dict[str, str]:
    files = [
        {"file": "net-int8.tflite", "format": "tflite", "rows": ROWS},
        {"file": "net-fp16.mlpackage", "format": "mlpackage", "rows": ROWS},
        {"file": "net-fp32.tflite", "format": "tflite", "rows": []},
    ]
    return LayersReport({"files": files}).other_files()


def test_each_tflite_that_was_looked_into_has_a_file_for_each_figure() -> None:
    assert list(written()) == ["model_explorer/net-int8.tflite.own.json", "model_explorer/net-int8.tflite.model.json"]


def test_values_are_by_output_tensor_and_what_is_off_is_marked() -> None:
    (graph,) = json.loads(written()["model_explorer/net-int8.tflite.own.json"]).items()
    name, data = graph
    assert name == "main" and data["name"] == "SQNR of the operation itself, dB"
    assert data["results"]["conv"] == {"value": 51.23}
    assert data["results"]["fc"]["value"] == 3 and data["results"]["fc"]["bgColor"] == data["gradient"][0]["bgColor"]
    assert data["results"]["split"] == {"value": 30}  # the worst of its three results
    assert "moved" not in data["results"]  # nothing in torch to compare with
    assert [data["results"][key]["value"] for key in ("same", "nothing")] == [150, -20]
    assert [stop["stop"] for stop in data["gradient"]] == [0, 1]
