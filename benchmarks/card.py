"""Write the model card that goes with a checkpoint, from the figures that were measured.

    python benchmarks/card.py --checkpoint runs/cv/fold-0/checkpoint.safetensors \\
        --cross-validation runs/cv/cross_validation.json --out hierattn_xs.md
"""

from __future__ import annotations

import argparse
from pathlib import Path

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.card`
    import sys

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

from dermedge.console import entry, screen


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--checkpoint", type=Path, required=True, help="the .safetensors that the card describes")
    p.add_argument("--cross-validation", type=Path, required=True, help="cross_validation.json of the same recipe")
    p.add_argument("--remarks", type=Path, help="Markdown to add: how the recipe was chosen, limits, …")
    p.add_argument("--out", type=Path, required=True, help="Markdown file to write")
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from edge.checkpoint import load
    from edge.errors import InputError
    from edge.files import read_json, write_text

    from ._card import card

    checkpoint = load(args.checkpoint)
    validation = read_json(args.cross_validation, expected="the figures of a cross-validation")
    if validation.get("model") != checkpoint.model or "out_of_fold" not in validation:
        raise InputError(f"{args.cross_validation} is not about {checkpoint.model}; run train/cross_validate.py for it")
    remarks = args.remarks.read_text(encoding="utf-8") if args.remarks else ""
    write_text(args.out, card(checkpoint, validation, remarks))
    screen().print(f"{args.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
