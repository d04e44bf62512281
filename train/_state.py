"""The state of an unfinished run, so that it continues as if it had never stopped: safetensors + JSON, no pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from edge.checkpoint import read_weights
from edge.errors import InputError
from edge.files import moved_into_place

if TYPE_CHECKING:
    from torch import Tensor

SCHEMA = "dermedge/run/2"  # 2: random numbers belong to the sample


def save(path: Path, *, tensors: dict[str, dict[str, Tensor]], facts: dict) -> None:
    """One safetensors file: named groups of tensors, and `facts` as JSON in its header."""
    from safetensors.torch import save as to_bytes

    flat = {
        f"{group}/{name}": value.detach().cpu().contiguous()
        for group, part in tensors.items()
        for name, value in part.items()
    }
    with moved_into_place(path) as unfinished:
        header = {"schema": SCHEMA, "facts": json.dumps(facts, allow_nan=False)}
        unfinished.write_bytes(to_bytes(flat, metadata=header))


def load(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict]:
    """The groups and facts of `save`; InputError if the file is missing, cut off or something else."""
    from safetensors import safe_open

    if not path.is_file():
        raise InputError(f"nothing to resume at {path}; start without `resume`")
    flat = read_weights(path)
    with safe_open(path, framework="pt") as file:
        header = file.metadata() or {}
    if header.get("schema") != SCHEMA:
        raise InputError(f"{path} is no interrupted run (schema {header.get('schema')!r}, expected {SCHEMA!r})")
    groups: dict[str, dict[str, Tensor]] = {}
    for key, value in flat.items():
        group, name = key.split("/", 1)
        groups.setdefault(group, {})[name] = value
    return groups, json.loads(header["facts"])


def optimiser_tensors(optimiser) -> dict[str, Tensor]:
    """AdamW's moments by parameter position; everything else about it follows from the recipe."""
    return {
        f"{position}.{name}": value
        for position, slots in optimiser.state_dict()["state"].items()
        for name, value in slots.items()
    }


def restore_optimiser(optimiser, tensors: dict[str, Tensor]) -> None:
    import torch

    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        position, name = key.split(".", 1)
        state.setdefault(int(position), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            slots = optimiser.state[parameter]
            for name, value in slots.items():
                if value.shape == parameter.shape:  # fused AdamW walks memory, so the moments must lie as it does
                    slots[name] = torch.empty_like(parameter).copy_(value)
