"""Any torch.nn.Module as a checkpoint of dermedge."""

from __future__ import annotations

import copy
import hashlib
import logging
import math
import operator
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

    from edge.models.foreign import Foreign

log = logging.getLogger("dermedge")

ALIKE = 1e-4  # of the largest score: the network against its exported program
SMALLEST_STD = 1e-4  # of values in 0..1


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
    side = whole_number(side, "side")
    check_side(side, where="`side`", multiple=1)
    classes = labels_of(labels, malignant)
    preprocess = Preprocess(PREPROCESS_VERSION, side, *normalisation(mean, std, scale))
    if not isinstance(temperature, int | float) or not 0.01 <= temperature <= 100:
        raise InputError(f"`temperature` is a number between 0.01 and 100, got {temperature!r:.60}")
    model = name_of(module, name)
    network = Foreign(own_copy(module)).eval().requires_grad_(False)
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
    check_alike(network, program, side)
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


def own_copy(module: nn.Module) -> nn.Module:
    """A copy on the CPU in float32, without what torch.compile or DataParallel put around it; else InputError."""
    module = getattr(module, "_orig_mod", module)
    if type(module).__name__ in {"DataParallel", "DistributedDataParallel"}:
        module = module.module  # type: ignore[assignment]
    lazy = [name for name, value in module.named_parameters() if "Uninitialized" in type(value).__name__]
    if lazy or any(value.is_meta for value in module.parameters()):
        raise InputError(
            f"the network has no weights yet{f' ({lazy[0]})' if lazy else ' (device meta)'}; run it once on a picture, "
            "or load its weights, before it is wrapped"
        )
    try:
        return copy.deepcopy(module).cpu().float()
    except Exception as error:  # whatever a stranger's module holds
        first = (str(error).splitlines() or ["?"])[0][:200]
        raise InputError(f"the network cannot be copied ({type(error).__name__}: {first})") from error


def check_alike(network: Foreign, program: bytes, side: int) -> None:
    """InputError unless the exported program gives the scores of the network."""
    import torch

    from edge.models.foreign import Foreign, scores_of
    from edge.program import from_bytes

    picture = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        exported = Foreign(from_bytes(program, where="the network"))
        wanted, given_back = scores_of(network, picture), scores_of(exported, picture)
    difference = float((wanted - given_back).abs().max())
    if not difference <= ALIKE * max(1.0, float(wanted.abs().max())):
        raise InputError(
            f"the network and its exported program differ by {difference:.1e} on one picture: it keeps a state of its "
            "own, or does something that torch.export does not see"
        )


def whole_number(value: object, name: str) -> int:
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError as error:
        raise InputError(f"`{name}` is a whole number of pixels, got {value!r:.60}") from error


def plain_bool(value: object) -> object:
    """A truth value of NumPy or torch as Python's; anything else as it is."""
    return value.item() if hasattr(value, "item") else value


def labels_of(labels: Sequence[str | Label], malignant: Sequence[bool | None] | None = None) -> tuple[Label, ...]:
    """Labels from class codes or Labels; InputError unless they are 2 or more that differ."""
    if not isinstance(labels, list | tuple) or not 2 <= len(labels) <= MAX_CLASSES:
        raise InputError(f"`labels` is a list of 2 to {MAX_CLASSES} classes, got {labels!r:.120}")
    if not all(isinstance(label, str | Label) for label in labels):
        raise InputError(f"`labels` holds texts or dermedge.Label, got {labels!r:.120}")
    if malignant is not None:
        if not hasattr(malignant, "__len__"):
            raise InputError(f"`malignant` is a list of True, False or None for each class, got {malignant!r:.60}")
        malignant = [value if value is None or isinstance(value, bool) else plain_bool(value) for value in malignant]
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


def three(values: Sequence[float], name: str) -> list[float]:
    """Three numbers of a list, an array or a tensor; InputError otherwise."""
    try:
        numbers = [float(value) for value in values if not isinstance(value, bool | str)]
    except (TypeError, ValueError, OverflowError):
        numbers = []
    if len(numbers) != 3 or not all(math.isfinite(number) for number in numbers):
        raise InputError(f"`{name}` is three numbers, red, green and blue, got {values!r:.80}")
    return numbers


def normalisation(mean: Sequence[float], std: Sequence[float], scale: float) -> tuple[Three, Three]:
    """(mean, std) for values in 0..1; InputError where the numbers cannot be of values in 0..`scale`."""
    if not isinstance(scale, int | float) or scale not in (1, 255):
        raise InputError(f"`scale` is 1 (mean and std of values in 0..1, as torchvision has them) or 255, got {scale}")
    mean, std = three(mean, "mean"), three(std, "std")
    smallest, words = (0.0, "within") if scale == 1 else (1.0, "0 or 1 at least, and within")
    if not all(v == 0 or smallest <= v <= scale for v in mean) or not all(v and smallest <= v <= scale for v in std):
        other = "for values in 0..255 say `scale=255`" if scale == 1 else "for values in 0..1 leave `scale` out"
        raise InputError(
            f"mean {list(mean)} and std {list(std)} cannot be of values in 0..{scale:g}, where a mean is {words}, "
            f"and a standard deviation above 0; {other}"
        )
    means, stds = (tuple(float(v) / scale for v in values) for values in (mean, std))
    if min(stds) < SMALLEST_STD:
        raise InputError(f"std {list(std)} is too small to divide by; a standard deviation is 0.2 to 0.3 of 0..1")
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
