"""The training loop on Lightning Fabric: precision, devices and logging are Fabric's, the order of things is here."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import recall_score
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from edge.checkpoint import Checkpoint, Preprocess
from edge.errors import InputError
from edge.models import create_model
from edge.progress import report

from . import _together
from ._batch_norm import freeze, synchronised
from ._batches import Order, Views, loader, steps_per_epoch, views_for
from ._depthwise import FastDepthwise
from ._fabric import make_fabric
from ._folder import STATE, write_history
from ._kept_memory import KeptMemory
from ._loss import chances, log_priors
from ._masks import mean_dice
from ._memory import check_fits_the_set, check_memory
from ._objective import Batch, Classify, Objective
from ._options import Machine
from ._own_noise import OwnNoise, keys_of
from ._predict import normalise, predict_together
from ._recipe import FROZEN, SYNCHRONISED, Recipe
from ._schedule import average, learning_rate
from ._start import Beginning, take_tensors
from ._state import load, optimiser_tensors, restore_optimiser, save
from ._stop import Abandoned, Interrupted, StopRequest
from ._teachers import Teaching
from ._training_data import TrainingData

FORECAST_AFTER = 10.0  # seconds of training, from which the rest is estimated
CURVE_POINTS = 40  # at most so many looks at the held-back patients per run
LONGEST_GRADIENT = 2.0  # beyond, it is scaled down

log = logging.getLogger("dermedge")

CreateNetwork = Callable[[int], nn.Module]  # number of classes -> a fresh network


@dataclass
class Position:
    """How far a run is. Everything else about it follows from the recipe and the weights."""

    epoch: int = 0
    step: int = 0  # inside the epoch
    loss_sum: float = 0.0  # over the steps of the epoch
    seconds: float = 0.0
    history: list[dict] = field(default_factory=list)


@dataclass
class Clock:
    """When the second step of this process began, and how much of the run was then done."""

    began: float  # seconds of the monotonic clock
    share: float  # 0 to 1, in pixels
    told: bool = False


@dataclass(frozen=True)
class Fitted:
    state: dict[str, Tensor]  # the averaged weights, on the CPU; the same in every process
    history: list[dict]  # a row an epoch
    precision: str  # that was used
    leads: bool  # whether this process writes; under torchrun one of them does


class Trainer:
    """A network on its way through a recipe.

    `create` makes the network, normalised RGB (N, 3, S, S) -> logits (N, K) or (logits, mask logits); the default is
    the family of the recipe's model. What fits of `start` is started from. The objective is that of the recipe where
    none is given. `teachers` with the class codes of the data: what they say of a view is learned as well. `on_epoch`
    is told each row of the history.

    The state is saved in `folder` at the end of every epoch and on Ctrl-C (which raises `Interrupted`); a resumed run
    gives, bit for bit on the same machine, the weights of one that was never stopped.
    """

    def __init__(
        self,
        recipe: Recipe,
        preprocess: Preprocess,
        data: TrainingData,
        objective: Objective | None = None,
        *,
        folder: Path,
        teachers: tuple[Sequence[Checkpoint], Sequence[str]] | None = None,
        start: Beginning | None = None,
        create: CreateNetwork | None = None,
        machine: Machine | None = None,
        on_epoch: Callable[[dict], None] | None = None,
    ) -> None:
        machine = machine or Machine()
        self.recipe, self.preprocess, self.data, self.folder = recipe, preprocess, data, folder
        self.workers, self.on_epoch = machine.workers, on_epoch
        self.at = Position()
        self.fabric = make_fabric(precision=machine.precision, folder=folder)
        self.teaching = self.taught_by(*teachers) if teachers and teachers[0] else None
        self.objective = objective or Classify(recipe, self.teaching.width if self.teaching else 0, data.classes)
        torch.manual_seed(recipe.seed)
        create = create or (lambda classes: create_model(recipe.model, classes))
        self.net = create(data.classes)
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if start:
            take_tensors(self.net, start, create)
        photographs = len(data.squares_at(recipe.side))
        check_fits_the_set(recipe, photographs)
        told = data.classes + self.teaching.width if self.teaching and self.teaching.keeps else 0
        check_memory(self.net, recipe, photographs, self.fabric.device, told=told)
        self.averaged = AveragedModel(self.net, avg_fn=average(recipe.ema), use_buffers=True)
        self.learner = self.objective.learner(self.net)
        if recipe.batch_norm == SYNCHRONISED:
            self.learner = synchronised(self.learner, self.fabric.device)
        optimiser = torch.optim.AdamW(
            parameter_groups(self.learner, recipe.weight_decay),
            lr=recipe.learning_rate,
            fused=self.fabric.device.type != "mps",
        )
        self.model, self.optimiser = self.fabric.setup(self.learner, optimiser)
        self.averaged.to(self.fabric.device, next(self.net.parameters()).dtype)
        self.views_at = cache(lambda side: views_for(recipe, data.squares_at(side), side, data.classes))
        self.stop = StopRequest()
        self.metric = ""  # of the last look, beside the progress bar
        self.clock: Clock | None = None

    def fit(self, *, resume: bool = False) -> Fitted:
        """Train to the end. Raises `Interrupted` after Ctrl-C, InputError where the loss leaves the numbers."""
        if resume:
            self.resume()
        with StopRequest() as self.stop:
            try:
                with KeptMemory():
                    self.run_epochs()
            except Abandoned:
                raise
            except KeyboardInterrupt:
                self.save()
                raise Interrupted(
                    f"stopped in epoch {self.at.epoch + 1} of {self.recipe.epochs}", self.stop.number
                ) from None
            finally:
                report("training", 0, None, ended=True)
        with suppress(Exception):  # a logger that cannot flush must not cost a finished training
            self.fabric.logger.finalize("success")
        if self.fabric.is_global_zero:
            write_history(self.folder / "history.csv", self.at.history)
        _together.take_buffers_of_first(self.averaged)
        state = {name: in_single(value.cpu()) for name, value in self.averaged.module.state_dict().items()}
        return Fitted(self.fabric.broadcast(state), self.at.history, self.precision, self.fabric.is_global_zero)

    def run_epochs(self) -> None:
        while self.at.epoch < self.recipe.epochs:
            self.epoch()
            if self.is_due():
                self.look()
            self.close_epoch()

    def epoch(self) -> None:
        """The steps of the epoch that are left, and its row in the history."""
        at, recipe = self.at, self.recipe
        views = self.views_at(recipe.side_at(at.epoch))
        squares = views.squares
        drawn = chances(squares.targets, squares.domains, recipe.evenness) if recipe.evenness else None
        order = Order(
            len(views), recipe.batch, epoch=at.epoch, seed=recipe.seed,
            rank=self.fabric.global_rank, world=self.fabric.world_size, start=at.step, chances=drawn,
            views=recipe.views,
        )  # fmt: skip
        priors = log_priors(squares.targets, squares.domains, views.classes, recipe.evenness)
        adjustment = (recipe.balance * priors).to(self.fabric.device)
        guide = self.guide_of(views)
        self.model.train()
        if recipe.batch_norm == FROZEN:
            freeze(self.learner)
        begun = time.monotonic()
        for images, wanted, domains, descriptors, masks, keys in loader(views, order, workers=self.workers):
            noise = self.prepare_step(order)
            images, wanted, domains, descriptors, masks = self.fabric.to_device(
                (images, wanted, domains, descriptors, masks)
            )
            images = normalise(images, self.preprocess)
            taught = self.teaching.answer(images, keys) if self.teaching else None
            batch = Batch(images, wanted, adjustment[domains], descriptors, guide, masks, taught)
            with noise:
                at.loss_sum += self.step(batch)
            at.step += 1
            now = time.monotonic()
            at.seconds, begun = at.seconds + now - begun, now
            if _together.any_asks(self.stop.asked, self.fabric.device):
                raise KeyboardInterrupt
            self.show()
            self.forecast(now)
        at.history.append(
            {
                "epoch": at.epoch + 1,
                "side": recipe.side_at(at.epoch),
                "loss": at.loss_sum / max(1, at.step),
                "learning_rate": learning_rate(recipe, recipe.share_done(at.epoch + at.step / order.steps)),
                "images_per_second": self.images_so_far / max(at.seconds, 1e-9),
                "seconds": at.seconds,
            }
        )

    def prepare_step(self, order: Order) -> OwnNoise:
        """The rate and the seed of the step to come, in the epoch's order; the random numbers of its samples."""
        recipe, at = self.recipe, self.at
        rate = learning_rate(recipe, recipe.share_done(at.epoch + (at.step + 1) / order.steps))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        # what is drawn for all samples alike depends on the step alone, so that a resumed run repeats it
        torch.manual_seed(recipe.seed * 1_000_003 + self.steps_done)
        return OwnNoise(keys_of(recipe.seed, at.epoch, order.places(at.step)))

    def step(self, batch: Batch) -> float:
        """One step of the optimiser and of the average; the loss."""
        with FastDepthwise():
            value = self.objective.value(self.model, batch)
        self.fabric.backward(value)
        self.fabric.clip_gradients(self.model, self.optimiser, max_norm=LONGEST_GRADIENT, error_if_nonfinite=False)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.averaged.update_parameters(self.net)
        number = float(value.detach())
        if not math.isfinite(number):
            raise InputError(f"the loss became {number} in epoch {self.at.epoch + 1}; lower `learning_rate`")
        return number

    def is_due(self) -> bool:
        """Whether the held-back patients are looked at after this epoch."""
        every = max(1, self.recipe.epochs // CURVE_POINTS)
        return (self.at.epoch + 1) % every == 0 or self.at.epoch + 1 == self.recipe.epochs

    def look(self) -> None:
        """Add the figures of the averaged weights on the held-back patients to the last row of the history."""
        _together.take_buffers_of_first(self.averaged)
        net, row, side = self.averaged.module, self.at.history[-1], self.recipe.side_at(self.at.epoch)
        held_back = self.data.held_back_at(side)
        row |= held_back_figures(net, self.preprocess, held_back)
        row |= self.objective.look(net, self.preprocess, held_back)
        if self.data.held_back_masks_at:
            value = mean_dice(net, self.preprocess, *self.data.held_back_masks_at(side))
            row |= {} if value is None else {"held_back_dice": value}
        self.metric = f"bal. acc. {row['held_back_balanced_accuracy']:.2f}"

    def close_epoch(self) -> None:
        """Go on to the next epoch: what is logged and saved says that this one is over."""
        at = self.at
        at.epoch, at.step, at.loss_sum, at.seconds = at.epoch + 1, 0, 0.0, 0.0
        row = at.history[-1]
        self.fabric.log_dict({name: value for name, value in row.items() if name != "epoch"}, step=at.epoch)
        if self.on_epoch and self.fabric.is_global_zero:
            self.on_epoch(row)
        self.save()

    def save(self) -> None:
        """Write the state from which `resume` goes on."""
        if not self.fabric.is_global_zero:
            return
        save(
            self.state_file,
            tensors={
                "net": self.learner.state_dict(),
                "averaged": self.averaged.state_dict(),
                "optimiser": optimiser_tensors(self.optimiser),
            },
            facts={"identity": self.identity(), "progress": asdict(self.at)},
        )

    def resume(self) -> None:
        """Take up the saved state; InputError where there is none, or one of a run with other settings."""
        groups, facts = load(self.state_file)
        mine, theirs = self.identity(), facts["identity"]
        if mine != theirs:
            differing = [name for name in mine["recipe"] if mine["recipe"][name] != theirs["recipe"].get(name)]
            raise InputError(
                f"{self.state_file} is a run with other settings "
                f"({', '.join(differing) or 'the split, the data, the scheme, the teachers, precision or processes'}); "
                "repeat those of the interrupted run or start without `resume`"
            )
        self.learner.load_state_dict(groups["net"])
        self.averaged.load_state_dict(groups["averaged"])
        restore_optimiser(self.optimiser, groups["optimiser"])
        self.at = Position(**facts["progress"])

    def identity(self) -> dict:
        """What a resumed run must have in common with the interrupted one."""
        own = {
            "recipe": asdict(self.recipe),
            "precision": self.precision,
            "processes": self.fabric.world_size,
            "data": self.data.digests,
            **({"teachers": self.teaching.sha256} if self.teaching else {}),
        }
        return as_json(own | self.objective.identity)

    def taught_by(self, teachers: Sequence[Checkpoint], classes: Sequence[str]) -> Teaching:
        """The teachers on this run's device, ready to answer."""
        recipe = self.recipe
        teaching = Teaching(
            teachers, classes, self.preprocess, self.fabric.device,
            features=recipe.distil_features > 0, keeps=recipe.variants > 0, autocast=self.fabric.autocast,
        )  # fmt: skip
        teaching.measure(self.data.squares_at(recipe.side).images, recipe.side)
        return teaching

    def guide_of(self, views: Views) -> tuple[Tensor, Tensor] | None:
        """Weight (D, K) and bias (K,) of the guide, on the device; None where nothing listens to one."""
        if not (views.guide and self.recipe.guide):
            return None
        return self.fabric.to_device((torch.from_numpy(views.guide.weight), torch.from_numpy(views.guide.bias)))

    def show(self) -> None:
        """Report the progress, with loss, speed and the last figures."""
        loss, speed = self.at.loss_sum / self.at.step, self.images_so_far / self.at.seconds
        report("training", self.steps_done, self.total_steps, f"loss {loss:.3f} {speed:.0f} images/s {self.metric}")

    def forecast(self, now: float) -> None:
        """Say once how long it will take, where that is more than a moment. `now`: seconds of the monotonic clock."""
        share = self.recipe.share_done(self.at.epoch + self.at.step / self.steps_an_epoch)
        if self.clock is None:  # the first step also warms up
            self.clock = Clock(now, share)
        elif not self.clock.told and now - self.clock.began >= FORECAST_AFTER:
            self.clock.told = True
            left = (1 - share) * (now - self.clock.began) / (share - self.clock.share)
            if left > FORECAST_AFTER and self.fabric.is_global_zero:
                log.info("about %s to go", in_words(left))

    @property
    def steps_an_epoch(self) -> int:
        count = len(self.data.squares_at(self.recipe.side))
        return steps_per_epoch(count, self.recipe.batch // self.recipe.views, self.fabric.world_size)

    @property
    def steps_done(self) -> int:
        return self.at.epoch * self.steps_an_epoch + self.at.step

    @property
    def total_steps(self) -> int:
        return self.recipe.epochs * self.steps_an_epoch

    @property
    def images_so_far(self) -> int:
        """In this epoch, of all processes."""
        return self.at.step * self.recipe.batch * self.fabric.world_size

    @property
    def precision(self) -> str:
        return str(self.fabric._precision.precision)

    @property
    def state_file(self) -> Path:
        return self.folder / STATE


def parameter_groups(net: nn.Module, weight_decay: float) -> list[dict]:
    """Weight decay for matrices and kernels; none for biases and norms."""
    decayed = [p for p in net.parameters() if p.ndim > 1]
    rest = [p for p in net.parameters() if p.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]


def held_back_figures(
    net: nn.Module, preprocess: Preprocess, held_back: tuple[np.ndarray, np.ndarray]
) -> dict[str, float]:
    """Columns of the history: loss and balanced accuracy on uint8 squares (N, S, S, 3) and classes (N,)."""
    images, targets = held_back
    logits = torch.from_numpy(predict_together(net, images, preprocess))
    return {
        "held_back_loss": float(nn.functional.cross_entropy(logits, torch.from_numpy(targets))),
        "held_back_balanced_accuracy": recall_score(  # of the classes that are there
            targets, logits.argmax(1).numpy(), average="macro", zero_division=np.nan
        ),
    }


def in_single(value: Tensor) -> Tensor:
    """As a checkpoint holds it: no float64."""
    return value.float() if value.dtype == torch.float64 else value


def in_words(seconds: float) -> str:
    """40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{round(seconds, -1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def as_json(value: dict) -> dict:
    """The value as it comes back from JSON, so that a saved and a fresh one compare equal."""
    return json.loads(json.dumps(value))
