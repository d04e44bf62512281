"""How long the Core ML interpreter takes for an image, against the same network in torch: fp32, fp16 and int8.

    python benchmarks/coreml.py --model hierattn_xs --side 128

One thread, one process, rounds interleaved: torch eager, then each package, and again. Ratios can be compared between
machines, milliseconds cannot. They say how long a parity run takes, nothing about a phone. Prints a table and writes
--out/coreml.json.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.coreml`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

from pathlib import Path
from typing import Any

import numpy as np

from dermedge.console import entry, screen, third_party_noise_into
from dermedge.flags import add_rounds
from edge.errors import GOOD, at_least_one
from edge.files import scratch_in, write_json
from edge.progress import busy

from ._flags import add_network, add_out
from ._side_by_side import Way, summary, timed

RECIPES = ("fp32", "fp16", "int8-weights")


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_network(p)
    add_rounds(p, "images of each")
    add_out(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    at_least_one(rounds=args.rounds)
    with scratch_in(args.out) as work, third_party_noise_into(args.out / "benchmark.log"):
        with busy("converting"):
            runs, machine = prepared(args.model, args.side, work)
        image = np.random.default_rng(0).integers(0, 256, (args.side, args.side, 3), dtype=np.uint8)
        times = timed(runs, image, args.rounds, "timing")
    rows: list[dict[str, Any]] = [
        {"name": name} | summary(milliseconds, times["torch"]) for name, milliseconds in times.items()
    ]
    write_json(
        args.out / "coreml.json", {"model": args.model, "side": args.side, "rounds": args.rounds, "machine": machine,
                                   "rows": rows}
    )  # fmt: skip
    screen().print(f"{args.model}, {args.side} x {args.side}, 1 thread, {machine}, median of {args.rounds}")
    for row in rows:
        screen().print(
            f"{row['name']:13} {row['ms']:7.2f} ms  {row['ratio']:5.2f} of torch  (± {row['spread']:.2f} ms)"
        )
    return GOOD


def prepared(model: str, side: int, work: Path) -> tuple[dict[str, Way], str]:
    """What takes a uint8 image (S, S, 3): the network in torch, and the interpreter with each package."""
    import torch

    from convert._coreml.program import exported, float_program, rewritten, with_int8_weights
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


def one_by_one(runtime: Any) -> Way:
    return lambda image: runtime.run(image[None])


if __name__ == "__main__":
    raise SystemExit(main())
