"""Options -> the flags of `dermedge train` that set them, for a run in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ._options import Machine, Split
from ._recipe import Recipe, stages_text


def flags_of(
    recipe: Recipe,
    split: Split,
    machine: Machine,
    *,
    data: Path,
    folder: Path,
    also: Sequence[Path] = (),
    init: Path | str | None = None,
    teachers: Sequence[Path] = (),
    skip_unreadable: bool = False,
    answers: bool = False,
) -> list[str]:
    """The command line behind `dermedge train`."""
    numbers = asdict(recipe) | {"stages": stages_text(recipe.stages)}
    numbers |= {"folds": split.folds, "fold": split.fold, "held_back": split.held_back, "split_seed": split.seed}
    numbers |= asdict(machine)
    flags = [word for name, value in numbers.items() if value is not None for word in (flag(name), str(value))]
    flags += ["--data", str(data), "--out", str(folder), *(word for path in also for word in ("--also", str(path)))]
    if init:
        flags += ["--init", str(init)]
    flags += [word for path in teachers for word in ("--teacher", str(path))]
    switches = {"--skip-unreadable": skip_unreadable, "--answers": answers}
    return [*flags, *(name for name, wanted in switches.items() if wanted)]


def flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
