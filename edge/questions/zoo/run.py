"""One run of the zoo: plan, convert, time, write."""

from __future__ import annotations

import argparse
import platform
import shutil
from datetime import date
from pathlib import Path

from dermedge.console import screen, third_party_noise_into
from edge.checkpoint import check_side
from edge.files import moved_into_place, write_json, write_text
from edge.models import create_model
from edge.progress import track

from . import plot
from .make import LOG, made
from .plan import YARDSTICK, formats_of, jobs, models_of, recipes_of
from .report import markdown, report, rows
from .times import ratios


def run(args: argparse.Namespace, *, command: str) -> list[str]:
    """Make the table; returns what a gate rejected."""
    models, recipes, formats = models_of(args.models), recipes_of(args.recipes), formats_of(args.formats)
    check_side(args.side, where="--side")
    with third_party_noise_into(args.out / LOG):
        sizes = {name: parameters(name) for name in dict.fromkeys([YARDSTICK, *models])}
    limit = args.limit * 1e6
    planned = jobs(
        models, recipes, formats, parameters=sizes, limit=limit, large=args.large, checkpoints=args.checkpoints
    )
    shown = [name for name in models if any(job.model == name for job in planned)]
    left_out = [name for name in models if name not in shown]
    if left_out:
        screen().print(f"left out, above {args.limit:g} M parameters (--large): {', '.join(left_out)}", soft_wrap=True)
    made(planned, args.out, side=args.side, data=args.data)
    times = {name: ratios(name, args.out, rounds=args.rounds) for name in track(shown, "timing", len(shown))}
    found = report(
        rows(planned, args.out, shown, times),
        command=command,
        date=date.today().isoformat(),
        machine=f"{platform.machine()}, {platform.system()}",
        rounds=args.rounds,
    )
    write_json(args.out / "zoo.json", found)
    figure = args.out / "zoo.svg"
    drawn = plot.write(found["models"], figure)
    page = markdown(found, figure.name if drawn else None)
    for folder in (args.out, *([args.docs] if args.docs else [])):
        write_text(folder / "zoo.md", page)
    if args.docs and drawn:
        copy(figure, args.docs / figure.name)
    screen().print(f"{args.out / 'zoo.md'}", soft_wrap=True)
    return [f"{model['model']} {pair}" for model in found["models"] for pair in model["rejected"]]


def parameters(model: str) -> int:
    return sum(value.numel() for value in create_model(model).parameters())


def copy(source: Path, target: Path) -> None:
    with moved_into_place(target) as path:
        shutil.copyfile(source, path)
