"""How many photographs a second training takes, against a plain PyTorch loop over the same photographs and views.

    python benchmarks/training.py --data photographs/

The plain loop (benchmarks/_plain_loop.py) decodes each photograph in each pass and trains on contiguous float32
tensors. It augments as ours does, with the same function, and has what a tutorial has: DataLoader, cross entropy,
AdamW. Parts of ours are added to it one by one, and ours is measured as it is (`train/_trainer.py`), which averages
weights and clips gradients beside, and keeps memory that it frees (`train/_kept_memory.py`). Nothing is blended
(mix-up), and the weights are random, which takes as long.
One process, which also prepares the batches; passes alternate, so that a slow moment affects all, and each that counts
follows one of the same loop that does not. Ratios can be compared between machines, photographs a second cannot; ratios
of processor time do not mind other programs. Prints a table and writes --out/training.json.

    python benchmarks/training.py --data photographs/ --authors --side 256

compares with HierAttn's training as its authors published it (benchmarks/_authors_loop.py: their network, transforms,
loop and optimiser), at the same side and batch; theirs learns from batches of 64.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.training`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dermedge.console import entry, screen, third_party_noise_into
from dermedge.flags import add_data, add_rounds
from edge.errors import GOOD, InputError, at_least_one
from edge.files import scratch_in, write_json
from edge.progress import track

from ._flags import add_out

if TYPE_CHECKING:
    from edge.data.table import PhotoSet

MODEL = "efficientnet_lite0"
BATCH = 16
PLAIN, HALF = "plain loop", "plain loop, bfloat16"
AUTHORS, AUTHORS_MODEL = "authors' loop and network", "hierattn_xs"
COMPARED = {  # ours -> the loop that it is compared with: (a) the same precision and views, (b) what we add to both
    "dermedge, float32": PLAIN,
    "dermedge, bfloat16": HALF,
    "dermedge, bfloat16, views kept": PLAIN,
}
Epoch = Callable[[], None]


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", help=f"any model that gives a class (default: {MODEL}, with --authors {AUTHORS_MODEL})")
    p.add_argument("--side", type=int, default=192, help="input side in pixels (default: %(default)s)")
    add_data(p)
    p.add_argument("--images", type=int, default=64, help="photographs of a pass (default: %(default)s)")
    p.add_argument("--threads", type=int, default=1, help="of the CPU (default: %(default)s)")
    p.add_argument("--authors", action="store_true", help="compare with HierAttn's own training, of hierattn_xs")
    add_rounds(p, "passes of each loop")
    p.set_defaults(rounds=5)
    add_out(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    at_least_one(rounds=args.rounds, threads=args.threads)
    if args.authors and args.model not in (None, AUTHORS_MODEL):
        raise InputError(f"--authors trains {AUTHORS_MODEL}, got {args.model}; leave --model out")
    args.model = args.model or (AUTHORS_MODEL if args.authors else MODEL)
    if args.images < BATCH or args.images % BATCH:
        raise InputError(f"--images is a multiple of {BATCH}, the batch; got {args.images}")
    from edge.checkpoint import check_side
    from edge.data.selection import find_sets
    from edge.models import gives_masks

    check_side(args.side, where="--side")
    if gives_masks(args.model):
        raise InputError(f"{args.model} gives a mask beside the class; the plain loop trains the class alone")
    photos = first_photographs(find_sets(args.data)[0], args.images)
    with scratch_in(args.out) as work, third_party_noise_into(args.out / "benchmark.log"):
        loops, machine = prepared(args, photos, work)
        seconds = timed(loops, args.rounds)
    compared = dict.fromkeys(loops, AUTHORS) if args.authors else COMPARED
    rows = [row(name, seconds, args.images, compared) for name in loops]
    shown = {"model": args.model, "side": args.side, "threads": args.threads, "rounds": args.rounds, "machine": machine}
    data = {"name": photos.name, "images": len(photos), "megapixels_median": megapixels(photos)}
    write_json(args.out / "training.json", {**shown, "data": data, "rows": rows})
    screen().print(
        f"{args.model}, {args.side} x {args.side}, {args.threads} thread(s), {machine}, {len(photos)} photographs of "
        f"{photos.name} ({data['megapixels_median']:.2f} megapixels, median), medians of {args.rounds} passes"
    )
    for one in rows:
        screen().print(in_words(one), highlight=False)
    return GOOD


def first_photographs(photos: PhotoSet, images: int) -> PhotoSet:
    """So many of the set, all over it, repeated where it has fewer."""
    chosen = np.linspace(0, len(photos) - 1, images).round().astype(int)
    return replace(photos, photos=tuple(photos.photos[index] for index in chosen))


def megapixels(photos: PhotoSet) -> float:
    from edge.capture import upright_size

    return float(np.median([np.prod(upright_size(photo.path)) for photo in photos.photos])) / 1e6


def prepared(args: argparse.Namespace, photos: PhotoSet, work: Path) -> tuple[dict[str, Epoch], str]:
    """By name, what trains one pass over the photographs."""
    import torch

    from edge.checkpoint import Preprocess
    from edge.data.squares import load_squares
    from edge.models import create_model, normalisation
    from edge.models.hierattn import VARIANTS
    from edge.preprocess import PREPROCESS_VERSION
    from train._augment import MARGIN
    from train._batches import Squares, Views
    from train._options import Machine
    from train._recipe import Recipe
    from train._trainer import Clock, Trainer
    from train._training_data import TrainingData

    from ._authors_loop import AuthorsLoop, Photographs, Published
    from ._page import machine
    from ._plain_loop import Additions, Decoded, PlainLoop

    torch.set_num_threads(args.threads)
    wide, classes = round(args.side * MARGIN), len(photos.classes)
    recipe = Recipe(
        model=args.model, stages=((args.side, 2 * args.rounds),), batch=BATCH, learning_rate=5e-4,
        evenness=0.0, mixup=0.0, descriptors=0.0, guide=0.0,
    )  # fmt: skip
    preprocess = Preprocess(PREPROCESS_VERSION, args.side, *normalisation(args.model))
    targets, domains = np.array(photos.targets), np.zeros(len(photos), int)
    decoded_once = Squares(load_squares(photos, wide)[1], targets, domains)
    decoded_each_time = Squares(Decoded(photos.photos, wide), targets, domains)  # type: ignore[arg-type]

    def plain(squares: Squares, *, variants: int = 0, **added: bool) -> Epoch:
        torch.manual_seed(0)
        views = Views(squares, args.side, classes, seed=0, strength=recipe.augment, variants=variants)
        return PlainLoop(
            create_model(args.model, classes), views, preprocess, batch=BATCH, rate=recipe.learning_rate,
            added=Additions(**added),
        ).epoch  # fmt: skip

    def ours(name: str, precision: str, variants: int = 0) -> Epoch:
        data = TrainingData(classes, lambda side: decoded_once, lambda side: (decoded_once.images[:0], targets[:0]))
        trainer = Trainer(
            replace(recipe, variants=variants), preprocess, data, folder=work / name,
            machine=Machine(precision=precision, threads=args.threads),
        )  # fmt: skip
        trainer.clock = Clock(0.0, 0.0, told=True)  # it need not say how long it will take

        def epoch() -> None:
            trainer.epoch()
            trainer.at.epoch, trainer.at.step = trainer.at.epoch + 1, 0

        return epoch

    def theirs(*, own: bool = False, **added: bool) -> Epoch:
        torch.manual_seed(0)
        net = create_model(args.model, classes) if own else Published(VARIANTS[args.model], classes)
        photographs = Photographs(photos.photos, photos.targets, args.side)
        return AuthorsLoop(net, photographs, batch=BATCH, **added).epoch

    loops = (
        {
            AUTHORS: theirs(),
            "  and our network": theirs(own=True),
            "  and channels last": theirs(channels_last=True),
            "  and bfloat16": theirs(bfloat16=True),
        }
        if args.authors
        else {
            PLAIN: plain(decoded_each_time),
            "  and photographs decoded once": plain(decoded_once),
            "  and channels last": plain(decoded_each_time, channels_last=True),
            "  and views kept": plain(decoded_each_time, variants=1),
            HALF: plain(decoded_each_time, bfloat16=True),
            "  and bfloat16, fast gradients": plain(decoded_each_time, bfloat16=True, fast_depthwise=True),
        }
    )
    for name, precision, variants in zip(COMPARED, ("32-true", "bf16-mixed", "bf16-mixed"), (0, 0, 1), strict=True):
        loops[name] = ours(name.replace(" ", "_"), precision, variants)
    return loops, machine()


def timed(loops: Mapping[str, Epoch], rounds: int) -> dict[str, np.ndarray]:
    """Seconds of each pass that counts, (rounds, 2): of the clock, and of this process on the processor."""
    from train._kept_memory import KeptMemory

    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in loops}
    for _ in track(range(rounds), "training", rounds):
        for name, epoch in loops.items():
            with KeptMemory() if name in COMPARED else nullcontext():  # ours keeps it for a whole run, as does `fit`
                epoch()  # does not count: a run takes its memory and draws views that are kept in its first pass only
                begun, busy = time.perf_counter(), time.process_time()
                epoch()
                seconds[name].append((time.perf_counter() - begun, time.process_time() - busy))
    return {name: np.array(each) for name, each in seconds.items()}


def row(
    name: str, seconds: Mapping[str, np.ndarray], images: int, compared: Mapping[str, str] = COMPARED
) -> dict[str, Any]:
    """Medians, and how many times faster than the loop it is compared with: a median over passes side by side."""
    peer = compared.get(name, PLAIN)
    ratios = np.median(seconds[peer] / seconds[name], axis=0)
    return {
        "name": name,
        "images_per_second": float(images / np.median(seconds[name][:, 0])),
        "compared_with": peer,
        "times_as_fast": float(ratios[0]),
        "times_as_fast_by_processor_time": float(ratios[1]),
    }


def in_words(figures: dict[str, Any]) -> str:
    return (
        f"{figures['name']:32} {figures['images_per_second']:6.1f} images/s  {figures['times_as_fast']:5.2f} times, "
        f"{figures['times_as_fast_by_processor_time']:5.2f} by processor time, the {figures['compared_with']}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
