"""How long .onnx files of one network take in ONNX Runtime, by the time of the first of them.

    python benchmarks/onnx_times.py build/hierattn_xs/hierattn_xs-fp32.onnx build/hierattn_xs/hierattn_xs-int8.onnx

Every file answers the same picture once a round, on one thread, so that a slow moment affects all. What counts is the
processor time of this process, which other programs do not lengthen much; the ratios are those of the medians, and of
a phone they say nothing. Prints a table.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.onnx_times`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dermedge.console import entry, screen
from dermedge.flags import add_rounds
from edge.errors import GOOD, InputError, at_least_one
from edge.progress import track

WARM_UP = 3  # rounds that do not count


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("files", type=Path, nargs="+", help="two or more .onnx files that take the same side")
    add_rounds(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    at_least_one(rounds=args.rounds)
    times = processor_times(args.files, args.rounds)
    screen().print(f"{'file':40} ratio  quartiles", markup=False, highlight=False)
    for path, own in zip(args.files, times, strict=True):
        low, middle, high = np.percentile(own, [25, 50, 75]) / np.median(times[0])
        screen().print(f"{path.name:40} {middle:5.2f}  {low:.2f} {high:.2f}", markup=False, highlight=False)
    return GOOD


def processor_times(files: Sequence[Path], rounds: int) -> list[list[float]]:
    """Seconds of processor time of every file in every round that counts."""
    from edge.runtimes.onnx import OnnxRuntime

    if len(files) < 2:
        raise InputError(f"expected two or more .onnx files, got {len(files)}")
    runtimes = [OnnxRuntime(path) for path in files]
    sides = {runtime.side for runtime in runtimes}
    if len(sides) > 1:
        raise InputError(f"expected files that take one side, got {', '.join(map(str, sorted(sides)))} pixels")
    side = sides.pop()
    picture = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    times: list[list[float]] = [[] for _ in runtimes]
    for number in track(range(WARM_UP + rounds), "processor time", WARM_UP + rounds):
        for runtime, own in zip(runtimes, times, strict=True):
            begun = time.process_time()
            runtime.run(picture)
            if number >= WARM_UP:
                own.append(time.process_time() - begun)
    return times


if __name__ == "__main__":
    raise SystemExit(main())
