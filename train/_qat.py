"""Fine-tuning for 8 bits: which checkpoint, recipe and split a scheme asks for, and what came of it."""

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
from ._options import Split
from ._recipe import Recipe, for_qat
from ._start import with_its_past

# field of a Split -> its name in a checkpoint's recipe
SPLIT = {"folds": "folds", "fold": "fold", "held_back": "held_back", "seed": "split_seed"}


@dataclass(frozen=True)
class FineTuned:
    """How near the network in 8 bits is to itself in float, before and after; figures of `nearness`."""

    before: dict[str, float]
    after: dict[str, float]

    @property
    def verdict(self) -> str:
        """In words, whether it was worth it."""
        return verdict(self.before, self.after)


@dataclass(frozen=True)
class FineTuning:
    scheme: schemes.Scheme
    scheme_sha256: str  # of its file
    start: Checkpoint

    def defaults(self) -> tuple[Recipe, Split]:
        """The recipe and the split where nobody says otherwise: who taught the checkpoint may teach it again."""
        written = self.start.recipe
        numbers = {field: written[name] for field, name in SPLIT.items() if isinstance(written.get(name), int | float)}
        return for_qat(self.start.model, self.start.preprocess.side), Split(**numbers)

    def check(self, recipe: Recipe) -> None:
        """InputError where the recipe asks for another network than the one that the scheme quantises."""
        start = self.start
        if recipe.model != start.model:
            raise InputError(f"`qat`: the scheme is of {start.model}; leave `model` out or give that one")
        if recipe.side != start.preprocess.side:
            raise InputError(
                f"`qat`: the scheme's ranges were measured at {start.preprocess.side} pixels; "
                f"let `stages` end at that side, got {recipe.side}"
            )
        if recipe.descriptors or recipe.guide or recipe.contrast or recipe.deep_supervision:
            raise InputError(
                "`qat` follows the float network instead of `descriptors`, `guide`, `contrast` and `deep_supervision`; "
                "leave these out"
            )
        self.objective(recipe).learner(start.network())  # names a layer that the model does not have

    def check_classes(self, classes: tuple[Label, ...]) -> None:
        if classes != self.start.labels:
            raise InputError(
                f"`qat`: the checkpoint has the classes {', '.join(label.code for label in self.start.labels)}, "
                f"`photos` has {', '.join(label.code for label in classes)}; give photographs like those it learned "
                "from"
            )

    def objective(self, recipe: Recipe) -> Imitate:
        network = self.start.network().requires_grad_(False)
        return Imitate(recipe, self.scheme.layers, self.scheme_sha256, network, self.start.temperature)

    def compare(self, net: nn.Module, temperature: float, held_back: tuple[np.ndarray, np.ndarray]) -> FineTuned:
        """Figures of the fake-quantised network before and after, the latter of `net`."""
        before, after = (
            nearness(network, self.scheme.layers, self.start.preprocess, held_back, temperature=value)
            for network, value in ((self.start.network(), self.start.temperature), (net, temperature))
        )
        return FineTuned(before, after)

    def entry(self, result: FineTuned) -> dict:
        """What the new checkpoint's recipe says of it."""
        return {
            "scheme": self.scheme_sha256,
            "layers": [asdict(layer) for layer in self.scheme.layers],  # conversion keeps to their kinds and ranges
            "before": dict(self.scheme.measured),
            "held_back": {"before": result.before, "after": result.after},  # of the fake-quantised network
            "terms": {"self": SELF, "start": START, "labels": LABELS},
        }


def read_fine_tuning(scheme_file: Path, init: Path | None) -> FineTuning:
    """The scheme and the checkpoint it was made for: `init`, else the shipped one; InputError if that is another."""
    scheme = schemes.load(scheme_file)
    if any(layer.operator in schemes.COREML_OPERATORS for layer in scheme.layers):
        raise InputError(
            f"{scheme_file} is of a Core ML package; `qat` imitates what LiteRT computes and takes the scheme that "
            "`convert/to_tflite.py` writes"
        )
    weights = init or SHIPPED / f"{scheme.model}.safetensors"
    if not init and not (weights.is_file() and sha256(weights) == scheme.checkpoint_sha256):
        raise InputError(
            f"`qat` {scheme_file} needs `init` with the checkpoint that was converted "
            f"(SHA-256 {scheme.checkpoint_sha256}); the one shipped as {scheme.model} is another or not there"
        )
    start = load(weights)
    if start.sha256 != scheme.checkpoint_sha256:
        raise InputError(
            f"{scheme_file} quantises the checkpoint with SHA-256 {scheme.checkpoint_sha256}, `init` {init} has "
            f"{start.sha256}; give that one, or convert this one to get its scheme"
        )
    if start.model != scheme.model:
        raise InputError(f"{scheme_file} is of {scheme.model}, its checkpoint of {start.model}; convert again")
    return FineTuning(scheme, sha256(scheme_file), with_its_past(start))


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
