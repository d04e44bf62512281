"""A classifier around drawn operations, side by side: its answers in float64, and what each format makes of them."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from hypothesis import reject
from torch import Tensor, nn

from convert._coreml.program import lowered
from convert._tflite.channel_scales import with_scales_behind
from convert._tflite.file import lower
from convert._tflite.quantise import quantise
from edge.checkpoint import Checkpoint, Preprocess
from edge.errors import InputError
from edge.labels import Label
from edge.runtimes.coreml.classifier import CoreML
from edge.runtimes.litert import LiteRT
from edge.tflite.versions import with_versions
from tests.convert.drawn._variants import SIDE, Variant

SCORES = 3  # of each operation
LARGEST = 2.0  # absolute value of a score
NEAR = 5e-5  # of a score, beside what float32 itself loses
ROUNDINGS = 20  # times torch's own float32 error: sums in another order, a badly conditioned operation
PICTURES = np.random.default_rng(7).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)


class Branch(nn.Module):
    """One operation behind a 1 x 1 convolution and a cut, and a fixed random mixture of all that it gives."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        torch.manual_seed(zlib.crc32(repr(variant).encode()))
        self.shape, self.tokens = variant.shape, variant.tokens
        self.stem, self.operation = nn.Conv2d(3, variant.shape[0], 1), variant.make()
        nn.init.normal_(self.stem.weight)
        self.factor = 1.0

    def given(self, picture: Tensor) -> Tensor:
        size = self.shape[1:]
        x = self.stem(4 * picture - 2)[:, :, : size[0] if len(size) > 1 else 1, : size[-1]]
        if self.tokens:
            return x.flatten(2).transpose(1, 2)
        return x if len(size) > 1 else x.squeeze(2)

    def forward(self, picture: Tensor) -> Tensor:
        values = self.operation(self.given(picture)).flatten(1)
        return self.factor * (values @ self.mixture)

    def settle(self, pictures: Tensor) -> None:
        """Draw the mixture, and scale it so that no score is above LARGEST."""
        values = self.operation(self.given(pictures[:1])).flatten(1)
        if not values.numel():
            raise ValueError("nothing is left of the map")
        mixture = torch.randn(values.shape[1], SCORES, dtype=torch.float64) / values.shape[1] ** 0.5
        self.register_buffer("mixture", mixture.to(values.dtype))
        largest = max(float(self(picture[None]).abs().max()) for picture in pictures)
        self.factor = LARGEST / max(largest, 1e-6)


class Network(nn.Module):
    def __init__(self, variants: Sequence[Variant]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(Branch(variant) for variant in variants)

    def forward(self, picture: Tensor) -> Tensor:
        return torch.cat([branch(picture) for branch in self.branches], 1)


def checkpoint_of(variants: Sequence[Variant]) -> Checkpoint:
    """A network of these operations. One that torch itself does not take, or leaves nothing of, is drawn again."""
    pictures = torch.from_numpy(PICTURES).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        network = Network(variants).eval()
        for branch in network.branches:
            try:
                branch.settle(pictures)
            except (RuntimeError, ValueError, IndexError, NotImplementedError):
                reject()
    labels = tuple(Label(f"c{i}", f"c{i}", malignant=None) for i in range(SCORES * len(variants)))
    return Checkpoint("net", labels, Preprocess("exact/1", SIDE), state={}, live=network)


def scores_of(probabilities: np.ndarray) -> np.ndarray:
    """Logarithms, centred: (N, K)."""
    scores = np.log(np.maximum(probabilities, 1e-30))
    return scores - scores.mean(1, keepdims=True)


def truth(checkpoint: Checkpoint) -> tuple[np.ndarray, np.ndarray]:
    """The scores (N, K) in float64, and how far each may be from them."""
    pictures = torch.from_numpy(PICTURES).permute(0, 3, 1, 2)
    model = checkpoint.deployed(layout="NCHW").eval()
    with torch.no_grad():
        single, double = (
            np.concatenate([net(picture[None].to(kind)).double().numpy() for picture in pictures])
            for net, kind in ((model, torch.float32), (copy.deepcopy(model).double(), torch.float64))
        )
    expected = scores_of(double)
    lost = np.abs(scores_of(single) - expected).max(0)
    return expected, NEAR + ROUNDINGS * np.maximum(lost, lost.mean())


def refusal_of(error: InputError) -> str:
    """The words of a refusal, which name the operation and its module."""
    text = str(error)
    assert "cannot be converted: " in text and " in module branches." in text, text
    return text


def tflite(checkpoint: Checkpoint) -> bytes:
    """The float32 file."""
    return lower(checkpoint.deployed(layout="NHWC"), torch.zeros(1, SIDE, SIDE, 3)).content


def eight_bits(content: bytes, recipe: str) -> bytes:
    """The file in 8 bits, in the form in which dermedge writes it."""
    return with_versions(with_scales_behind(quantise(content, recipe)))


def answers(content: bytes, path: Path, mode: str = "xnnpack") -> np.ndarray:
    """Scores (N, K) of a .tflite."""
    path.write_bytes(content)
    runtime = LiteRT(path, mode=mode)
    try:
        return scores_of(runtime.run(PICTURES).probabilities)
    finally:
        runtime.close()


def core_ml(checkpoint: Checkpoint, path: Path) -> np.ndarray:
    """Scores (N, K) of the float32 package, by the interpreter."""
    lowered(checkpoint)[2].save(str(path))
    return scores_of(CoreML(path, mode="interpreter").run(PICTURES).probabilities)
