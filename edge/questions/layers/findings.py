"""A walk through a file -> plain rows: what every result loses, where the first one leaves its precision."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import fx

from edge.exporting import line_of
from edge.progress import track
from edge.report.strict import plain
from edge.runtimes.inside import Inside

from .kinds import ANCHORS, MOVING
from .network import Network, kind_of, layer_of, module_of, nearest_module
from .places import arranged
from .precision import sqnr_db
from .walk import Step, Walk

OK, OFF, ALONE, MOVED = "ok", "off", "no counterpart", "moves values"


def compared(network: Network, inside: Inside, doing: str = "comparing layers") -> dict[str, Any]:
    """Every result of the file as a row, in its order; the first that is off; how many have no counterpart."""
    walk = Walk(network, inside)
    steps = walk.run(lambda steps: track(steps, doing, len(steps)))
    rows = [row_of(network, inside, step) for step in steps if step.key in inside.values]
    off = [number for number, row in enumerate(rows) if row["status"] == OFF]
    counts = {status: sum(row["status"] == status for row in rows) for status in (OK, OFF, ALONE, MOVED)}
    return {"rows": rows, "first": off[0] if off else None, "counts": counts}


def row_of(network: Network, inside: Inside, step: Step) -> dict[str, Any]:
    tensors = inside.values[step.key]
    facts: dict[str, Any] = {
        "op": step.op.place, "kind": step.op.kind, "name": step.op.name, "status": status_of(step), "module": "",
        "behind": "", "line": "", "torch": "", "seen": "", "own_db": None, "least_db": None, "model_db": None,
        "file_range": span(tensors), "torch_range": None, "confirmed": step.confirmed, "around": step.around,
    }  # fmt: skip
    if step.place is None:
        return plain(facts)
    place = step.place
    model = [place.view.there(value, value) for value in network.model_value(place.node)]
    same = [arranged(tensor, place.order, value) for tensor, value in zip(tensors, model, strict=True)]
    named = (layer_of(place.node) if step.op.kind in ANCHORS or step.closes else "") or module_of(place.node)
    if step.around:  # a loss in a rewritten norm may show behind the activation that it is fused with
        named = named or nearest_module(place.node)
    return plain(facts | {
        "module": named, "behind": "" if named else nearest_module(place.node), "line": line_of(place.node) or "",
        "torch": operation_of(place.node), "seen": place.view.words,
        "own_db": step.own_db, "least_db": step.least_db, "model_db": sqnr_db(model, same),
        "torch_range": span([value.numpy() for value in model]),
    })  # fmt: skip


def operation_of(node: fx.Node) -> str:
    """What computed the node: of one of several results, the operation that gave them."""
    return kind_of(node.all_input_nodes[0] if kind_of(node) == "getitem" else node)


def status_of(step: Step) -> str:
    if step.off:
        return OFF
    if step.place is not None:
        return OK
    return MOVED if step.op.kind in MOVING else ALONE


def span(tensors: list[np.ndarray]) -> dict[str, Any]:
    """Smallest and largest finite value, and how many are not finite."""
    finite = [tensor[np.isfinite(tensor)] for tensor in tensors]
    there = [part for part in finite if part.size]
    return {
        "low": float(min(part.min() for part in there)) if there else math.nan,
        "high": float(max(part.max() for part in there)) if there else math.nan,
        "not_finite": int(sum(tensor.size for tensor in tensors) - sum(part.size for part in finite)),
    }


def checked(network: Network, probabilities: np.ndarray) -> float:
    """Largest difference between the traced graph's answers and the model's own: it must be a rounding."""
    traced = torch.cat(network.model_value(network.answer)).numpy()
    return float(np.abs(traced - probabilities).max())
