"""Files of a network that nobody here wrote, and how far their answers are from PyTorch's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree

import numpy as np
import torch

from convert._coreml.program import compact, exported, float_program, rewritten
from convert._tflite.file import float_model
from convert._tflite.measured import measure
from convert._tflite.quantise import CHOSEN, recipe_file
from dermedge import wrap
from edge.checkpoint import Checkpoint
from edge.data.selection import Photographs
from edge.errors import InputError
from edge.metrics.statistics import logit_difference, read_back_logits, sqnr_db
from edge.runtimes.coreml.classifier import CoreML
from edge.runtimes.litert import LiteRT

from ._foreign import CLASSES, MEAN, NETWORKS, STD, built, pictures

PICTURES = 16
FORMS = {"TFLite": ("fp32", "fp16", "int8-dynamic", "int8"), "Core ML": ("fp32", "fp16")}


@dataclass(frozen=True)
class Closeness:
    """Of a file's answers to PyTorch's."""

    sqnr_db: float  # median over the pictures
    logit_difference: float  # the largest, in units of max(1, largest |logit| of its picture)


@dataclass
class Row:
    name: str
    files: dict[tuple[str, str], Closeness] = field(default_factory=dict)  # format and recipe
    refused: dict[str, str] = field(default_factory=dict)  # format -> why

    def markdown(self) -> str:
        network = NETWORKS[self.name]
        config = ", ".join(f"{key}={value}" for key, value in network.config.items())
        cells = [
            f"{self.files[form, recipe].sqnr_db:.0f}" if (form, recipe) in self.files else "refused"
            for form, recipes in FORMS.items()
            for recipe in recipes
        ]
        return f"| {self.name} | `{network.kind}`, {network.side} px: {config} | {' | '.join(cells)} |"


def measured(name: str, folder: Path) -> Row:
    """Every file of a network, run here; `folder` is for the files meanwhile."""
    checkpoint, row = checkpoint_of(name), Row(name)
    images = pictures(PICTURES, checkpoint.preprocess.side, seed=1)
    wanted = answers(checkpoint, images)
    for form, convert_and_run in (("TFLite", tflite), ("Core ML", coreml)):
        try:
            for recipe, probabilities in convert_and_run(checkpoint, images, folder):
                row.files[form, recipe] = closeness(wanted, probabilities)
        except InputError as error:
            row.refused[form] = str(error)
    return row


def checkpoint_of(name: str) -> Checkpoint:
    labels = [f"class-{number}" for number in range(CLASSES)]
    side, model = NETWORKS[name].side, f"{NETWORKS[name].kind.lower()}_config"  # no name of ours
    return wrap(built(name), labels, side=side, mean=MEAN, std=STD, name=model, untrained=True)


@torch.no_grad()
def answers(checkpoint: Checkpoint, images: np.ndarray) -> np.ndarray:
    """PyTorch's probabilities, picture by picture, float64 (N, K)."""
    module = checkpoint.deployed(layout="NHWC")
    rows = [module(torch.from_numpy(image[None]).float())[0] for image in images]
    return torch.stack(rows).double().numpy()


def tflite(
    checkpoint: Checkpoint,
    images: np.ndarray,
    folder: Path,
    recipes: Sequence[str] = FORMS["TFLite"],
    photos: Photographs = None,
) -> Iterator[tuple[str, np.ndarray]]:
    """Recipe and probabilities of each file, by XNNPACK; int8 is measured on `photos`, or on drawn ones."""
    lowered = float_model(checkpoint)
    for recipe in recipes:
        path = folder / "network.tflite"
        if recipe in CHOSEN:
            measurement = measure(checkpoint, lowered, data=photos)
            layers = measurement.scheme.layers if measurement.scheme else None
            path.write_bytes(recipe_file(recipe, lowered.content, measurement.rounded, layers))
        else:
            path.write_bytes(recipe_file(recipe, lowered.content, lowered.content, None))
        runtime = LiteRT(path)
        yield recipe, runtime.run(images).probabilities
        runtime.close()


def coreml(checkpoint: Checkpoint, images: np.ndarray, folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Recipe and probabilities of each package, by the interpreter."""
    program = exported(checkpoint, rewritten(checkpoint))
    for recipe in FORMS["Core ML"]:
        path = folder / "network.mlpackage"
        rmtree(path, ignore_errors=True)
        compact(float_program(checkpoint, program, recipe)).save(str(path))
        runtime = CoreML(path)
        yield recipe, runtime.run(images).probabilities
        runtime.close()


def closeness(wanted: np.ndarray, probabilities: np.ndarray) -> Closeness:
    logits, read = read_back_logits(wanted), read_back_logits(probabilities)
    return Closeness(float(np.median(sqnr_db(logits, read))), float(logit_difference(logits, read).max()))
