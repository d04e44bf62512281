"""What an extra of pyproject.toml brings along, and a process in which nothing else can be imported."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests._sources import ROOMS, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
BLOCK = """
import json, sys
closed = set(json.loads(sys.argv.pop(1)))
class Open:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] in closed else self.finder.find_spec(name, path, target)
    def __getattr__(self, name):
        return getattr(self.finder, name)
sys.meta_path[:] = [Open(finder) for finder in sys.meta_path]
"""


def own_requirements(extra: str) -> list[Requirement]:
    """Of an extra ("" for none), those of the extras that it names among them, without dermedge itself."""
    wanted = [*EXTRAS[extra]] if extra else [*PROJECT["dependencies"]]
    found = []
    for requirement in map(Requirement, wanted):
        if canonicalize_name(requirement.name) == "dermedge":
            found += [one for name in sorted(requirement.extras) for one in own_requirements(name)]
        else:
            found.append(requirement)
    return found


@cache
def closure(extra: str) -> set[str]:
    """The distributions, by canonical name, that `pip install dermedge[extra]` brings; from what is installed here."""
    waiting = [*own_requirements(""), *(own_requirements(extra) if extra else [])]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            needs = importlib.metadata.requires(requirement.name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for need in map(Requirement, needs):
            if need.marker is None or any(need.marker.evaluate({"extra": e}) for e in ("", *requirement.extras)):
                waiting.append(need)
    return {name for name, _ in seen}


@cache
def owners() -> dict[str, set[str]]:
    """Top-level name -> the distributions that put it on the path, by canonical name."""
    found = importlib.metadata.packages_distributions()
    return {module: {canonicalize_name(name) for name in names} for module, names in found.items()}


def modules_of(distribution: str) -> set[str]:
    """The top-level names that a distribution puts on the path."""
    wanted = canonicalize_name(distribution)
    return {module for module, names in owners().items() if wanted in names}


def closed_without(extra: str) -> set[str]:
    """The top-level names that are there, and would not be with this extra alone."""
    allowed = closure(extra)
    return {module for module, names in owners().items() if not names & allowed and module not in ROOMS}


def run_with(extra: str, program: str, *arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Python source in a process that can import what the extra brings, and no other package."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", BLOCK + program, json.dumps(sorted(closed_without(extra))), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def command_with(extra: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`dermedge …` in such a process."""
    program = "from dermedge.cli import main\nraise SystemExit(main(sys.argv[1:]))"
    return run_with(extra, program, *arguments)
