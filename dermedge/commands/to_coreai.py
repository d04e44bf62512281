"""Write a model as Core AI files (.aimodel, iOS 27), each checked against the model it came from.

    python convert/to_coreai.py --model hierattn_xs

Writes build/<model>/<model>-<recipe>.aimodel and manifest.json. Takes the bytes of an RGB image, uint8 (1, S, S, 3),
and returns calibrated `probabilities`: normalisation, temperature and softmax are inside. Every file is run by Core
AI's own runtime, on Linux too, and compared with the model. Beta, and an extra: pip install -e '.[coreai]'.
Exit code 1 if a file fails its check; that file is then not left behind.
"""

from __future__ import annotations

import argparse

from dermedge.console import entry
from edge.recipes import COREAI

from ._conversion import add_flags, run


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_flags(p, COREAI)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from edge.runtimes.coreai import check_installed

    check_installed(converting=True)
    return run(args, "coreai")


if __name__ == "__main__":
    raise SystemExit(main())
