"""How the layers of the int8 file were chosen, as the parity page shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge.parity import plots, words

SHOWN = 12  # layers, those that a fixed range hurts most


def view(scheme: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the template shows, as text; None where there is no scheme."""
    if scheme is None:
        return None
    chosen = scheme["curve"][scheme["chosen"]]
    kinds = [layer["kind"] for layer in scheme["layers"]]
    hurt = sorted(
        (layer for layer in scheme["layers"] if layer["alone_db"].get("static") is not None),
        key=lambda layer: layer["alone_db"]["static"],
    )
    return {
        "data": scheme["data"],
        "images": scheme["images"],
        "budget": f"{scheme['budget_db']:.0f} dB",
        "counts": [(kind, kinds.count(kind)) for kind in ("static", "dynamic", "float")],
        "plot": plots.scheme_curve(scheme["curve"], scheme["chosen"], scheme["budget_db"]),
        "points": [point(one, one is chosen) for one in scheme["curve"]],
        "layers": [layer_row(layer) for layer in hurt[:SHOWN]],
        "more": max(0, len(hurt) - SHOWN),
    }


def point(one: Mapping[str, float], chosen: bool) -> dict[str, Any]:
    return {
        "chosen": chosen,
        "static": f"{one['macs_static']:.0%}",
        "eight": f"{one['macs_8bit']:.0%}",
        "sqnr": f"{one['sqnr_db']:.1f} dB",
        "p5": f"{one['sqnr_db_p5']:.1f}",
        "agreement": f"{one['agreement']:.1%}",
        "size": words.size(int(one["bytes"])),
        "ms": f"{one['host_ms']:.2f}",
    }


def layer_row(layer: Mapping[str, Any]) -> dict[str, Any]:
    alone = layer["alone_db"]
    return {
        "name": layer["module"] or layer["tensor"],
        "operator": layer["operator"],
        "macs": f"{layer['macs'] / 1e6:.2f} M",
        "dynamic": f"{alone['dynamic']:.1f} dB" if alone.get("dynamic") is not None else words.NOTHING,
        "static": f"{alone['static']:.1f} dB",
        "kind": layer["kind"],
    }
