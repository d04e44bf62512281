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

if not __package__:  # started as a file from a clone: behave like `python -m convert.to_coreml`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "convert"

from edge.console import entry

from ._flags import add_flags
from ._recipes import COREML


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_flags(p, COREML)
    return p


@entry
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from ._coreml_format import CoreMLFormat
    from ._export import export

    return export(args, CoreMLFormat(), COREML)


if __name__ == "__main__":
    raise SystemExit(main())
