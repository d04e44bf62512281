"""How fast training's loader reads a million photographs from shards, against training, and in what memory.

    python benchmarks/shards.py --images 1000000

Draws squares a margin larger than --side, as augmentation wants them, writes them as shards (`edge.data.shards`), and
opens these as any set. In turn the loader alone draws
batches from all over the set, and hierattn_xs is trained on photographs of it by `train/_trainer.py`; both have the
usual recipe, without descriptors and guide, which help where photographs are few. A step alone is training without what
its loader takes. The shards' pages are dropped from memory before each round, so that the loader reads from the disk.
One process, one thread; ratios by processor time do not mind other programs. Memory is this process's, by /proc:
anonymous pages, and the most that it had with pages of files. Prints it and writes --out/shards.json; the shards are
deleted afterwards, unless --keep, or an earlier run kept them.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.shards`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dermedge.console import entry, screen, third_party_noise_into
from dermedge.flags import add_rounds
from edge.data.table import Photo, PhotoSet
from edge.errors import GOOD, InputError, at_least_one
from edge.files import scratch_in, write_json
from edge.labels import PAD_UFES_20
from edge.progress import track
from train._augment import wide_side

from ._flags import add_out
from ._watched import MB, status

if TYPE_CHECKING:
    from train._trainer import Trainer

BATCH = 16
TRAINED = 256  # photographs of a pass of training
OF_A_PATIENT = 4


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--images", type=int, default=1_000_000, help="drawn photographs (default: %(default)s)")
    p.add_argument("--side", type=int, default=64, help="input side in pixels (default: %(default)s)")
    p.add_argument("--model", default="hierattn_xs", help="what is trained (default: %(default)s)")
    p.add_argument("--batches", type=int, default=200, help="of the loader in a round (default: %(default)s)")
    p.add_argument("--shards", type=Path, help="a folder that --keep left")
    p.add_argument("--keep", action="store_true", help="leave the shards in --out")
    add_rounds(p, "passes of each")
    p.set_defaults(rounds=5)
    add_out(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    at_least_one(rounds=args.rounds, batches=args.batches)
    if args.images < TRAINED:
        raise InputError(f"`images` is at least {TRAINED}, got {args.images}")
    if args.shards is None:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as other:  # for its memory
            folder, new = other.submit(draw, args.out, args.images, wide_side(args.side)).result()
    else:
        folder, new = args.shards, False
    try:
        facts = measured(args, folder)
    finally:
        if new and not args.keep:
            shutil.rmtree(folder)
    write_json(args.out / "shards.json", facts)
    screen().print(in_words(facts), highlight=False)
    return GOOD


def in_words(facts: dict) -> str:
    return (
        f"{facts['images']} photographs in {facts['megabytes']:.0f} MB of shards, opened in {facts['opened_s']:.0f} s; "
        f"{facts['loader_images_per_s']:.0f} images/s by the loader alone, {facts['training_images_per_s']:.0f} by "
        f"training {facts['model']} at {facts['side']} pixels with it; by processor time the loader is "
        f"{facts['loader_by_training']:.2f} times as fast as training with it, {facts['loader_by_step']:.2f} times as "
        f"a step alone; {facts['anonymous_mb']:.0f} MB of memory, {facts['most_mb']:.0f} MB at the most with pages of "
        "files"
    )


def measured(args: argparse.Namespace, folder: Path) -> dict:
    """What reading the shards takes."""
    import torch

    from edge.data.readers import open_photos
    from edge.data.squares import load_squares
    from train._batches import Order, Squares, loader, views_for
    from train._loss import chances
    from train._recipe import Recipe

    torch.set_num_threads(1)
    begun = time.perf_counter()
    photos = open_photos(folder)
    opened = time.perf_counter() - begun
    recipe = Recipe(
        model=args.model, stages=((args.side, args.rounds + 1),), batch=BATCH, descriptors=0.0, guide=0.0
    )  # fmt: skip
    images = load_squares(photos, wide_side(args.side))[1]
    squares = Squares(images, np.array(photos.targets), np.zeros(len(photos), int))
    views = views_for(recipe, squares, args.side, len(photos.classes))
    drawn = chances(squares.targets, squares.domains, recipe.evenness)

    def load(number: int) -> int:
        order = Order(len(views), BATCH, epoch=number, seed=0, rank=0, world=1, start=0, chances=drawn)
        return sum(len(batch[1]) for batch in islice(loader(views, order, workers=0), args.batches))

    with scratch_in(args.out) as work, third_party_noise_into(args.out / "benchmark.log"):
        trainer = trainer_on(recipe, replace(photos, photos=photos.photos[:TRAINED]), work)

        def train(_number: int) -> int:
            trainer.epoch()
            trainer.at.epoch, trainer.at.step = trainer.at.epoch + 1, 0
            return trainer.steps_an_epoch * BATCH

        seconds = np.array(list(timed(args.rounds, folder, load, train)))
    own = status(os.getpid())
    (loader_s, loader_cpu), (training_s, training_cpu) = np.median(seconds, axis=0)  # an image
    return {
        "images": len(photos), "model": args.model, "side": args.side, "batch": BATCH, "rounds": args.rounds,
        "megabytes": sum(path.stat().st_size for path in folder.iterdir()) / 1e6, "opened_s": opened,
        "loader_images_per_s": 1 / loader_s, "training_images_per_s": 1 / training_s,
        "loader_by_training": training_cpu / loader_cpu, "loader_by_step": (training_cpu - loader_cpu) / loader_cpu,
        "anonymous_mb": own["RssAnon"] / MB, "most_mb": own["VmHWM"] / MB,
    }  # fmt: skip


def trainer_on(recipe, photos: PhotoSet, work: Path) -> Trainer:
    """Training on photographs in shards, as a run has it."""
    from edge.checkpoint import Preprocess
    from edge.data.squares import load_squares
    from edge.models import normalisation
    from edge.preprocess import PREPROCESS_VERSION
    from train._batches import Squares
    from train._options import Machine
    from train._trainer import Clock, Trainer
    from train._training_data import TrainingData

    images = load_squares(photos, wide_side(recipe.side))[1]
    squares = Squares(images, np.array(photos.targets), np.zeros(len(photos), int))
    data = TrainingData(len(photos.classes), lambda side: squares, lambda side: (images[:1], squares.targets[:1]))
    preprocess = Preprocess(PREPROCESS_VERSION, recipe.side, *normalisation(recipe.model))
    trainer = Trainer(recipe, preprocess, data, folder=work, machine=Machine(threads=1))
    trainer.clock = Clock(0.0, 0.0, told=True)  # it need not say how long it will take
    return trainer


def timed(rounds: int, folder: Path, *passes: Callable[[int], int]) -> Iterator[list[tuple[float, float]]]:
    """A round: for each pass seconds an image, of the clock and of the processor. The first is not counted."""
    for number in track(range(rounds + 1), "loading and training", rounds + 1):
        forget(folder)
        row = []
        for each in passes:
            begun, busy = time.perf_counter(), time.process_time()
            images = each(number)
            row.append(((time.perf_counter() - begun) / images, (time.process_time() - busy) / images))
        if number:
            yield row


def forget(folder: Path) -> None:
    """Have the system drop the shards' pages, so that they are read from the disk again."""
    for path in folder.glob("*.tar"):
        file = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(file)


def draw(out: Path, images: int, side: int) -> tuple[Path, bool]:
    """Shards of so many drawn photographs of four to a patient, of the classes of PAD-UFES-20.

    The folder, and whether it was not there before.
    """
    from edge.data.shards import writing

    codes = [label.code for label in PAD_UFES_20]
    photos = PhotoSet(
        "drawn", PAD_UFES_20,
        tuple(
            Photo(Path("drawn"), f"{number}.jpg", codes[number % len(codes)], f"p{number // OF_A_PATIENT}", "drawn")
            for number in range(images)
        ),
        synthetic=True,
    )  # fmt: skip
    facts = writing.facts_of(photos, {"side": side, "drawn_by": "benchmarks/shards.py"})
    folder, part = writing.places(photos, facts, out)
    if folder.is_dir():
        return folder, False
    part.mkdir(parents=True, exist_ok=True)
    for first in range(0, images, writing.PER_SHARD):
        if not (part / writing.shard_name(first // writing.PER_SHARD)).exists():
            own = photos.photos[first : first + writing.PER_SHARD]
            writing.write_tar(part, first, ((photo, picture(first + n, side)) for n, photo in enumerate(own)))
    writing.finish(photos, facts, part, folder)
    return folder, True


def picture(number: int, side: int) -> bytes:
    """A smooth picture that no other number has, as JPEG."""
    coarse = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
    done, content = cv2.imencode(".jpg", cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC))
    assert done
    return content.tobytes()


if __name__ == "__main__":
    raise SystemExit(main())
