"""Photographs of unseen patients and the float network that answers them, for benchmarks of reading them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dermedge.flags import add_data, add_shipped_model
from edge.progress import busy

from ._flags import add_out

if TYPE_CHECKING:
    from edge.data.table import PhotoSet
    from edge.runtimes.reference import Reference


def photographs_parser(description: str | None, images: int) -> argparse.ArgumentParser:
    """A parser with --model, --data, --images and --out."""
    p = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shipped_model(p, "the model")
    add_data(p)
    p.add_argument("--images", type=int, default=images, help="how many photographs (default: %(default)s)")
    add_out(p)
    return p


def opened(model: str, data: Path | None, limit: int | None) -> tuple[int, Reference, PhotoSet]:
    """The side in pixels of a shipped model's input, its float network, and unseen photographs, at most `limit`."""
    from edge.checkpoint import load, shipped
    from edge.data.selection import judging_set
    from edge.runtimes.reference import Reference

    with busy("opening the model"):
        checkpoint = load(shipped(model))
        return checkpoint.preprocess.side, Reference(checkpoint), judging_set(checkpoint, data, limit=limit)
