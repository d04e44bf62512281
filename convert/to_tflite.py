"""Write a model as .tflite files, each compared with the model it came from before it is called good.

    python convert/to_tflite.py --model hierattn_xs

Writes build/<model>/<model>-<recipe>.tflite and manifest.json. Takes float32 RGB 0..255, (1, S, S, 3), and
returns calibrated probabilities: normalisation, temperature and softmax are inside. Photographs to judge on
come from --data or $DERMEDGE_PHOTOS; without either, from the embedded synthetic sample.
Exit code 1 if a file fails its gate; that file is then not left behind.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m convert.to_tflite`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "convert"

from edge.console import entry

from ._flags import add_flags
from ._recipes import TFLITE


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_flags(p, TFLITE)
    return p


@entry
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from ._export import export
    from ._tflite_format import TFLiteFormat

    return export(args, TFLiteFormat(), TFLITE)


if __name__ == "__main__":
    raise SystemExit(main())
