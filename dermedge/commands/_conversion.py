"""The flags that every converter takes."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from dermedge.flags import add_checkpoint, add_data, add_skip_unreadable
from edge.models import MODELS
from edge.recipes import Recipe


def add_flags(p: argparse.ArgumentParser, recipes: Mapping[str, Recipe]) -> None:
    p.add_argument("--model", metavar="NAME", help=f"one of {', '.join(MODELS)} (default: the checkpoint's)")
    add_checkpoint(p)
    p.add_argument(
        "--untrained", type=int, nargs="?", const=0, metavar="SEED",
        help="random weights instead of a checkpoint, for size, speed and SQNR (default: 0); the answers mean nothing",
    )  # fmt: skip
    p.add_argument("--side", type=int, help="input side in pixels of --untrained, a multiple of 32 (default: 224)")
    p.add_argument(
        "--recipe", action="append", choices=list(recipes), metavar="RECIPE",
        help=f"one of {', '.join(recipes)}; repeatable (default: all)",
    )  # fmt: skip
    add_data(p, "to judge on")
    add_skip_unreadable(p)
    p.add_argument(
        "--measure-again", action="store_true", help="do not use what an earlier measurement for 8 bits has left"
    )
    p.add_argument(
        "--out", type=Path, help="folder to write to (default: build/<model>, of --untrained build/<model>-untrained)"
    )
    p.add_argument("--force", action="store_true", help="replace files that are there")
    p.add_argument(
        "--strict", action="store_true",
        help="let every gate bind, also those that are only reported, and every warning of the audit (palette6 and "
        "palette4 have no gate; that fp32 is float32 is no warning there)",
    )  # fmt: skip
    p.epilog = "recipes:\n" + "\n".join(f"  {name:13s} {recipe.purpose}" for name, recipe in recipes.items())
