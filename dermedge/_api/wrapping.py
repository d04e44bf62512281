"""Any torch.nn.Module as a checkpoint of dermedge."""

from __future__ import annotations

import copy
import hashlib
import logging
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge.checkpoint import FOREIGN, NAME, UNTRAINED, Checkpoint, Preprocess, check_side, versions_here
from edge.errors import InputError
from edge.labels import MAX_CLASSES, Label
from edge.models import MODELS
from edge.preprocess import PREPROCESS_VERSION

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger("dermedge")


def wrap(
    module: nn.Module,
    labels: Sequence[str | Label],
    *,
    side: int,
    mean: Sequence[float],
    std: Sequence[float],
    malignant: Sequence[bool | None] | None = None,
    scale: float = 1.0,
    temperature: float = 1.0,
    name: str | None = None,
    untrained: bool = False,
) -> Checkpoint:
    """A classifier of your own as a checkpoint, which `convert`, `parity` and all commands take like one of dermedge's.

    `module` takes normalised RGB, float32 (1, 3, side, side), and returns class scores (1, K): a tensor, an object with
    `.logits`, or a tuple that begins with them and may hold mask logits (1, 1, side, side). Logits are expected;
    probabilities, which are all within 0..1 and add up to 1, are noticed and taken as they are. The module is copied
    and exported (torch.export), so that it can be judged again without its source.

    `labels`: K class codes or `dermedge.Label`s in output order. `malignant`: K of True, False or None (unknown); left
    out, all are unknown unless a Label says so. `side`: of the input in pixels, 16 to 1024. `mean` and `std`: three
    numbers each, RGB, that the picture is normalised with, (picture - mean) / std: for values in 0..1 as torchvision
    has them, or in 0..255 with `scale=255`. `temperature` divides the logits. `name`: of the model, for file names; by
    default that of the class. `untrained`: the weights are random, so that files are judged on their logits alone.

    Raises InputError where the network gives anything else, where labels and scores differ in number, where mean and
    std cannot be what `scale` says, and where torch.export cannot follow the module.
    """
    from torch import nn

    from edge.models.foreign import Foreign, tried_out
    from edge.program import to_bytes

    if not isinstance(module, nn.Module):
        raise InputError(f"`module` is a torch.nn.Module, got {type(module).__name__}")
    check_side(side, where="`side`", multiple=1)
    classes = labels_of(labels, malignant)
    preprocess = Preprocess(PREPROCESS_VERSION, side, *normalisation(mean, std, scale))
    if not 0.01 <= temperature <= 100:
        raise InputError(f"`temperature` is between 0.01 and 100, got {temperature}")
    model = name_of(module, name)
    network = Foreign(copy.deepcopy(module).cpu().float()).eval().requires_grad_(False)
    returned = tried_out(network, side)
    if returned.classes != len(classes):
        raise InputError(
            f"the network gives {returned.classes} scores, `labels` names {len(classes)} classes: "
            f"{', '.join(label.code for label in classes)}; they must be the same, in order"
        )
    if returned.doubtful:
        log.warning(
            "%s: all scores are within 0..1 and do not add up to 1, as behind a sigmoid; they are taken for logits",
            model,
        )
    if returned.gives == "probabilities":
        log.info("%s gives probabilities: they are taken as they are, without another softmax", model)
        if temperature != 1:
            raise InputError(
                f"{model} gives probabilities, which have no `temperature`; leave it out, or take the softmax off"
            )
    program = to_bytes(network, side)
    facts = {"seed": 0, "settled_on": "nothing: handed over as untrained"}
    return Checkpoint(
        model=model,
        labels=classes,
        preprocess=preprocess,
        state={},
        temperature=float(temperature),
        recipe={"wrapped": type(module).__name__, **({UNTRAINED: facts} if untrained else {})},
        versions=versions_here(),
        sha256=hashlib.sha256(program).hexdigest(),
        program=program,
        gives=returned.gives,
        own_family=FOREIGN,
        live=network,
    )


def labels_of(labels: Sequence[str | Label], malignant: Sequence[bool | None] | None = None) -> tuple[Label, ...]:
    """Labels from class codes or Labels; InputError unless they are 2 or more that differ."""
    if isinstance(labels, str) or not 2 <= len(labels) <= MAX_CLASSES:
        raise InputError(f"`labels` is a list of 2 to {MAX_CLASSES} classes, got {labels!r}")
    if malignant is not None and len(malignant) != len(labels):
        raise InputError(f"`malignant` has {len(malignant)} entries for {len(labels)} labels")
    if malignant is not None and not all(value is None or isinstance(value, bool) for value in malignant):
        raise InputError(f"`malignant` holds True, False or None for each class, got {list(malignant)!r}")
    classes = []
    for place, label in enumerate(labels):
        if not isinstance(label, Label):
            label = Label(re.sub(r"[^\w-]+", "_", str(label)).strip("_"), str(label), malignant=None)
        if malignant is not None:
            label = Label(label.code, label.name, malignant[place])
        classes.append(label)
    codes = [label.code for label in classes]
    if len(set(codes)) != len(codes):
        raise InputError(f"class codes must differ, got {', '.join(codes)}")
    return tuple(classes)


Three = tuple[float, float, float]


def normalisation(mean: Sequence[float], std: Sequence[float], scale: float) -> tuple[Three, Three]:
    """(mean, std) for values in 0..1; InputError where the numbers cannot be of values in 0..`scale`."""
    if scale not in (1, 255):
        raise InputError(f"`scale` is 1 (mean and std of values in 0..1, as torchvision has them) or 255, got {scale}")
    for what, values in (("mean", mean), ("std", std)):
        if isinstance(values, str) or len(values) != 3 or not all(isinstance(v, int | float) for v in values):
            raise InputError(f"`{what}` is three numbers, red, green and blue, got {values!r}")
    smallest, words = (0.0, "within") if scale == 1 else (1.0, "0 or 1 at least, and within")
    if not all(v == 0 or smallest <= v <= scale for v in mean) or not all(v and smallest <= v <= scale for v in std):
        other = "for values in 0..255 say `scale=255`" if scale == 1 else "for values in 0..1 leave `scale` out"
        raise InputError(
            f"mean {list(mean)} and std {list(std)} cannot be of values in 0..{scale:g}, where a mean is {words}, "
            f"and a standard deviation above 0; {other}"
        )
    means, stds = (tuple(float(v) / scale for v in values) for values in (mean, std))
    return means, stds  # type: ignore[return-value]


def name_of(module: nn.Module, name: str | None) -> str:
    """A model name that is none of dermedge's; by default the class's in snake case."""
    if name is not None:
        if not re.fullmatch(NAME, name):
            raise InputError(f"`name` is 1 to 64 of a-z, 0-9 and _, got {name!r}")
        if name in MODELS:
            raise InputError(f"`name` {name!r} is that of a model of dermedge; choose another")
        return name
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(module).__name__).lower()
    snake = re.sub(r"[^a-z0-9_]+", "_", snake).strip("_")[:56] or "network"
    return f"{snake}_own" if snake in MODELS else snake
