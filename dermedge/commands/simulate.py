"""Run exported files as phones would, on this machine, and say how far each is from the model.

    dermedge simulate build/hierattn_xs

Each .tflite runs three ways: on XNNPACK, on XNNPACK with fp16 forced (what ARMv8.2 phones do), and on the
reference kernels; an .mlpackage by the interpreter, an .aimodel by Core AI's own runtime where that is installed. Times
are this host's. `dermedge parity` judges; this only looks.
"""

from __future__ import annotations

import argparse

from dermedge.console import entry, screen
from dermedge.flags import add_build_and_photographs, add_threads


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_build_and_photographs(p)
    p.add_argument("--images", type=int, default=16, help="how many photographs (default: %(default)s)")
    add_threads(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from edge.build import open_build
    from edge.questions.parity.run import observe_files

    build = open_build(args.build, checkpoint=args.checkpoint)
    seen = observe_files(
        build, data=args.data, skip_unreadable=args.skip_unreadable, limit=args.images, threads=args.threads
    )
    screen().print(seen.table())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
