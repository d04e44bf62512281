"""How the layers of the int8 files were chosen, as the report shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge.report import plots, words
from edge.scheme import KINDS

SHOWN = 12  # layers, those that a fixed range hurts most
WITHOUT_OUTPUT = {"tflite": "dynamic", "mlpackage": "input"}  # the kind of a layer whose output has no range


def views(schemes: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the template shows, as text, of the scheme of each format."""
    return [view(form, scheme) for form, scheme in schemes.items()]


def view(form: str, scheme: Mapping[str, Any]) -> dict[str, Any]:
    chosen = scheme["curve"][scheme["chosen"]]
    kinds = [layer["kind"] for layer in scheme["layers"]]
    hurt = sorted(
        (layer for layer in scheme["layers"] if layer["alone_db"].get("static") is not None),
        key=lambda layer: layer["alone_db"]["static"],
    )
    other = WITHOUT_OUTPUT[form]
    return {
        "title": "int8 files (.tflite)" if form == "tflite" else "int8 package (Core ML)",
        "data": scheme["data"],
        "images": scheme["images"],
        "budget": f"{scheme['budget_db']:.0f} dB",
        "counts": [(kind, kinds.count(kind)) for kind in KINDS if kind in kinds],
        "plot": plots.scheme_curve(scheme["curve"], scheme["chosen"], scheme["budget_db"]),
        "timed": "host_ms" in chosen,  # a Core ML package is run by an interpreter, whose time means nothing
        "compared": any("time_ratio" in choice for choice in scheme["curve"]),  # chains, where the network has any
        "points": [point(choice, choice is chosen) for choice in scheme["curve"]],
        "other": other,
        "layers": [layer_row(layer, other) for layer in hurt[:SHOWN]],
        "more": max(0, len(hurt) - SHOWN),
    }


def point(choice: Mapping[str, float], chosen: bool) -> dict[str, Any]:
    return {
        "chosen": chosen,
        "static": f"{choice['macs_static']:.0%}",
        "eight": f"{choice['macs_8bit']:.0%}",
        "sqnr": f"{choice['sqnr_db']:.1f} dB",
        "p5": f"{choice['sqnr_db_p5']:.1f}",
        "agreement": f"{choice['agreement']:.1%}",
        "size": words.size(int(choice["bytes"])) if "bytes" in choice else words.NOTHING,
        "ms": f"{choice['host_ms']:.2f}" if "host_ms" in choice else words.NOTHING,
        "ratio": f"{choice['time_ratio']:.2f}" if "time_ratio" in choice else words.NOTHING,
    }


def layer_row(layer: Mapping[str, Any], other: str) -> dict[str, Any]:
    alone = layer["alone_db"]
    return {
        "name": layer["module"] or layer["tensor"],
        "operator": layer["operator"],
        "macs": f"{layer['macs'] / 1e6:.2f} M",
        "other": f"{alone[other]:.1f} dB" if alone.get(other) is not None else words.NOTHING,
        "static": f"{alone['static']:.1f} dB",
        "kind": layer["kind"],
    }
