"""Write a model as .onnx files, each compared with the model it came from before it is called good.

    python convert/to_onnx.py --model hierattn_xs

Writes build/<model>/<model>-<recipe>.onnx and manifest.json. Takes float32 RGB 0..255, (1, S, S, 3), and returns
calibrated `probabilities`: normalisation, temperature and softmax are inside. Every file is run by ONNX Runtime and
compared with the model. Photographs to judge on come from --data or $DERMEDGE_PHOTOS; without either, from the embedded
synthetic sample. An extra: pip install -e '.[onnx]'.
Exit code 1 if a file fails its gate; that file is then not left behind.
"""

from __future__ import annotations

import argparse

from dermedge.console import entry
from edge.recipes import ONNX

from ._conversion import add_flags, run


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_flags(p, ONNX)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from edge.runtimes.onnx import check_installed

    check_installed(converting=True)
    return run(args, "onnx")


if __name__ == "__main__":
    raise SystemExit(main())
