"""Every model by every recipe: plan, convert what is missing, time, and say what came of it."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import ClassVar

from edge.checkpoint import check_side, load
from edge.errors import InputError, at_least_one
from edge.models import MODELS, create_model
from edge.progress import Listener, listening, track
from edge.questions.zoo import plot
from edge.questions.zoo.document import markdown
from edge.questions.zoo.make import Convert, log, make_missing
from edge.questions.zoo.plan import FORMATS, RECIPES, YARDSTICK, checkpoint_for, jobs, known_names, models_of
from edge.questions.zoo.rows import rows
from edge.questions.zoo.section import SCHEMA
from edge.questions.zoo.times import ratios
from edge.report.header import header
from edge.report.question import QuestionReport

LIMIT = 6.0  # millions of parameters
SIDE = 224  # pixels, of random weights
ROUNDS = 30
DOCUMENT, FIGURE = "zoo.md", "zoo.svg"


@dataclass(frozen=True)
class ZooReport(QuestionReport):
    """Size, cost, time, SQNR, agreement and, where it is known, accuracy of every model."""

    name: ClassVar[str] = "zoo"

    def failing(self, *, strict: bool = False) -> list[str]:
        """Model, format and recipe of the files that a gate rejected."""
        return [f"{model['model']} {pair}" for model in self.report["models"] for pair in model["rejected"]]

    def other_files(self) -> dict[str, str]:
        return {DOCUMENT: markdown(self.report, FIGURE if plot.timed(self.report["models"]) else None)}

    def write(self, folder: str | Path) -> Path:
        """zoo.json, zoo.md, zoo.svg and the page; returns the page. InputError if `folder` cannot be written."""
        page = super().write(folder)
        plot.write(self.report["models"], Path(folder) / FIGURE)
        return page


def measure(
    models: Sequence[str] | None,
    *,
    out: Path,
    convert: Convert,
    recipes: Sequence[str] | None = None,
    formats: Sequence[str] | None = None,
    checkpoints: Path | None = None,
    limit: float = LIMIT,
    large: bool = False,
    side: int = SIDE,
    rounds: int = ROUNDS,
    command: str = "dermedge zoo",
    on_progress: Listener | None = None,
) -> ZooReport:
    """Make what is missing in `out/<model>/` with `convert`, which also knows what to judge on, and time the files.

    `models`, `recipes`, `formats`: names, or None for all. `checkpoints`: a folder with `<model>.safetensors` or
    `<model>/checkpoint.safetensors`, beside the shipped ones; a model without any gets random weights of input side
    `side`. `limit`: millions of parameters; models above it are left out, or with `large` made in fp32 and fp16 alone.
    `rounds`: inferences of each file that count. `command`: what the report says it was made by. InputError for
    unknown names, impossible numbers, and a converter that cannot go on.
    """
    at_least_one(rounds=rounds)
    if limit <= 0:
        raise InputError(f"`limit` is a number of millions of parameters above 0, got {limit}")
    check_side(side, where="`side`")
    names = models_of(models, checkpoints)
    chosen_recipes = known_names("recipes", recipes, RECIPES)
    chosen_formats = known_names("formats", formats, tuple(FORMATS))
    sizes = {name: parameters(name, checkpoints) for name in dict.fromkeys([YARDSTICK, *names])}
    planned = jobs(
        names,
        chosen_recipes,
        chosen_formats,
        parameters=sizes,
        limit=limit * 1e6,
        large=large,
        checkpoints=checkpoints,
    )
    shown = [name for name in names if any(job.model == name for job in planned)]
    left_out = [name for name in names if name not in shown]
    if left_out:
        log.info(f"left out, above {limit:g} M parameters: {', '.join(left_out)}")
    with listening(on_progress):
        make_missing(planned, out, side=side, convert=convert)
        times = {name: ratios(name, out, rounds=rounds) for name in track(shown, "timing", len(shown))}
    return ZooReport(
        {
            **header(SCHEMA),
            "command": command,
            "date": date.today().isoformat(),
            "machine": f"{platform.machine()}, {platform.system()}",
            "rounds": rounds,
            "models": rows(planned, out, shown, times),
        }
    )


def parameters(model: str, checkpoints: Path | None) -> int:
    """Of a model of dermedge's, or of a network of its own in `checkpoints`."""
    path = checkpoint_for(model, checkpoints)
    network = create_model(model) if model in MODELS or path is None else load(path).network()
    return sum(value.numel() for value in network.parameters())
