"""How near a training step comes to what the processor can do, on this machine's GPU or CPU.

    python benchmarks/roofline.py --model hierattn_xs --side 256
    python benchmarks/roofline.py --model efficientnet_lite0 --side 224 --batch 64 --precision bf16-mixed

Trains on drawn pictures as `dermedge train` does (`train/_trainer.py`), on the first GPU where there is one. Prints
images a second of the whole loop and of its steps alone, the share of the time that steps take (the rest prepares
batches), and the share of the roofline (Williams et al. 2009): every operation that PyTorch starts needs at least

    max(floating-point operations / rate of a matrix product, bytes read and written / rate of a copy)

seconds, with both rates measured in the same run and precision; the share is the sum of these by the time of a step.
Where small maps stay in a cache between two operations, they move faster than a copy, and the share is too high. Writes
--out/roofline.json.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.roofline`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dermedge.console import entry, screen, third_party_noise_into
from dermedge.flags import add_rounds
from edge.errors import GOOD, InputError, at_least_one
from edge.files import scratch_in, write_json

from ._flags import add_out

if TYPE_CHECKING:
    from train._trainer import Trainer

CLASSES = 6
STEPS = 4  # of a pass
PRECISIONS = ("auto", "32-true", "bf16-mixed")
SIDES = (1024, 2048, 4096)  # of matrices; the fastest counts
COPIED = 2**28  # bytes, more than caches hold


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", default="hierattn_xs", help="any model that gives a class (default: %(default)s)")
    p.add_argument("--side", type=int, default=256, help="input side in pixels (default: %(default)s)")
    p.add_argument("--batch", type=int, default=16, help="images of a step (default: %(default)s)")
    p.add_argument("--precision", choices=PRECISIONS, default="auto", help="as of `dermedge train` (default: auto)")
    p.add_argument("--threads", type=int, default=1, help="of the CPU (default: %(default)s)")
    add_rounds(p, f"passes of {STEPS} steps that count")
    p.set_defaults(rounds=3)
    add_out(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    at_least_one(rounds=args.rounds, threads=args.threads)
    from edge.checkpoint import check_side
    from edge.models import gives_masks

    check_side(args.side, where="--side")
    if gives_masks(args.model):
        raise InputError(f"{args.model} gives a mask beside the class; a step of the class alone is measured")
    with scratch_in(args.out) as work, third_party_noise_into(args.out / "benchmark.log"):
        figures = measured(args, work)
    write_json(args.out / "roofline.json", figures)
    screen().print(in_words(figures), highlight=False)
    return GOOD


def measured(args: argparse.Namespace, work: Path) -> dict[str, Any]:
    """The figures of one model, side, batch and precision."""
    import torch

    from train._kept_memory import KeptMemory

    from ._page import machine
    from ._work import counted

    torch.set_num_threads(args.threads)
    trainer = trainer_of(args, work)
    device = trainer.fabric.device
    with KeptMemory():
        one_pass(trainer)  # does not count: it takes its memory, and a GPU chooses its kernels
        passes, steps = zip(*(timed_pass(trainer) for _ in range(args.rounds)), strict=True)
        with counted() as work_done:
            one_pass(trainer)
    rates = {str(dtype): product_rate(dtype, device) for dtype in work_done.dtypes}
    copied = copy_rate(device)
    step_s = float(np.median([second for each in steps for second in each]))
    in_steps = [sum(each) / whole for each, whole in zip(steps, passes, strict=True)]
    least_s = work_done.least_seconds(rates, copied) / STEPS
    return {
        "model": args.model,
        "side": args.side,
        "batch": args.batch,
        "precision": trainer.precision,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else machine(),
        "threads": args.threads,
        "images_per_second": args.batch * STEPS / float(np.median(passes)),
        "images_per_second_of_steps": args.batch / step_s,
        "share_of_time_in_steps": float(np.median(in_steps)),
        "operations_per_step": work_done.operations / STEPS,
        "bytes_per_step": work_done.bytes / STEPS,
        "product_rate": rates,
        "copy_rate": copied,
        "roofline_share": least_s / step_s,
    }


def trainer_of(args: argparse.Namespace, work: Path) -> Trainer:
    """What trains on drawn pictures, as `dermedge train` would."""
    from edge.checkpoint import Preprocess
    from edge.models import normalisation
    from edge.preprocess import PREPROCESS_VERSION
    from train._augment import MARGIN
    from train._batches import Squares
    from train._options import Machine
    from train._recipe import Recipe
    from train._trainer import Clock, Trainer
    from train._training_data import TrainingData

    recipe = Recipe(
        model=args.model, stages=((args.side, args.rounds + 2),), batch=args.batch, evenness=0.0, mixup=0.0,
        descriptors=0.0, guide=0.0,
    )  # fmt: skip
    recipe.check()
    draw, count, wide = np.random.default_rng(0), STEPS * args.batch, round(args.side * MARGIN)
    images = draw.integers(0, 256, (count, wide, wide, 3), dtype=np.uint8)
    targets = np.arange(count) % CLASSES
    squares = Squares(images, targets, np.zeros(count, int))
    data = TrainingData(CLASSES, lambda side: squares, lambda side: (images[:0], targets[:0]))
    trainer = Trainer(
        recipe, Preprocess(PREPROCESS_VERSION, args.side, *normalisation(args.model)), data, folder=work / "run",
        machine=Machine(precision=args.precision, threads=args.threads),
    )  # fmt: skip
    trainer.clock = Clock(0.0, 0.0, told=True)  # it need not say how long it will take
    return trainer


def one_pass(trainer: Trainer) -> None:
    trainer.epoch()
    trainer.at.epoch, trainer.at.step = trainer.at.epoch + 1, 0


def timed_pass(trainer: Trainer) -> tuple[float, list[float]]:
    """Seconds of a pass, and of each of its steps: forward, backward, the optimiser and the averaged weights."""
    seconds: list[float] = []
    step = trainer.step

    def timed(batch: Any) -> float:
        begun = finished(trainer.fabric.device)
        loss = step(batch)
        seconds.append(finished(trainer.fabric.device) - begun)
        return loss

    trainer.step = timed  # type: ignore[method-assign]
    try:
        begun = finished(trainer.fabric.device)
        one_pass(trainer)
        return finished(trainer.fabric.device) - begun, seconds
    finally:
        trainer.step = step  # type: ignore[method-assign]


def finished(device: Any) -> float:
    """The clock, when all that was started on the device is done."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def product_rate(dtype: Any, device: Any) -> float:
    """Floating-point operations a second of the fastest product of two square matrices."""
    import torch

    rates = []
    for side in SIDES if device.type == "cuda" else SIDES[:1]:
        matrix = torch.rand(side, side, device=device).to(dtype)
        rates.append(2 * side**3 / fastest(partial(torch.matmul, matrix, matrix), device))
    return max(rates)


def copy_rate(device: Any) -> float:
    """Bytes a second that a copy reads and writes."""
    import torch

    source = torch.zeros(COPIED, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * COPIED / fastest(lambda: target.copy_(source), device)


def fastest(run: Callable[[], object], device: Any, times: int = 8) -> float:
    """Seconds of the fastest of some runs, after one that does not count."""
    run()
    seconds = []
    for _ in range(times):
        begun = finished(device)
        run()
        seconds.append(finished(device) - begun)
    return min(seconds)


def in_words(figures: dict[str, Any]) -> str:
    rates = ", ".join(f"{rate / 1e9:,.0f} GFLOP/s in {dtype}" for dtype, rate in figures["product_rate"].items())
    return (
        f"{figures['model']}, {figures['side']} x {figures['side']}, batch {figures['batch']}, {figures['precision']}, "
        f"{figures['device']}, {figures['threads']} thread(s)\n"
        f"{figures['images_per_second']:.1f} images/s; steps alone {figures['images_per_second_of_steps']:.1f}, "
        f"{figures['share_of_time_in_steps']:.0%} of the time\n"
        f"a step: {figures['operations_per_step'] / 1e9:,.1f} GFLOP; {figures['bytes_per_step'] / 1e9:,.2f} GB moved\n"
        f"the processor: {rates}, {figures['copy_rate'] / 1e9:,.1f} GB/s\n"
        f"{figures['roofline_share']:.0%} of the roofline"
    )


if __name__ == "__main__":
    raise SystemExit(main())
