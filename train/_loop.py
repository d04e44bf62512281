"""The training loop on Lightning Fabric: precision, devices and logging are Fabric's, the order of things is here."""

from __future__ import annotations

import csv
import json
import math
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from sklearn.metrics import recall_score
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from dermedge.console import screen
from edge.checkpoint import Preprocess
from edge.errors import InputError
from edge.files import moved_into_place
from edge.models import create_model
from edge.models.deployed import class_and_mask
from edge.progress import report, track

from ._augment import augment
from ._batches import Order, Squares, Views, loader, steps_per_epoch
from ._guide import Guide, fit_guide
from ._loss import chances, log_priors
from ._masks import mask_figures, predict_masks
from ._objective import Batch, Classify, Objective
from ._recipe import Recipe
from ._state import load, optimiser_tensors, restore_optimiser, save

CURVE_POINTS = 40  # at most so many looks at the held-back patients per run
GUIDE_VIEWS = 4  # of each photograph, to fit the guide on


@dataclass
class Progress:
    """How far a run is. Everything else about it follows from the recipe and the weights."""

    epoch: int = 0
    step: int = 0  # inside the epoch
    loss_sum: float = 0.0  # over the steps of the epoch
    seconds: float = 0.0
    history: list[dict] = field(default_factory=list)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, after the state was saved."""


class StopRequest:
    """Notes Ctrl-C or SIGTERM, so that the step under way ends before the state is saved.

    A second one ends the program at once; the state of the last finished epoch then stands.
    """

    asked = False

    def __enter__(self) -> StopRequest:
        self.before = {number: signal.signal(number, self.note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def note(self, number: int, frame: object) -> None:
        if self.asked:
            raise SystemExit(130)
        self.asked = True

    def __exit__(self, *exception: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


def learning_rate(recipe: Recipe, done: float) -> float:
    """Linear warm-up, then a cosine, as a function of the share of the run that is done."""
    if done < recipe.warmup:
        return recipe.learning_rate * done / recipe.warmup
    cosine = 0.5 * (1 + math.cos(math.pi * (done - recipe.warmup) / (1 - recipe.warmup)))
    return recipe.learning_rate * (recipe.final_rate + (1 - recipe.final_rate) * cosine)


def average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Exponential moving average that starts short, so that the random beginning is forgotten."""

    def blend(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        if not averaged.is_floating_point():
            return current
        n = float(count)
        return averaged.lerp(current, 1 - min(decay, (1 + n) / (10 + n)))

    return blend


def bf16_pays() -> bool:
    """Whether this machine multiplies bfloat16 in hardware; on others autocast is slower than float32."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def make_fabric(*, precision: str, folder: Path) -> Fabric:
    from lightning_fabric.loggers import TensorBoardLogger

    if precision == "auto":
        precision = "bf16-mixed" if bf16_pays() else "32-true"
    logger = TensorBoardLogger(root_dir=folder, name="tensorboard", version="")
    fabric = Fabric(accelerator="auto", devices="auto", precision=precision, loggers=logger)  # type: ignore[arg-type]
    fabric.launch()
    return fabric


def parameter_groups(net: nn.Module, weight_decay: float) -> list[dict]:
    """Weight decay for matrices and kernels; none for biases and norms."""
    decayed = [p for p in net.parameters() if p.ndim > 1]
    rest = [p for p in net.parameters() if p.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]


def normalise(images: Tensor, preprocess: Preprocess) -> Tensor:
    """uint8 (N, 3, S, S) -> float32, channels last in memory, as the network was built for."""
    mean, std = (torch.tensor(v, device=images.device).reshape(1, 3, 1, 1) for v in (preprocess.mean, preprocess.std))
    return ((images.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def predict(net: nn.Module, images: np.ndarray, preprocess: Preprocess, *, batch: int = 32) -> np.ndarray:
    """Logits, float64 (N, K), of uint8 squares (N, S, S, 3) in float32 arithmetic."""
    device = next(net.parameters()).device
    net.eval()
    parts = []
    for start in range(0, len(images), batch):
        block = torch.from_numpy(np.array(images[start : start + batch])).permute(0, 3, 1, 2).to(device)
        logits, _ = class_and_mask(net(normalise(block, preprocess)))
        parts.append(logits.double().cpu().numpy())
    return np.concatenate(parts)


def fit(
    recipe: Recipe,
    preprocess: Preprocess,
    *,
    initial: dict[str, Tensor],
    classes: int,
    squares_at: Callable[[int], Squares],
    held_back_at: Callable[[int], tuple[np.ndarray, np.ndarray]],
    held_back_masks_at: Callable[[int], tuple[np.ndarray, np.ndarray]] | None = None,
    folder: Path,
    data: list[str] | None = None,
    objective: Objective | None = None,
    resume: bool = False,
    precision: str = "auto",
    workers: int = 0,
) -> tuple[dict[str, Tensor], list[dict], str]:
    """Train; return the averaged weights, the history and the precision used.

    `squares_at(side)` gives the training photographs, cached a margin larger than `side`. `held_back_at(side)`
    gives uint8 squares of that side and their classes, `held_back_masks_at(side)` their masks and which are known;
    they are looked at for the curves only. The state is
    saved at the end of every epoch and on Ctrl-C (which raises `Interrupted`); a resumed run gives, bit for
    bit on the same machine, the weights of one that was never stopped. The objective is that of the recipe where
    none is given.
    """
    objective = objective or Classify(recipe)
    fabric = make_fabric(precision=precision, folder=folder)
    used = str(fabric._precision.precision)
    torch.manual_seed(recipe.seed)
    net = create_model(recipe.model, classes)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    fitting = {k: v for k, v in net.state_dict().items() if k in initial and initial[k].shape == v.shape}
    if initial:
        screen().print(f"started from {len(fitting)} of {len(net.state_dict())} tensors of --init")
        if not fitting:
            raise InputError("no tensor of --init fits this model; give a checkpoint of the same family")
    net.load_state_dict({**net.state_dict(), **{k: initial[k] for k in fitting}})
    averaged = AveragedModel(net, avg_fn=average(recipe.ema), use_buffers=True)
    learner = objective.learner(net)
    optimiser = torch.optim.AdamW(
        parameter_groups(learner, recipe.weight_decay), lr=recipe.learning_rate, fused=fabric.device.type != "mps"
    )
    model, optimiser = fabric.setup(learner, optimiser)
    averaged.to(fabric.device)
    at = Progress()
    state_file = folder / "resume.safetensors"
    identity = {"recipe": asdict(recipe), "precision": used, "processes": fabric.world_size, "data": data}
    identity |= objective.identity
    if resume:
        groups, facts = load(state_file)
        if facts["identity"] != (wanted := as_json(identity)):
            differing = [k for k in wanted["recipe"] if wanted["recipe"][k] != facts["identity"]["recipe"].get(k)]
            raise InputError(
                f"{state_file} is a run with other settings "
                f"({', '.join(differing) or 'the split, the data, the scheme, precision or processes'}); "
                "repeat the flags of the interrupted run or start without --resume"
            )
        learner.load_state_dict(groups["net"])
        averaged.load_state_dict(groups["averaged"])
        restore_optimiser(optimiser, groups["optimiser"])
        at = Progress(**facts["progress"])

    def keep() -> None:
        if fabric.is_global_zero:
            save(
                state_file,
                tensors={
                    "net": learner.state_dict(),
                    "averaged": averaged.state_dict(),
                    "optimiser": optimiser_tensors(optimiser),
                },
                facts={"identity": as_json(identity), "progress": asdict(at)},
            )

    views_at = cache(lambda side: make_views(recipe, squares_at(side), side, classes))
    every = max(1, recipe.epochs // CURVE_POINTS)
    total, metric = total_steps(recipe, squares_at, fabric.world_size), ""

    def show(figures: str) -> None:
        report("training", steps_before(recipe, squares_at, at, fabric.world_size), total, f"{figures} {metric}")

    with StopRequest() as stop:
        try:
            while at.epoch < recipe.epochs:
                run_epoch(
                    fabric,
                    model,
                    net,
                    averaged,
                    optimiser,
                    objective,
                    recipe,
                    preprocess,
                    views_at(recipe.side_at(at.epoch)),
                    at,
                    stop=stop,
                    done=steps_before(recipe, squares_at, Progress(epoch=at.epoch), fabric.world_size),
                    workers=workers,
                    on_step=show,
                )
                if (at.epoch + 1) % every == 0 or at.epoch + 1 == recipe.epochs:
                    held_back = held_back_at(recipe.side_at(at.epoch))
                    row = look(averaged, preprocess, held_back, at.history[-1])
                    row |= objective.look(averaged.module, preprocess, held_back)
                    if held_back_masks_at:
                        masks = held_back_masks_at(recipe.side_at(at.epoch))
                        row |= look_at_masks(averaged.module, preprocess, held_back[0], *masks)
                    metric = f"bal. acc. {row['held_back_balanced_accuracy']:.2f}"
                at.epoch, at.step, at.loss_sum, at.seconds = at.epoch + 1, 0, 0.0, 0.0
                row = at.history[-1]
                fabric.log_dict({k: v for k, v in row.items() if k != "epoch"}, step=at.epoch)
                if not screen().is_terminal:
                    screen().print(" ".join(f"{k} {v:.4g}" for k, v in row.items()))
                keep()
        except KeyboardInterrupt:
            keep()
            raise Interrupted(f"stopped in epoch {at.epoch + 1} of {recipe.epochs}") from None
    report("training", total, total, ended=True)
    with suppress(Exception):  # a logger that cannot flush must not cost a finished training
        fabric.logger.finalize("success")
    write_history(folder / "history.csv", at.history)
    return {k: v.cpu() for k, v in averaged.module.state_dict().items()}, at.history, used


def run_epoch(
    fabric: Fabric,
    model: nn.Module,
    net: nn.Module,
    averaged: AveragedModel,
    optimiser: torch.optim.Optimizer,
    objective: Objective,
    recipe: Recipe,
    preprocess: Preprocess,
    views: Views,
    at: Progress,
    *,
    stop: StopRequest,
    done: int,
    workers: int,
    on_step: Callable[[str], None],
) -> None:
    """The steps of one epoch that are left, and its row in the history."""
    side = recipe.side_at(at.epoch)
    squares = views.squares
    drawn = chances(squares.targets, squares.domains, recipe.evenness) if recipe.evenness else None
    order = Order(
        len(views), recipe.batch, epoch=at.epoch, seed=recipe.seed,
        rank=fabric.global_rank, world=fabric.world_size, start=at.step, chances=drawn,
    )  # fmt: skip
    priors = log_priors(squares.targets, squares.domains, views.classes, recipe.evenness)
    adjustment = (recipe.balance * priors).to(fabric.device)
    guide = None
    if views.guide and recipe.guide:
        guide = fabric.to_device((torch.from_numpy(views.guide.weight), torch.from_numpy(views.guide.bias)))
    model.train()
    begun = time.monotonic()
    for images, wanted, domains, descriptors, masks in loader(views, order, workers=workers):
        step = done + at.step
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(recipe, recipe.share_done(at.epoch + (at.step + 1) / order.steps))
        # dropout and stochastic depth depend on the step alone, so that a resumed run repeats them
        torch.manual_seed(recipe.seed * 1_000_003 + step * fabric.world_size + fabric.global_rank)
        images, wanted, domains, descriptors, masks = fabric.to_device((images, wanted, domains, descriptors, masks))
        value = objective.value(
            model, Batch(normalise(images, preprocess), wanted, adjustment[domains], descriptors, guide, masks)
        )
        fabric.backward(value)
        fabric.clip_gradients(model, optimiser, max_norm=2.0, error_if_nonfinite=False)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        averaged.update_parameters(net)
        number = float(value.detach())
        if not math.isfinite(number):
            raise InputError(f"the loss became {number} in epoch {at.epoch + 1}; lower --learning-rate")
        at.step += 1
        at.loss_sum += number
        now = time.monotonic()
        at.seconds, begun = at.seconds + now - begun, now
        speed = at.step * recipe.batch * fabric.world_size / at.seconds
        if stop.asked:
            raise KeyboardInterrupt
        on_step(f"loss {at.loss_sum / at.step:.3f} {speed:.0f} images/s")
    at.history.append(
        {
            "epoch": at.epoch + 1,
            "side": side,
            "loss": at.loss_sum / max(1, at.step),
            "learning_rate": learning_rate(recipe, recipe.share_done(at.epoch + at.step / order.steps)),
            "images_per_second": at.step * recipe.batch * fabric.world_size / max(at.seconds, 1e-9),
        }
    )


def make_views(recipe: Recipe, squares: Squares, side: int, classes: int) -> Views:
    views = Views(
        squares, side, classes, seed=recipe.seed, strength=recipe.augment, mixup=recipe.mixup, variants=recipe.variants
    )
    if recipe.descriptors or recipe.guide:
        views.guide = make_guide(recipe, squares, side, classes)
    return views


def make_guide(recipe: Recipe, squares: Squares, side: int, classes: int) -> Guide:
    """Fitted on the first data set alone: the others may have other cameras and lack classes."""
    own = np.flatnonzero(squares.domains == 0)
    rng = np.random.default_rng((recipe.seed, 3, side))
    views = [
        [augment(squares.images[index], side, rng, strength=recipe.augment) for _ in range(GUIDE_VIEWS)]
        for index in track(own, f"guide at {side} pixels", len(own))
    ]
    return fit_guide(np.array(views), squares.targets[own], classes)


def look(averaged: AveragedModel, preprocess: Preprocess, held_back: tuple[np.ndarray, np.ndarray], row: dict) -> dict:
    """Add loss and balanced accuracy of the averaged weights on the held-back patients to a history row."""
    images, targets = held_back
    logits = torch.from_numpy(predict(averaged.module, images, preprocess))
    row["held_back_loss"] = float(nn.functional.cross_entropy(logits, torch.from_numpy(targets)))
    row["held_back_balanced_accuracy"] = recall_score(  # of the classes that are there
        targets, logits.argmax(1).numpy(), average="macro", zero_division=np.nan
    )
    return row


def look_at_masks(
    net: nn.Module, preprocess: Preprocess, images: np.ndarray, masks: np.ndarray, known: np.ndarray
) -> dict[str, float]:
    """A column of the history: mean Dice on the held-back photographs that have a mask."""
    found = predict_masks(net, images[known], preprocess) if known.any() else None
    figures = None if found is None else mask_figures(found, masks[known], known[known])
    return {"held_back_dice": figures["dice_mean"]} if figures else {}


def total_steps(recipe: Recipe, squares_at: Callable[[int], Squares], world: int) -> int:
    return steps_before(recipe, squares_at, Progress(epoch=recipe.epochs), world)


def steps_before(recipe: Recipe, squares_at: Callable[[int], Squares], at: Progress, world: int) -> int:
    count = len(squares_at(recipe.side))
    return at.epoch * steps_per_epoch(count, recipe.batch, world) + at.step


def as_json(value: dict) -> dict:
    """The value as it comes back from JSON, so that a saved and a fresh one compare equal."""
    return json.loads(json.dumps(value))


def write_history(path: Path, history: list[dict]) -> None:
    columns = list(dict.fromkeys(key for row in history for key in row))
    with moved_into_place(path) as unfinished, unfinished.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(history)
