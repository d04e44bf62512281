"""Any torch.nn.Module as a checkpoint of dermedge."""

from __future__ import annotations

import copy
import hashlib
import logging
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge import checks
from edge.checkpoint import FOREIGN, NAME, UNTRAINED, Checkpoint, Preprocess, check_side, versions_here
from edge.errors import InputError
from edge.labels import MAX_CLASSES, Label, doubtful
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
    from edge.models.foreign import Foreign, ends_in_sigmoid, tried_out
    from edge.program import to_bytes

    module = author_module(module, "module")
    side = checks.whole(side, "side")
    checks.truths(untrained=untrained)
    check_side(side, where="`side`", multiple=1)
    classes = labels_of(labels, malignant)
    preprocess = Preprocess(PREPROCESS_VERSION, side, *normalisation(mean, std, scale))
    temperature = checks.number(temperature, "temperature")
    if not 0.01 <= temperature <= 100:
        raise InputError(f"`temperature` is a number between 0.01 and 100, got {temperature:g}")
    model = name_of(module, name)
    network = Foreign(own_copy(module)).eval().requires_grad_(False)
    returned = tried_out(network, side)
    if returned.classes != len(classes):
        raise InputError(
            f"the network gives {returned.classes} scores, `labels` names {len(classes)} classes: "
            f"{', '.join(label.code for label in classes)}; they must be the same, in order"
        )
    if returned.gives == "probabilities":
        log.info("%s gives probabilities: they are taken as they are, without another softmax", model)
        if temperature != 1:
            raise InputError(
                f"{model} gives probabilities, which have no `temperature`; leave it out, or take the softmax off"
            )
    program = to_bytes(network, side)
    exported = check_alike(network, program, side)
    if returned.gives == "logits" and ends_in_sigmoid(exported):
        log.warning(
            "%s: its scores come out of a sigmoid; they are taken for logits, and a softmax follows. Hand over the "
            "network without the sigmoid if its classes exclude each other",
            model,
        )
    facts = {"seed": 0, "settled_on": "nothing: handed over as untrained"}
    return Checkpoint(
        model=model,
        labels=classes,
        preprocess=preprocess,
        state={},
        temperature=temperature,
        recipe={"wrapped": type(module).__name__, **({UNTRAINED: facts} if untrained else {})},
        versions=versions_here(),
        sha256=hashlib.sha256(program).hexdigest(),
        program=program,
        gives=returned.gives,
        own_family=FOREIGN,
        live=network,
    )


def author_module(module: object, parameter: str) -> nn.Module:
    """The network itself, without what torch.compile or DataParallel put around it; else InputError."""
    import torch

    if not isinstance(module, torch.nn.Module):
        raise InputError(f"`{parameter}` is a torch.nn.Module, got {checks.shown(module)}; give the network itself")
    inner = getattr(module, "_orig_mod", None)
    if type(module).__name__ in {"DataParallel", "DistributedDataParallel"}:
        inner = module.module
    if inner is not None:
        return author_module(inner, parameter)
    if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        raise InputError(
            f"`{parameter}` is or holds TorchScript, as torch.jit.trace and torch.jit.script make it, which "
            "torch.export cannot follow; give the torch.nn.Module that it was made of"
        )
    return module


def own_copy(module: nn.Module) -> nn.Module:
    """A copy on the CPU in float32; else InputError."""
    lazy = [name for name, value in module.named_parameters() if "Uninitialized" in type(value).__name__]
    if lazy or any(value.is_meta for value in module.parameters()):
        raise InputError(
            f"the network has no weights yet{f' ({lazy[0]})' if lazy else ' (device meta)'}; run it once on a picture, "
            "or load its weights, before it is wrapped"
        )
    try:
        return copy.deepcopy(module, results_held(module)).cpu().float()
    except Exception as error:  # whatever a stranger's module holds
        first = (str(error).splitlines() or ["?"])[0][:200]
        raise InputError(f"the network cannot be copied ({type(error).__name__}: {first})") from error


def results_held(module: nn.Module) -> dict[int, object]:
    """What `copy.deepcopy` takes for tensors that a former run left in a module, which it would not copy itself."""
    import torch

    held = [value for part in module.modules() for value in vars(part).values() if isinstance(value, torch.Tensor)]
    return {id(value): value.detach().clone() for value in held if not value.is_leaf}


def check_alike(network: Foreign, program: bytes, side: int) -> nn.Module:
    """The exported program as a module; InputError unless it gives the scores of the network."""
    import torch

    from edge.models.foreign import Foreign, scores_of
    from edge.program import from_bytes

    picture = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(1))
    exported = from_bytes(program, where="the network")
    with torch.no_grad():
        wanted, given_back = scores_of(network, picture), scores_of(Foreign(exported), picture)
    difference = float((wanted - given_back).abs().max())
    if not difference <= ALIKE * max(1.0, float(wanted.abs().max())):
        raise InputError(
            f"the network and its exported program differ by {difference:.1e} on one picture: it keeps a state of its "
            "own, or does something that torch.export does not see"
        )
    return exported


def listed(values: object) -> list | None:
    """The entries of a list, a tuple or an array or tensor of one axis, as Python's own values; None for others."""
    if getattr(values, "ndim", None) == 1 and hasattr(values, "tolist"):
        values = values.tolist()
    return list(values) if isinstance(values, list | tuple) else None


def labels_of(labels: Sequence[str | Label], malignant: Sequence[bool | None] | None = None) -> tuple[Label, ...]:
    """Labels from class codes or Labels; InputError unless they are 2 or more that differ."""
    names = listed(labels)
    if names is None or not 2 <= len(names) <= MAX_CLASSES:
        raise InputError(
            f"`labels` is a list of 2 to {MAX_CLASSES} classes in output order, got {checks.shown(labels)}"
        )
    strange = [name for name in names if not isinstance(name, str | Label)]
    if strange:
        raise InputError(f"`labels` holds texts or dermedge.Label, got {checks.shown(strange[0])} among them")
    truths = [None] * len(names) if malignant is None else malignant_of(malignant, names)
    classes = []
    for label, truth in zip(names, truths, strict=True):
        if not isinstance(label, Label):
            label = Label(re.sub(r"[^\w-]+", "_", label).strip("_"), str(label), malignant=None)
        classes.append(label if malignant is None else Label(label.code, label.name, truth))
    codes = [label.code for label in classes]
    twice = [code for code in codes if codes.count(code) > 1]
    if twice:
        raise InputError(
            f"class codes must differ, got {', '.join(codes)}; {twice[0]} stands there {codes.count(twice[0])} times "
            "(a code is a label with all but letters, digits and - as _): name each class otherwise"
        )
    for doubt in doubtful(tuple(classes)):
        log.warning(doubt)
    return tuple(classes)


def malignant_of(malignant: object, names: Sequence[str | Label]) -> list[bool | None]:
    """True, False or None for each class; InputError for anything else."""
    values = listed(malignant)
    if values is None:
        raise InputError(
            f"`malignant` is a list of True, False or None for each class, got {checks.shown(malignant)}; leave it out "
            "where nothing is known"
        )
    if len(values) != len(names):
        raise InputError(
            f"`malignant` has {len(values)} entries for {len(names)} labels; give True, False or None for each, in the "
            "order of `labels`, or leave it out"
        )
    values = [plain_bool(value) for value in values]
    strange = [value for value in values if not (value is None or isinstance(value, bool))]
    if strange:
        raise InputError(
            f"`malignant` holds True, False or None for each class, got {checks.shown(strange[0])} among them"
        )
    return values


def plain_bool(value: object) -> object:
    """A truth value of torch as Python's; anything else as it is."""
    alone = getattr(value, "ndim", None) == 0 and hasattr(value, "item")
    return value.item() if alone else value  # type: ignore[attr-defined]


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
    scale = checks.number(scale, "scale")
    if scale not in (1, 255):
        raise InputError(
            f"`scale` is 1 (mean and std of values in 0..1, as torchvision has them) or 255 (of 0..255), got {scale:g}"
        )
    mean, std = three(mean, "mean"), three(std, "std")
    smallest = 0.0 if scale == 1 else 1.0
    for name, values, zero in (("mean", mean, True), ("std", std, False)):
        strange = [v for v in values if not ((smallest <= v <= scale and v > 0) or (v == 0 and zero))]
        if strange:
            allowed = "0 to 1" if scale == 1 else "1 to 255, or 0" if zero else "1 to 255"
            allowed = "above 0 and up to 1" if scale == 1 and not zero else allowed
            other = "for values in 0..255 say `scale=255`" if scale == 1 else "for values in 0..1 leave `scale` out"
            raise InputError(
                f"`{name}` {values} cannot be of pictures with values in 0..{scale:g}: each number is then {allowed}, "
                f"got {strange[0]:g}; {other}"
            )
    means, stds = (tuple(float(v) / scale for v in values) for values in (mean, std))
    if min(stds) < SMALLEST_STD:
        raise InputError(f"std {list(std)} is too small to divide by; a standard deviation is 0.2 to 0.3 of 0..1")
    return means, stds  # type: ignore[return-value]


def name_of(module: nn.Module, name: str | None) -> str:
    """A model name that is none of dermedge's; by default the class's in snake case."""
    if name is not None:
        if not isinstance(name, str) or not re.fullmatch(NAME, name):
            raise InputError(f"`name` is a text of 1 to 64 of a-z, 0-9 and _, got {checks.shown(name)}")
        if name in MODELS:
            raise InputError(f"`name` {name!r} is that of a model of dermedge; choose another")
        return name
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(module).__name__).lower()
    snake = re.sub(r"[^a-z0-9_]+", "_", snake).strip("_")[:56] or "network"
    return f"{snake}_own" if snake in MODELS else snake
