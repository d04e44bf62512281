"""The measured `decision` of a manifest, kept beside the checkpoint that it was measured with.

`dermedge decide --measure` writes it, conversion copies it into the manifest, so that a clone without photographs
gives the same manifest.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge.errors import InputError
from edge.files import read_json, write_json
from edge.manifest import Manifest, first_fault, schema

log = logging.getLogger("dermedge")

SCHEMA = "dermedge/decision/1"
SUFFIX = ".decision.json"
WHAT = f"thresholds ({SCHEMA}), which `dermedge decide --measure` writes"


def beside(checkpoint: str | Path) -> Path:
    """Where the measured section of a checkpoint's weights is kept."""
    checkpoint = Path(checkpoint)
    return (checkpoint / "checkpoint.safetensors" if checkpoint.is_dir() else checkpoint).with_suffix(SUFFIX)


def find(checkpoint: str | Path, *, checkpoint_sha256: str, side: int) -> dict[str, Any] | None:
    """The section kept beside a checkpoint; None without one or, with a note, for other weights."""
    path = beside(checkpoint)
    if not path.is_file():
        return None
    if read_json(path, expected=WHAT).get("checkpoint_sha256") != checkpoint_sha256:
        log.warning(
            "%s was measured with other weights and is not used; `dermedge decide --measure` measures again", path
        )
        return None
    return load(path, checkpoint_sha256=checkpoint_sha256, side=side)


def save(path: str | Path, section: Mapping[str, Any], *, checkpoint_sha256: str) -> None:
    """Keep a manifest's `decision` beside the checkpoint that it was measured with. Checked first."""
    check_section(section, where=str(path))
    write_json(path, {"schema": SCHEMA, "checkpoint_sha256": checkpoint_sha256, "decision": dict(section)})


def load(path: str | Path, *, checkpoint_sha256: str, side: int) -> dict[str, Any]:
    """The section that `save` wrote for this checkpoint; InputError if it is damaged or of another one."""
    stored = read_json(path, expected=WHAT)
    again = "measure again with `dermedge decide --measure`"
    if stored.get("schema") != SCHEMA:
        raise InputError(f"{path}: expected schema {SCHEMA}, got {stored.get('schema')!r}; {again}")
    if stored.get("checkpoint_sha256") != checkpoint_sha256:
        raise InputError(f"{path} was measured with another checkpoint (its SHA-256 differs); {again}, or remove it")
    section = check_section(stored.get("decision"), where=str(path))
    if section["side"] != side:
        raise InputError(f"{path} holds for squares of {section['side']} pixels, the model takes {side}; {again}")
    return section


def check_section(section: object, *, where: str) -> dict[str, Any]:
    """A manifest's `decision` if it fits the schema; InputError that names the first field that does not."""
    fault = first_fault(section, {"$ref": "#/$defs/decision", "$defs": schema()["$defs"]})
    if fault is not None:
        field = "/".join(["decision", *fault[0]])
        raise InputError(f"{where}: {field}: {fault[1]}; measure again with `dermedge decide --measure`")
    assert isinstance(section, dict)
    return section


def with_section(manifest: Manifest, section: Mapping[str, Any] | None) -> Manifest:
    """The manifest with this `decision`, or without any; `output.abstain_threshold` says the same."""
    output = replace(manifest.output, abstain_threshold=section["abstain_threshold"] if section else None)
    return replace(manifest, output=output, decision=dict(section) if section else None)
