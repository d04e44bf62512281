"""What a search has set out to do, kept in its folder: every process that joins has to mean the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.files import read_json, write_json
from edge.locks import alone_in

from ._folds import Networks, Sources
from ._options import Machine, Split
from ._recipe import Recipe
from ._space import Trial
from ._trainer import as_json

PLAN = "plan.json"
SCHEMA = "dermedge/searchplan/1"


def plan_of(
    base: Recipe,
    trials: Sequence[Trial],
    split: Split,
    machine: Machine,
    sources: Sources,
    sets: Sequence[PhotoSet],
    networks: Networks,
    processes: int,
) -> dict[str, Any]:
    """All that the figures depend on. Digests in place of paths: machines may have the same set in other places."""
    plan = {
        "schema": SCHEMA,
        "recipe": {name: value for name, value in asdict(base).items() if name not in {n for t in trials for n in t}},
        "split": {"folds": split.folds, "held_back": split.held_back, "seed": split.seed},
        "precision": machine.precision,
        "threads": machine.threads,
        "processes": processes,
        "sets": [{"name": photos.name, "sha256": photos.sha256()} for photos in sets],
        "init": networks.start.sha256 if networks.start else None,
        "teachers": [[teacher.sha256 for teacher in own] for own in networks.teachers],
        "answers": sources.answers,
        "trials": list(trials),
    }
    return as_json(plan)


def join(folder: Path, plan: dict[str, Any], *, any_threads: bool) -> int:
    """Keep the plan in the folder, or see that the one there is the same; the threads that each fold has.

    More trials than there are may join where the others are the same ones. `any_threads`: those of the plan that is
    there are right. InputError says what is other.
    """
    path = folder / PLAN
    with alone_in(folder):
        if not path.is_file():
            write_json(path, plan)
            return int(plan["threads"])
        there = read_json(path, expected="the plan of a search")
        if any_threads:
            plan = plan | {"threads": there.get("threads")}
        other = [name for name, value in plan.items() if name != "trials" and there.get(name) != value]
        before, now = there.get("trials", []), plan["trials"]
        both = min(len(before), len(now))
        if other or before[:both] != now[:both]:
            raise InputError(
                f"{folder} holds a search of other {', '.join(other or ['trials'])}; give the same as there, or "
                "another `out`"
            )
        if len(now) < len(before):
            raise InputError(f"{folder} holds a search of {len(before)} trials, of which these are {len(now)}")
        if len(now) > len(before):
            write_json(path, plan)
        return int(plan["threads"])
