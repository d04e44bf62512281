"""How long the Core ML interpreter takes for an image, against the same network in torch: fp32, fp16 and int8.

    python benchmarks/coreml.py --model hierattn_xs --side 128

One thread, one process, rounds interleaved: torch eager, then each package, and again. The ratios travel, the
milliseconds are this machine's. They say how long a parity run takes, nothing about a phone. Prints a table and writes
--out/coreml.json.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.coreml`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edge.console import busy, entry, screen, third_party_noise_into, track
from edge.errors import GOOD, InputError
from edge.files import scratch_in, write_json

RECIPES = ("fp32", "fp16", "int8-weights")
WARM_UP = 3


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", default="hierattn_xs", help="a shipped model, or any with random weights")
    p.add_argument("--side", type=int, default=256, help="input side in pixels (default: %(default)s)")
    p.add_argument("--rounds", type=int, default=30, help="images of each that count (default: %(default)s)")
    p.add_argument("--out", type=Path, default=Path("build/benchmarks"), help="default: %(default)s")
    return p


@entry
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    if args.rounds < 1:
        raise InputError(f"--rounds is at least 1, got {args.rounds}")
    with scratch_in(args.out) as work, third_party_noise_into(args.out / "benchmark.log"):
        with busy("converting"):
            runs, machine = prepared(args.model, args.side, work)
        times = timed(runs, args.side, args.rounds)
    rows = [row(name, found, times["torch"]) for name, found in times.items()]
    write_json(
        args.out / "coreml.json", {"model": args.model, "side": args.side, "rounds": args.rounds, "machine": machine,
                                   "rows": rows}
    )  # fmt: skip
    screen().print(f"{args.model}, {args.side} x {args.side}, 1 thread, {machine}, median of {args.rounds}")
    for one in rows:
        screen().print(
            f"{one['name']:13} {one['ms']:7.2f} ms  {one['ratio']:5.2f} of torch  (± {one['spread']:.2f} ms)"
        )
    return GOOD


Run = Callable[[np.ndarray], object]


def prepared(model: str, side: int, work: Path) -> tuple[dict[str, Run], str]:
    """What takes a uint8 image (S, S, 3): the network in torch, and the interpreter with each package."""
    import torch

    from convert._coreml import exported, float_program, rewritten, with_int8_weights
    from edge.runtimes.coreml.classifier import CoreML
    from edge.runtimes.reference import Reference

    from ._files import checkpoint_at
    from ._page import machine

    torch.set_num_threads(1)
    checkpoint = checkpoint_at(model, side)
    reference = Reference(checkpoint)
    program = exported(checkpoint, rewritten(checkpoint))
    half = float_program(checkpoint, program, "fp16")
    models = {"fp32": float_program(checkpoint, program, "fp32"), "fp16": half, "int8-weights": with_int8_weights(half)}
    runs = {"torch": one_by_one(reference)}
    for recipe in RECIPES:
        path = work / f"{recipe}.mlpackage"
        models[recipe].save(str(path))
        runs[recipe] = one_by_one(CoreML(path))
    return runs, machine()


def one_by_one(runtime: Any) -> Run:
    return lambda image: runtime.run(image[None])


def timed(runs: dict[str, Run], side: int, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each run, round after round."""
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    found: dict[str, list[float]] = {name: [] for name in runs}
    for number in track(range(WARM_UP + rounds), "timing", WARM_UP + rounds):
        for name, run in runs.items():
            begun = time.perf_counter()
            run(image)
            if number >= WARM_UP:
                found[name].append(1e3 * (time.perf_counter() - begun))
    return found


def row(name: str, times: list[float], torch_times: list[float]) -> dict:
    """Median, half the distance of the quartiles, and the ratio to torch's median."""
    low, middle, high = np.percentile(times, [25, 50, 75])
    return {
        "name": name,
        "ms": float(middle),
        "spread": float(high - low) / 2,
        "ratio": float(middle / np.median(torch_times)),
    }


if __name__ == "__main__":
    raise SystemExit(main())
