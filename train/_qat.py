"""`--qat`: which checkpoint, recipe and split a scheme asks for, and what came of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from torch import nn

from edge import scheme as schemes
from edge.checkpoint import SHIPPED, Checkpoint, load
from edge.errors import InputError
from edge.files import sha256
from edge.labels import Label

from ._imitate import LABELS, SELF, START, Imitate
from ._nearness import nearness
from ._recipe import Recipe, for_qat

SPLIT = ("folds", "fold", "held_back", "split_seed")  # names in a checkpoint's recipe and of the flags


@dataclass(frozen=True)
class FineTuning:
    scheme: schemes.Scheme
    scheme_sha256: str  # of its file
    start: Checkpoint

    def defaults(self) -> tuple[Recipe, dict[str, float]]:
        """The recipe and the split where no flag says otherwise: those who taught the checkpoint may teach it again."""
        written = self.start.recipe
        split = {name: written[name] for name in SPLIT if isinstance(written.get(name), int | float)}
        return for_qat(self.start.model, self.start.preprocess.side), split

    def check(self, recipe: Recipe) -> None:
        """InputError where flags ask for another network than the one that the scheme quantises."""
        start = self.start
        if recipe.model != start.model:
            raise InputError(f"--qat: the scheme is of {start.model}; leave --model out or give that one")
        if recipe.side != start.preprocess.side:
            raise InputError(
                f"--qat: the scheme's ranges were measured at {start.preprocess.side} pixels; "
                f"let --stages end at that side, got {recipe.side}"
            )
        if recipe.descriptors or recipe.guide:
            raise InputError("--qat follows the float network instead of --descriptors and --guide; leave these out")
        self.objective(recipe).learner(start.network())  # names a layer that the model does not have

    def check_classes(self, classes: tuple[Label, ...]) -> None:
        if classes != self.start.labels:
            raise InputError(
                f"--qat: the checkpoint has the classes {', '.join(label.code for label in self.start.labels)}, "
                f"--data has {', '.join(label.code for label in classes)}; give photographs like those it learned from"
            )

    def objective(self, recipe: Recipe) -> Imitate:
        network = self.start.network().requires_grad_(False)
        return Imitate(recipe, self.scheme.layers, self.scheme_sha256, network, self.start.temperature)

    def compare(
        self, net: nn.Module, temperature: float, held_back: tuple[np.ndarray, np.ndarray]
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Figures of the fake-quantised network before and after, the latter of `net`; see `nearness`."""
        before, after = (
            nearness(network, self.scheme.layers, self.start.preprocess, held_back, temperature=value)
            for network, value in ((self.start.network(), self.start.temperature), (net, temperature))
        )
        return before, after

    def entry(self, before: dict[str, float], after: dict[str, float]) -> dict:
        """What the new checkpoint's recipe says of it."""
        return {
            "scheme": self.scheme_sha256,
            "layers": [asdict(layer) for layer in self.scheme.layers],  # conversion keeps to their kinds and ranges
            "before": dict(self.scheme.measured),
            "held_back": {"before": before, "after": after},  # of the fake-quantised network
            "terms": {"self": SELF, "start": START, "labels": LABELS},
        }


def read_fine_tuning(scheme_file: Path, init: Path | None) -> FineTuning:
    """The scheme and the checkpoint it was made for: `init`, else the shipped one; InputError if that is another."""
    scheme = schemes.load(scheme_file)
    if any(layer.operator in schemes.COREML_OPERATORS for layer in scheme.layers):
        raise InputError(
            f"{scheme_file} is of a Core ML package; --qat imitates what LiteRT computes and takes the scheme that "
            "`convert/to_tflite.py` writes"
        )
    given = init or SHIPPED / f"{scheme.model}.safetensors"
    if not init and not (given.is_file() and sha256(given) == scheme.checkpoint_sha256):
        raise InputError(
            f"--qat {scheme_file} needs --init with the checkpoint that was converted "
            f"(SHA-256 {scheme.checkpoint_sha256}); the one shipped as {scheme.model} is another or not there"
        )
    start = load(given)
    if start.sha256 != scheme.checkpoint_sha256:
        raise InputError(
            f"{scheme_file} quantises the checkpoint with SHA-256 {scheme.checkpoint_sha256}, --init {init} has "
            f"{start.sha256}; give that one, or convert this one to get its scheme"
        )
    if start.model != scheme.model:
        raise InputError(f"{scheme_file} is of {scheme.model}, its checkpoint of {start.model}; convert again")
    return FineTuning(scheme, sha256(scheme_file), start)


def verdict(before: dict[str, float], after: dict[str, float]) -> str:
    """In words, whether it was worth it."""
    numbers = (
        f"median SQNR {before['sqnr_db']:.1f} -> {after['sqnr_db']:.1f} dB, "
        f"same class {before['agreement']:.1%} -> {after['agreement']:.1%}, balanced accuracy in 8 bits "
        f"{before['balanced_accuracy_quantised']:.3f} -> {after['balanced_accuracy_quantised']:.3f} "
        f"({after['images']:.0f} held-back photographs)"
    )
    if after["sqnr_db"] < before["sqnr_db"]:
        return f"in 8 bits the network is now FARTHER from itself in float than before: {numbers}; keep the old file"
    if after["agreement"] < before["agreement"]:
        return (
            f"in 8 bits the network is no farther from itself in float than before, but gives another class more "
            f"often: {numbers}; convert both and compare"
        )
    return f"in 8 bits the network is no farther from itself in float than before: {numbers}; convert again"
