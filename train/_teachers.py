"""Trained networks that teach another one: what they answer for a view, and what the first of them sees in it.

The learner agrees with the teachers on every augmented and blended view, also of photographs without a class (Beyer et
al., "Knowledge distillation: a good teacher is patient and consistent", CVPR 2022, arXiv:2106.05237), and predicts the
input of the first teacher's last layer (Romero et al., "FitNets", ICLR 2015, arXiv:1412.6550).
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge.checkpoint import Checkpoint, Preprocess, load, placed
from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.labels import Label
from edge.models.deployed import class_and_mask
from edge.progress import track

from ._augment import augment
from ._objective import LAST_LAYER, Taught, last_layer
from ._predict import normalise
from ._recipe import Recipe
from ._start import past_unknown, refuse_seen

log = logging.getLogger("dermedge")
CLIP = 5.0  # standard deviations of a feature
MOST_MEASURED = 512  # photographs, from which mean and deviation of the features are taken
TINY = 1e-9  # of a probability, before its logarithm


def opened_teachers(sources: Iterable[Path | str | Checkpoint], fold: int, recipe: Recipe) -> tuple[Checkpoint, ...]:
    """The checkpoints; of the folder of a cross-validation that of the same fold, which has seen the same patients.

    InputError where the recipe takes nothing of them, or has weights for teachers and there are none. The log warns of
    a teacher that lists no patients.
    """
    teachers = tuple(one if isinstance(one, Checkpoint) else load(teacher_path(Path(one), fold)) for one in sources)
    wanted = {name: getattr(recipe, name) for name in ("distil", "distil_features")}
    if teachers and not any(wanted.values()):
        raise InputError("`distil` and `distil_features` are 0: the teachers would teach nothing; leave them out")
    chosen = [name for name, value in wanted.items() if value not in (0, getattr(Recipe(), name))]
    if chosen and not teachers:
        raise InputError(f"`{chosen[0]}` is the weight of what teachers say, and there are none; give `teachers`")
    if teachers and recipe.distil_features:
        check_features(teachers[0])
    for teacher in teachers:
        if teacher.patients_unknown:
            log.warning(past_unknown(teacher))
    return teachers


def check_features(teacher: Checkpoint) -> None:
    """InputError for a teacher without the layer whose input is learned."""
    if not isinstance(dict(teacher.network().named_modules()).get(LAST_LAYER), nn.Linear):
        raise InputError(
            f"the teacher {teacher.model} has no linear layer called {LAST_LAYER}, whose input the learner would "
            "predict; set `distil_features` to 0 (`distil` works without)"
        )


def teacher_path(path: Path, fold: int) -> Path:
    """The checkpoint that `path` means for a fold; InputError where there is none. Nothing is read."""
    if not path.is_dir() or (path / "checkpoint.json").is_file():
        return placed(path)[0]
    own = path / f"fold-{fold}"
    if not (own / "checkpoint.json").is_file():
        raise InputError(
            f"{path} has no finished fold {fold} ({own.name}/checkpoint.json); a teacher is a checkpoint, the folder "
            "of a run, or that of a cross-validation with the same folds"
        )
    return placed(own)[0]


def check_teachers(teachers: Sequence[Checkpoint], classes: Sequence[Label], apart: Sequence[PhotoSet]) -> None:
    """InputError for a teacher with other classes, or one that has seen patients whom this run keeps `apart`."""
    wanted = [label.code for label in classes]
    for teacher in teachers:
        codes = [label.code for label in teacher.labels]
        if sorted(codes) != sorted(wanted):
            raise InputError(
                f"the teacher {teacher.model} answers for {', '.join(codes)}, this run for {', '.join(wanted)}; a "
                "teacher has the classes of the photographs"
            )
        refuse_seen(teacher, apart, option="teacher")


@dataclass(frozen=True)
class Teacher:
    """A network in evaluation mode, and how the learner's pictures become its own."""

    net: nn.Module
    preprocess: Preprocess
    order: tuple[int, ...]  # its place of each class of the learner
    gives_logits: bool

    def logits(self, images: Tensor) -> Tensor:
        """Float32 (N, K) in the learner's order, of RGB 0..1 (N, 3, S, S) of any side."""
        side = self.preprocess.side
        if images.shape[-1] != side:
            images = F.interpolate(images, (side, side), mode="bilinear", antialias=True).clamp(0, 1)
        scores, _ = class_and_mask(self.net(normalise(images * 255, self.preprocess)))
        scores = scores.float() if self.gives_logits else scores.float().clamp(min=TINY).log()
        return scores[:, self.order]


class Teaching:
    """What all teachers together say of a view. Views that are kept are answered once."""

    def __init__(
        self,
        teachers: Sequence[Checkpoint],
        classes: Sequence[str],
        learner: Preprocess,
        device: torch.device,
        *,
        features: bool,
        keeps: bool,
        autocast: Callable,
    ) -> None:
        self.learner, self.keeps, self.autocast, self.device = learner, keeps, autocast, device
        self.teachers = [as_teacher(one, classes, device) for one in teachers]
        self.sha256 = [one.sha256 for one in teachers]
        self.seen: Tensor | None = None  # input of the first teacher's last layer
        self.width = 0
        self.kept: dict[tuple[int, int], Taught] = {}
        self.scale: tuple[Tensor, Tensor] | None = None  # mean and deviation of each feature
        if features:
            layer = last_layer(self.teachers[0].net)
            self.width = layer.in_features
            layer.register_forward_pre_hook(self.note)

    def note(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.seen = inputs[0].detach().float()

    def measure(self, squares: np.ndarray, side: int) -> None:
        """Take mean and deviation of the features from the plain views of photographs, uint8 (N, C, C, 3)."""
        if not self.width:
            return
        rng = np.random.default_rng(0)  # nothing is drawn of it
        chosen = np.linspace(0, len(squares) - 1, min(len(squares), MOST_MEASURED)).astype(int)
        parts = []
        for index in track(chosen, "what the teacher sees", len(chosen)):
            view = augment(squares[index], side, rng, strength=0.0)
            image = torch.from_numpy(view).permute(2, 0, 1)[None].to(self.device)
            parts.append(self.run(image.float() / 255).features)
        features = torch.cat(parts)
        self.scale = features.mean(dim=0), features.std(dim=0, correction=0).clamp(min=1e-3)

    def answer(self, images: Tensor, keys: Tensor) -> Taught:
        """Of the learner's normalised RGB (N, 3, S, S). `keys` (N,) tell the views of one side apart."""
        mean, std = (
            torch.tensor(value, device=images.device).reshape(1, 3, 1, 1)
            for value in (self.learner.mean, self.learner.std)
        )
        plain = images * std + mean
        if not self.keeps:
            return self.run(plain)
        # one at a time: what is kept must not depend on the views beside it, or a resumed run would differ
        side, parts = images.shape[-1], []
        for number, key in enumerate(keys.tolist()):
            if (side, key) not in self.kept:
                self.kept[side, key] = self.run(plain[number : number + 1])
            parts.append(self.kept[side, key])
        return Taught(torch.cat([one.logits for one in parts]), torch.cat([one.features for one in parts]))

    @torch.no_grad()
    def run(self, plain: Tensor) -> Taught:
        """Of RGB 0..1 (N, 3, S, S): logits of the mean probabilities, scaled features where some are wanted."""
        with self.autocast():
            answers = [teacher.logits(plain) for teacher in reversed(self.teachers)]  # the first one last: its features
        logits = torch.stack(answers).log_softmax(dim=2).exp().mean(dim=0).clamp(min=TINY).log()
        if not self.width or self.seen is None:
            return Taught(logits, logits[:, :0])
        features, self.seen = self.seen, None
        if self.scale:
            mean, deviation = self.scale
            features = ((features - mean) / deviation).clamp(-CLIP, CLIP)
        return Taught(logits, features)


def as_teacher(checkpoint: Checkpoint, classes: Sequence[str], device: torch.device) -> Teacher:
    # a copy: of a checkpoint that holds its network, hooks and device would stay with whoever handed it over
    net = copy.deepcopy(checkpoint.network()).to(device).requires_grad_(False)
    codes = [label.code for label in checkpoint.labels]
    return Teacher(
        net.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        checkpoint.preprocess,
        tuple(codes.index(code) for code in classes),
        checkpoint.gives == "logits",
    )
