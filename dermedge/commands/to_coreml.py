"""Write a model as Core ML packages (.mlpackage), each checked against the model it came from.

    python convert/to_coreml.py --model hierattn_xs

Writes build/<model>/<model>-<recipe>.mlpackage and manifest.json. Takes an RGB image of S x S pixels and
returns calibrated `probabilities` and the class label: normalisation, temperature and softmax are inside.
int8 is measured: which activations can be in 8 bits is tried on photographs of training patients.
Every package is run by the interpreter of edge.runtimes.coreml, on Linux too, and compared with the model.
Exit code 1 if a file fails its check; that file is then not left behind.
"""

from __future__ import annotations

import argparse

from dermedge.console import entry
from edge.errors import InputError
from edge.recipes import COREML

from ._conversion import add_flags, run

EPOCHS = 8  # of --fine-tune; more gain little


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_flags(p, COREML)
    p.add_argument(
        "--fine-tune", type=int, nargs="?", const=EPOCHS, default=0, metavar="EPOCHS",
        help=f"let the network learn to live with a palette before it is written, so many times over the training "
        f"patients' photographs, without labels (default: {EPOCHS}; some 5 minutes a palette)",
    )  # fmt: skip
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    if args.fine_tune < 0:
        raise InputError(f"--fine-tune is a number of epochs, at least 1, got {args.fine_tune}")
    if args.fine_tune and args.recipe and not any(recipe.startswith("palette") for recipe in args.recipe):
        raise InputError("--fine-tune is for palettes: add --recipe palette4 (or 6, 8), or leave it out")
    return run(args, "coreml")


if __name__ == "__main__":
    raise SystemExit(main())
