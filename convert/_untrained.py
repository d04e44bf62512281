"""Weights that nobody trained, made so that every answer depends on the picture: for size, speed and fidelity."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge import artifact
from edge.checkpoint import UNTRAINED, Checkpoint, Preprocess, check_side, load, save
from edge.data.readers import open_photos
from edge.data.selection import order, synthetic_sample
from edge.data.squares import load_squares
from edge.errors import InputError
from edge.labels import PAD_UFES_20
from edge.models import create_model, family_name, normalisation
from edge.preprocess import PREPROCESS_VERSION
from edge.progress import busy

if TYPE_CHECKING:
    from torch import nn

SIDE = 224  # pixels, where none is given
IMAGES = 32  # of the embedded sample, from which batch norms take their statistics


def untrained(model: str, *, seed: int = 0, side: int | None = None, folder: Path | None = None) -> Path:
    """`<folder>/untrained-<seed>.safetensors`, a checkpoint of `model` with random weights; made where it is missing.

    Layers start as the family starts them for training. The same seed gives the same weights on the same machine.
    `side`: of the input in pixels, 224 for None; `folder`: build/<model>-untrained for None. Raises InputError where
    the folder holds files of other weights or of another side.
    """
    side = SIDE if side is None else side
    folder = folder or Path("build") / f"{model}-{UNTRAINED}"
    check_side(side, where="`side`")
    family_name(model)
    path = folder / f"{UNTRAINED}-{seed}.safetensors"
    if (folder / artifact.MANIFEST).is_file():  # before weights are drawn into it
        if not (path.is_file() and artifact.read(folder).model == model):
            raise InputError(f"{folder} holds files of another checkpoint; give another `out`, or remove it")
        if load(path).preprocess.side != side:
            raise InputError(f"{folder} holds files of another `side` than {side}; give another `out`, or remove it")
    facts = {"seed": seed, "settled_on": f"{IMAGES} images of the embedded synthetic sample"}
    if path.is_file() and path.with_suffix(".json").is_file():
        found = load(path)
        if (found.model, found.preprocess.side, found.untrained) == (model, side, facts):
            return path
    with busy(f"{model}: random weights"):
        save(drawn(model, side, seed, facts), path)
    return path


def drawn(model: str, side: int, seed: int, facts: dict) -> Checkpoint:
    import torch

    sample = open_photos(synthetic_sample())
    photos = tuple(sorted(sample.photos, key=order)[:IMAGES])
    _, images = load_squares(sample.where(lambda photo: photo in photos), side)
    preprocess = Preprocess(PREPROCESS_VERSION, side, *normalisation(model))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = settled(awakened(create_model(model, len(PAD_UFES_20))), images, preprocess)
    return Checkpoint(model, PAD_UFES_20, preprocess, network.state_dict(), recipe={UNTRAINED: facts})


def awakened(network: nn.Module) -> nn.Module:
    """The network with random numbers in weights that start at 0 everywhere, as those of pixel attention do.

    They would hide what reads them: a file could be wrong there and answer right. Biases stay as they are.
    """
    import torch

    for weight in network.parameters():
        if weight.ndim > 1 and not weight.any():
            torch.nn.init.normal_(weight, std=weight[0].numel() ** -0.5)
    return network


def settled(network: nn.Module, images: np.ndarray, preprocess: Preprocess) -> nn.Module:
    """The network in evaluation mode, its activations of ordinary size and its answers those of a classifier.

    Batch norms take their statistics from the first of `images`, uint8 (N, S, S, 3), and end one deviation above zero:
    about zero, a random network of fifty layers is chaotic and answers to rounding rather than to the picture. The last
    linear layer, `classifier`, looks in the directions in which its input differs most between the images, and is
    shifted and scaled so that over them every logit has mean 0 and all together have deviation 1.
    """
    import torch
    from torch import nn

    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (preprocess.mean, preprocess.std))
    batch = (torch.from_numpy(np.array(images[:IMAGES])).permute(0, 3, 1, 2) / 255 - mean) / std
    last = network.eval().get_submodule("classifier")
    assert isinstance(last, nn.Linear)
    seen: list[torch.Tensor] = []

    def take_statistics(norm: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.copy_(inputs[0].mean((0, 2, 3)))
        norm.running_var.copy_(inputs[0].var((0, 2, 3)))
        if norm.bias is not None:
            norm.bias.fill_(1.0)

    hooks = [
        part.register_forward_pre_hook(take_statistics)
        for part in network.modules()
        if isinstance(part, nn.BatchNorm2d)
    ]
    hooks.append(last.register_forward_pre_hook(lambda _module, given: seen.append(given[0])))
    with torch.no_grad():
        network(batch)
        for hook in hooks:
            hook.remove()
        features = seen[0]  # (N, F)
        directions = torch.linalg.svd(features - features.mean(dim=0), full_matrices=False).Vh[: last.out_features - 1]
        turned = torch.linalg.qr(torch.randn(last.out_features, last.out_features)).Q[:, : len(directions)]
        last.weight.copy_(turned @ directions)
        logits = features @ last.weight.T
        last.weight.div_(deviation := (logits - logits.mean(dim=0)).std())
        last.bias.copy_(-logits.mean(dim=0) / deviation)
    return network
