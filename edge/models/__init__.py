"""The model families: `create_model` builds one by name, `from_upstream` reads its authors' weights."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from edge.errors import InputError
from edge.labels import MAX_CLASSES

if TYPE_CHECKING:
    from torch import Tensor, nn

# Model name -> the module in this folder that holds it. Literal, so that `--help` needs no torch;
# tests/edge/test_models.py holds it equal to the VARIANTS of the families.
MODELS = {
    "hierattn_xs": "hierattn",
    "hierattn_s": "hierattn",
    "hierattn_m": "hierattn",
    "resformer": "resformer",
    "resformer_three_branch": "resformer",
    "resformer_parallel": "resformer",
    "resformer_lite": "resformer",
}
SIDE_MULTIPLE = 32  # pixels; every family halves the image five times


def family_name(name: str) -> str:
    """The family that model `name` belongs to; InputError with the known names if there is none."""
    if name not in MODELS:
        raise InputError(f"unknown model {name!r}; known: {', '.join(MODELS)}")
    return MODELS[name]


def family(name: str):
    """The module of the family that model `name` belongs to."""
    return importlib.import_module(f"{__name__}.{family_name(name)}")


def create_model(name: str, num_classes: int = 6) -> nn.Module:
    """A freshly initialised network: RGB (N, 3, S, S) float, normalised -> logits (N, num_classes).

    A network that also gives the lesion's mask returns (logits, mask logits (N, 1, S, S)).

    S is any multiple of 32. Raises InputError for an unknown name or fewer than two classes.
    """
    if num_classes < 2:
        raise InputError(f"a classifier needs at least 2 classes, got {num_classes}")
    return family(name).build(name, num_classes=num_classes)


def gives_masks(name: str) -> bool:
    """Whether the networks of a model's family return a mask beside the class; the family's constant MASKS says so."""
    return bool(getattr(family(name), "MASKS", False))


def from_upstream(name: str, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of the authors' released code, renamed to ours.

    Takes their names, with or without the `module.` prefix that DataParallel leaves, and any number
    of classes. Raises InputError that names the first tensors that are missing, left over or of
    another shape than `name` has.
    """
    stripped = {key.removeprefix("module."): value for key, value in state_dict.items()}
    ours = family(name).from_upstream(stripped)
    num_classes = classes_of(ours)
    expected = create_model(name, num_classes).state_dict()
    check_state(name, expected, ours)
    return {key: ours[key] for key in expected}


def classes_of(state: dict[str, Tensor]) -> int:
    """The number of classes of one of our state dicts."""
    if "classifier.weight" not in state or state["classifier.weight"].ndim != 2:
        raise InputError(
            "these weights have no final linear layer (expected the tensor classifier.weight, or the authors' "
            "name for it); is this a checkpoint of another model?"
        )
    count = state["classifier.weight"].shape[0]
    if not 2 <= count <= MAX_CLASSES:
        raise InputError(f"these weights have {count} classes; expected 2 to {MAX_CLASSES}")
    return count


def check_state(name: str, expected: dict[str, Tensor], found: dict[str, Tensor]) -> None:
    """Raise InputError unless `found` has the tensors of `expected`, by name and shape."""
    missing = sorted(expected.keys() - found.keys())
    left_over = sorted(found.keys() - expected.keys())
    misshapen = [
        f"{key} is {tuple(found[key].shape)}, expected {tuple(expected[key].shape)}"
        for key in expected
        if key in found and found[key].shape != expected[key].shape
    ]
    problems = [
        f"{len(names)} {what}, first {', '.join(names[:3])}"
        for what, names in (
            ("tensors missing", missing),
            ("tensors left over", left_over),
            ("of another shape", misshapen),
        )
        if names
    ]
    if problems:
        raise InputError(f"these weights do not fit {name}: {'; '.join(problems)}. Is --model right?")
