"""The flags that several benchmarks take."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge.models import DEFAULT_MODEL

OUT = Path("build/benchmarks")


def add_network(p: argparse.ArgumentParser, model: str = "a shipped model, or any with random weights") -> None:
    """Which network at which side; `model` is the help text of the name."""
    p.add_argument("--model", default=DEFAULT_MODEL, help=f"{model} (default: %(default)s)")
    p.add_argument("--side", type=int, default=256, help="input side in pixels (default: %(default)s)")


def add_out(p: argparse.ArgumentParser, default: Path = OUT) -> None:
    p.add_argument("--out", type=Path, default=default, help="default: %(default)s")
