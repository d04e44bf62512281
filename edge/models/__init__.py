"""The model families: `create_model` builds one by name, `from_upstream` reads weights that others published."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from edge.errors import InputError, did_you_mean
from edge.labels import MAX_CLASSES

if TYPE_CHECKING:
    from torch import Tensor, nn

# Model name -> the module in this folder that holds it. Literal, so that `--help` needs no torch;
# tests/edge/test_models.py holds it equal to the VARIANTS of the families.
MODELS = {
    "hierattn_xs": "hierattn",
    "hierattn_s": "hierattn",
    "hierattn_m": "hierattn",
    "hierattn_xs_ppcr": "hierattn",
    "hierattn_s_ppcr": "hierattn",
    "mobilenetv2_ppcr": "mobilenetv2",
    "hifuse_tiny": "hifuse",
    "hifuse_small": "hifuse",
    "hifuse_base": "hifuse",
    "hifuse_tiny_released": "hifuse",
    "hifuse_small_released": "hifuse",
    "hifuse_base_released": "hifuse",
    "hifuse_tiny_compact": "hifuse_compact",
    "mobilenetv2": "mobilenetv2",
    "mobilenetv2_tf": "mobilenetv2_tf",
    "mobilenetv3_large": "mobilenetv3",
    "shufflenetv2": "shufflenetv2",
    "mnasnet": "mnasnet",
    "efficientnet_b0": "efficientnet",
    "efficientnet_b0_tf": "efficientnet",
    "efficientnet_lite0": "efficientnet_lite",
    "efficientnet_lite1": "efficientnet_lite",
    "efficientnet_lite2": "efficientnet_lite",
    "mobilevit_s": "mobilevit",
    "resformer": "resformer",
    "resformer_three_branch": "resformer",
    "resformer_parallel": "resformer",
    "resformer_lite": "resformer_lite",
}
PPCR = "_ppcr"  # suffix of a model's name that adds pixel attention to it; see `edge.models.ppcr`
DEFAULT_MODEL = "hierattn_xs"  # of commands that are told no other; its weights are among the shipped ones
USUAL_SIDE = 224  # pixels
SIDE_MULTIPLE = 32  # pixels; every family halves the image five times
HEAD = "classifier."  # what the names of the last layer's tensors begin with, in every family


def family_name(name: str) -> str:
    """The family that model `name` belongs to; InputError with the known names if there is none."""
    if name not in MODELS:
        raise InputError(f"unknown model {name!r}{did_you_mean(name, MODELS)}; known: {', '.join(MODELS)}")
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
    net = family(name).build(name.removesuffix(PPCR), num_classes=num_classes)
    if name.endswith(PPCR):
        from .ppcr import PLACES, with_ppca

        net = with_ppca(net, PLACES[family_name(name)])
    return net


def normalisation(name: str) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """(mean, standard deviation) of RGB in [0, 1] that model `name` trains with and its published weights expect."""
    module = family(name)
    return module.MEAN, module.STD


def published_side(name: str) -> int:
    """The input side in pixels of the weights that were published, or the multiple of 32 that is nearest to it.

    `side` of the model's entry in VARIANTS, else the family's constant SIDE, else that of most.
    """
    module = family(name)
    usual: int = getattr(module, "SIDE", USUAL_SIDE)
    return getattr(module.VARIANTS.get(name.removesuffix(PPCR)), "side", usual)


def gives_masks(name: str) -> bool:
    """Whether the networks of a model's family return a mask beside the class; the family's constant MASKS says so."""
    return bool(getattr(family(name), "MASKS", False))


def from_upstream(name: str, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of the authors' released code, renamed to ours.

    Takes their names, with or without the `module.` prefix that DataParallel leaves, and any number
    of classes. Raises InputError that names the first tensors that are missing, left over or of
    another shape than `name` has, or says that no weights of this family were published.
    """
    ours = renamed_upstream(name, state_dict)
    num_classes = classes_of(ours)
    expected = create_model(name, num_classes).state_dict()
    return fitted(name, expected, ours)


def reads_upstream(name: str) -> bool:
    """Whether weights were published for model `name` under names that its family knows."""
    return hasattr(family(name), "from_upstream")


def renamed_upstream(name: str, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """The authors' tensors under our names; InputError where no weights of this family were published."""
    if not reads_upstream(name):
        raise InputError(
            f"no published weights of {name} are known, so there is nothing to rename; train one with "
            f"`python train/train.py --model {name} --data …`"
        )
    return family(name).from_upstream({key.removeprefix("module."): value for key, value in state_dict.items()})


def body_from_upstream(name: str, state_dict: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(all but the last layer, the last layer) of what others published for model `name`, under our names.

    The file need not have a last layer. Raises InputError as `from_upstream` does.
    """
    ours = renamed_upstream(name, state_dict)
    expected = {key: value for key, value in create_model(name, 2).state_dict().items() if not key.startswith(HEAD)}
    head = {key: value for key, value in ours.items() if key.startswith(HEAD)}
    return fitted(name, expected, {key: value for key, value in ours.items() if key not in head}), head


def fitted(name: str, expected: dict[str, Tensor], ours: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of `ours` in the order of `expected`; InputError where they are others."""
    # how many batches a norm has seen: files of before PyTorch 0.4.1 have no such counts, and no answer depends on them
    ours |= {key: expected[key] for key in expected.keys() - ours.keys() if key.endswith(".num_batches_tracked")}
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


def check_state(name: str, expected: dict[str, Tensor], state: dict[str, Tensor]) -> None:
    """Raise InputError unless `state` has the tensors of `expected`, by name and shape."""
    missing = sorted(expected.keys() - state.keys())
    left_over = sorted(state.keys() - expected.keys())
    misshapen = [
        f"{key} is {state[key].dtype}, expected numbers with a point"
        for key in expected
        if key in state and expected[key].is_floating_point() and not state[key].dtype.is_floating_point
    ]
    misshapen += [
        f"{key} is {tuple(state[key].shape)}, expected {tuple(expected[key].shape)}"
        for key in expected
        if key in state and state[key].shape != expected[key].shape
    ]
    problems = [
        f"{len(names)} {problem}, first {', '.join(names[:3])}"
        for problem, names in (
            ("tensors missing", missing),
            ("tensors left over", left_over),
            ("of another shape", misshapen),
        )
        if names
    ]
    if problems:
        raise InputError(f"these weights do not fit {name}: {'; '.join(problems)}. Is `model` right?")
