"""What a cross-validation takes on GPUs, on paper: hours and price on 1, 8 and 64, from a published training rate.

    python benchmarks/fold_costs.py
    python benchmarks/fold_costs.py --stages 128x40,256x60 --trials 12 --price 1.5
    python benchmarks/fold_costs.py --rate 331                          # of EfficientNet-B4

Nothing is run. The rate is that of EfficientNet-B0 at 224 pixels in mixed precision on one A100 with 80 GB, 2489 images
a second, and 16652 on eight, as NVIDIA measured it (DeepLearningExamples, PyTorch, EfficientNet, container 21.03);
--share says how much of it another loop is taken to reach. Images of other sides count by their pixels. Views are drawn
on CPU cores meanwhile, so that the slower of both counts. The GPUs of machines with eight are dealt out in the way that
ends first, of equals with the fewest to a fold: several folds at a time, several GPUs of a machine to a fold, or both.
All are paid until the end.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.fold_costs`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

import math
from dataclasses import asdict, dataclass, replace

from dermedge.console import entry, screen
from edge.data.official import OFFICIAL
from edge.errors import GOOD, InputError, at_least_one
from edge.files import write_json
from train._options import Split
from train._recipe import parse_stages

from ._flags import add_out

RATE, RATE_SIDE = 2489.0, 224  # images a second in training and their side in pixels, on one A100 with 80 GB
EIGHT = 16652 / 2489  # times as fast on eight of one machine
PER_MACHINE = 8
DRAW_MS, DRAW_SIDE = 2.5, 192  # processor time to draw a view of that side; docs/training.md
GPUS = (1, 8, 64)


@dataclass(frozen=True)
class Work:
    """A cross-validation or several, and what is assumed of the machines."""

    images: int
    folds: int
    held_back: float
    stages: tuple[tuple[int, int], ...]  # (side in pixels, epochs)
    trials: int = 1
    rate: float = RATE
    share: float = 0.5
    cores: int = 16  # a GPU
    fixed_s: float = 90.0  # of a fold: to start, to read what is cached, to judge, to write

    @property
    def learned(self) -> float:
        """Images that a fold learns from."""
        return self.images * (1 - 1 / self.folds) * (1 - self.held_back)

    def fold_s(self, gpus: int) -> float:
        """Seconds of a fold on so many GPUs."""
        trained = self.learned * sum(epochs * (side / RATE_SIDE) ** 2 for side, epochs in self.stages)
        drawn_ms = DRAW_MS * self.learned * sum(epochs * (side / DRAW_SIDE) ** 2 for side, epochs in self.stages)
        on_gpus = trained / (self.rate * self.share * times_as_fast(gpus))
        on_cores = drawn_ms / 1000 / (self.cores * gpus)
        return max(on_gpus, on_cores) + self.fixed_s


@dataclass(frozen=True)
class Plan:
    """How GPUs are dealt out."""

    gpus: int
    at_a_time: int  # folds
    each: int  # GPUs to a fold
    hours: float
    price: float  # of all GPUs until the end

    @property
    def words(self) -> str:
        return f"{self.at_a_time} fold(s) at a time, {self.each} GPU(s) each"


def times_as_fast(gpus: int) -> float:
    """As one GPU, on 1 to 8 of a machine: a power of their number through the two that were measured."""
    return gpus ** (math.log(EIGHT) / math.log(PER_MACHINE))


def soonest(work: Work, gpus: int, price: float) -> Plan:
    """The way of dealing out that ends first; `price` of a GPU and hour."""
    folds, machines, of_each = work.folds * work.trials, -(-gpus // PER_MACHINE), min(gpus, PER_MACHINE)
    plans = []
    for each in range(1, of_each + 1):
        at_a_time = min(folds, machines * (of_each // each))
        hours = math.ceil(folds / at_a_time) * work.fold_s(each) / 3600
        plans.append(Plan(gpus, at_a_time, each, hours, hours * gpus * price))
    return min(plans, key=lambda plan: plan.hours)


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    usual = Split()
    images = sum(OFFICIAL["isic_2019"]["training"].values())
    p.add_argument("--images", type=int, default=images, help="default: %(default)s, as ISIC 2019 has")
    p.add_argument("--folds", type=int, default=usual.folds, help="default: %(default)s")
    p.add_argument("--held-back", type=float, default=usual.held_back, help="share (default: %(default)s)")
    p.add_argument("--stages", default="224x60", help="as of `dermedge train` (default: %(default)s)")
    p.add_argument("--trials", type=int, default=1, help="of a search, each on every fold (default: 1)")
    p.add_argument("--rate", type=float, default=RATE, help="images/s of one GPU at 224 pixels (default: %(default)s)")
    p.add_argument("--share", type=float, default=0.5, help="of that rate that is reached (default: %(default)s)")
    p.add_argument("--cores", type=int, default=16, help="CPU cores to a GPU that draw views (default: %(default)s)")
    p.add_argument("--price", type=float, default=2.0, help="of a GPU and hour, in any currency (default: %(default)s)")
    p.add_argument("--gpus", type=int, nargs="+", default=list(GPUS), help="default: 1 8 64")
    add_out(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    if any(gpus > PER_MACHINE and gpus % PER_MACHINE for gpus in args.gpus):
        raise InputError(f"`gpus` are up to {PER_MACHINE}, or whole machines of {PER_MACHINE}; got {args.gpus}")
    at_least_one(images=args.images, trials=args.trials, cores=args.cores, gpus=min(args.gpus))
    replace(Split(), folds=args.folds, held_back=args.held_back).check()
    for name in ("rate", "share", "price"):
        if not 0 < getattr(args, name) < math.inf:
            raise InputError(f"`{name}` is above 0, got {getattr(args, name)}")
    work = Work(
        args.images, args.folds, args.held_back, parse_stages(args.stages), args.trials, args.rate, args.share,
        args.cores,
    )  # fmt: skip
    plans = [soonest(work, gpus, args.price) for gpus in args.gpus]
    screen().print(
        f"{args.trials} x {args.folds} folds of {work.learned:.0f} images, {args.stages}, {args.rate * args.share:.0f} "
        f"images/s on one GPU: {work.fold_s(1) / 60:.1f} minutes a fold on one",
        soft_wrap=True,
    )
    for plan in plans:
        screen().print(
            f"{plan.gpus} GPU(s): {plan.hours:.2f} hours, price {plan.price:.2f} ({plan.words})", soft_wrap=True
        )
    write_json(args.out / "fold_costs.json", {"work": asdict(work), "plans": [asdict(plan) for plan in plans]})
    return GOOD


if __name__ == "__main__":
    raise SystemExit(main())
