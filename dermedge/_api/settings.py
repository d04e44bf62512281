"""All settings of a training as one TOML file, in the words of its flags: what the folder of a run keeps.

The command reads it again (`dermedge/commands/_settings.py`). What stands for objects of a Python program is refused
there by name, so that no run is repeated with something else in their place.
"""

from __future__ import annotations

import json
import os
from collections.abc import Container, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from dermedge._rooms import room

SCHEMA = "dermedge/train/1"
# what is trained on what; the rest of the flags is in tables. Not where to, and whether anew: that is of a start.
INPUTS = (
    "model", "mean", "std", "scale", "name", "data", "also", "init", "qat", "teacher", "answers", "skip_unreadable",
)  # fmt: skip
RENAMED = {("split", "seed"): "split_seed"}


def tables(flags: Container[str]) -> dict[str, dict[str, str]]:
    """Table -> its keys -> the one of the `flags` that each sets, as a namespace names it; "" is the file's top."""
    options, recipe = room("train._options"), room("train._recipe")
    own = {
        "": list(INPUTS),
        "split": [field.name for field in fields(options.Split)],
        "recipe": [field.name for field in fields(recipe.Recipe) if field.name != "model"],
        "machine": [field.name for field in fields(options.Machine)],
    }
    named = {table: {key: RENAMED.get((table, key), key) for key in keys} for table, keys in own.items()}
    return {table: {key: flag for key, flag in keys.items() if flag in flags} for table, keys in named.items()}


def text_of(flags: Mapping[str, Any]) -> str:
    """All settings as a file that `--config` takes; paths are absolute, so that it can be used from anywhere.

    `flags`: what each flag says, by the name that a namespace has for it.
    """
    lines = [f'schema = "{SCHEMA}"']
    for table, keys in tables(flags).items():
        lines += ["", f"[{table}]"] if table else []
        values = {key: flags[flag] for key, flag in keys.items()}
        if "model" in values:
            values["model"] = from_anywhere(values["model"])
        lines += [f"{key} = {toml(value)}" for key, value in values.items() if value is not None]
    return "\n".join(lines) + "\n"


def from_anywhere(model: str) -> str:
    """A model's name as it is, path/to/net.py:build with an absolute path."""
    path, _, builder = model.rpartition(":")
    return f"{os.path.abspath(path)}:{builder}" if path.endswith(".py") else model


def toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    text = os.path.abspath(value) if isinstance(value, Path) else str(value)
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
