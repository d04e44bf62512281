"""Fine-tuning for palettes: a network whose weights take 2^n values a tensor learns to answer as it did in float.

k-means places the values of a tensor by its weights, without regard to the answers. Here each tensor keeps its table of
2^n values, each weight takes the nearest, and tables, weights and all that stays float (biases, norms) learn together:
the gradient of a chosen value goes to its entry in the table, and straight through to the weight that chose it (Bengio
et al. 2013, arXiv:1308.3432). The teacher is the network itself in float, on photographs of its own training patients,
turned and mirrored; no labels are needed. What is written has the learned values exactly, since a tensor of so few
values is stored as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, fx

from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.manifest import FineTuned
from edge.metrics import statistics as st
from edge.progress import track
from edge.runtimes.coreml.classifier import torch_threads

from .._graph.graph import copy_graph, results
from .._resize_names import is_matrix
from .program import SMALLEST_QUANTISED

IMAGES = 1200  # of training patients at most; 25 ms an image and epoch on one x86-64 core, hierattn_xs at 128 pixels
BATCH = 16
HELD_BACK = 6  # every sixth patient is held back, to judge whether tuning helped
# Learning rates of Adam at 4 bits: of tables and of weights in units of the tensor's standard deviation, and of what
# stays float in units of its mean size. With more bits the values of a table lie closer, so rates shrink by 2^bits: at
# 6 bits these rates lose 3 dB, where a quarter of them gains 3.
RATES = (0.003, 0.003, 0.001)
FLOOR = 1e-4  # of a probability; smaller ones count as equal, as in the parity report
Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Tuned:
    graph: fx.GraphModule  # with the weights to write: the learned ones, or those before where they are no better
    images: int  # that it learned from
    epochs: int
    before_db: float  # median SQNR on the held-back patients with k-means alone
    after_db: float

    @property
    def better(self) -> bool:
        return self.after_db > self.before_db

    @property
    def facts(self) -> FineTuned:
        """For the manifest."""
        return FineTuned(self.images, self.epochs, self.before_db, self.after_db, self.better)

    @property
    def words(self) -> str:
        change = f"median SQNR {self.before_db:.1f} -> {self.after_db:.1f} dB on training patients held back"
        return change if self.better else f"{change}: NO BETTER, so its weights are those before"


def tune(graph: fx.GraphModule, bits: int, photos: PhotoSet, images: np.ndarray, *, epochs: int, doing: str) -> Tuned:
    """A classifier (1, 3, S, S) -> probabilities (1, K) with weights of 2^bits values, after `epochs` over the images.

    `images`: uint8 (N, S, S, 3) of `photos`. Runs on one thread; the same input gives the same weights.
    """
    if len(results(graph)) > 1:
        raise InputError(
            "`fine_tune` learns from the class alone and would spoil the mask that this network gives beside it; "
            "leave it out"
        )
    judging = held_back(photos)
    learning = np.setdiff1d(np.arange(len(images)), judging)
    with torch_threads(1):
        palette = Palette(graph, bits)
        wanted = answers(graph, {}, images[judging])
        before = faithfulness(wanted, answers(graph, palette.weights(), images[judging]))
        learn(graph, palette, images[learning], epochs, doing)
        after = faithfulness(wanted, answers(graph, palette.weights(), images[judging]))
        tuned = with_weights(graph, palette.weights()) if after > before else graph
    return Tuned(tuned, len(learning), epochs, before, after)


class Palette:
    """The tensors that learn, in units of each tensor's own size, and the weights that follow from them."""

    def __init__(self, graph: fx.GraphModule, bits: int) -> None:
        self.bits = bits
        named = {**dict(graph.named_parameters()), **dict(graph.named_buffers())}
        floats = {n: value.detach() for n, value in named.items() if value.is_floating_point() and not is_matrix(n)}
        rough = {
            name: value for name, value in floats.items()
            if value.numel() >= SMALLEST_QUANTISED and value.unique().numel() > 2**bits
        }  # fmt: skip
        # Constants of few values (pooling matrices, the image's scale) are part of the computation, not learned.
        fine = {n: v for n, v in floats.items() if n not in rough and 1 < v.numel() < SMALLEST_QUANTISED and varied(v)}
        self.size = {name: value.std() for name, value in rough.items()}
        self.size |= {name: value.abs().mean() for name, value in fine.items()}
        self.table = {name: (centres(value, bits) / self.size[name]).requires_grad_() for name, value in rough.items()}
        self.chooser = {name: (value / self.size[name]).requires_grad_() for name, value in rough.items()}
        self.fine = {name: (value / self.size[name]).requires_grad_() for name, value in fine.items()}

    def optimiser(self) -> torch.optim.Adam:
        groups = zip((self.table, self.chooser, self.fine), RATES, strict=True)
        scale = 2.0 ** (4 - self.bits)
        return torch.optim.Adam([{"params": list(part.values()), "lr": rate * scale} for part, rate in groups])

    def weights(self) -> Weights:
        """Every learned tensor as it is written; gradients reach tables and choosers."""
        tensors = {name: value * self.size[name] for name, value in self.fine.items()}
        for name, table in self.table.items():
            places, order = table.detach().sort()
            wanted = self.chooser[name]
            chosen = table[order[torch.bucketize(wanted.detach(), (places[1:] + places[:-1]) / 2)]]
            tensors[name] = (chosen + (wanted - wanted.detach())) * self.size[name]
        return tensors


def learn(graph: fx.GraphModule, palette: Palette, images: np.ndarray, epochs: int, doing: str) -> None:
    optimiser = palette.optimiser()
    rates = [group["lr"] for group in optimiser.param_groups]
    rng = np.random.default_rng(0)
    batches = [
        order[start : start + BATCH]
        for order in (rng.permutation(len(images)) for _ in range(epochs))
        for start in range(0, len(order), BATCH)
    ]
    for number, batch in enumerate(track(batches, doing, len(batches))):
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * (1 + math.cos(math.pi * number / len(batches))) / 2
        optimiser.zero_grad()
        weights = palette.weights()
        leaves = {name: value.detach().requires_grad_() for name, value in weights.items()}
        for place in batch:
            image = as_input(turned(images[place], rng))
            with torch.no_grad():
                wanted = logits(graph(image))
            answer = logits(torch.func.functional_call(graph, leaves, (image,)))
            noise = (answer - wanted).square().sum() / (wanted.square().sum() + 1)
            (noise / len(batch)).backward()
        reached = [name for name, leaf in leaves.items() if leaf.grad is not None]
        torch.autograd.backward([weights[name] for name in reached], [leaves[name].grad for name in reached])
        optimiser.step()


def held_back(photos: PhotoSet) -> np.ndarray:
    """Indices of the photographs of every sixth patient."""
    patients = {patient: n for n, patient in enumerate(sorted(set(photos.patients)))}
    return np.array([n for n, patient in enumerate(photos.patients) if patients[patient] % HELD_BACK == 0])


@torch.no_grad()
def answers(graph: fx.GraphModule, weights: Weights, images: np.ndarray) -> np.ndarray:
    """Probabilities, float64 (N, K), with these weights in float16 as the package holds them."""
    held = {name: value.half().float() for name, value in weights.items()}
    rows = [torch.func.functional_call(graph, held, (as_input(image),))[0] for image in images]
    return torch.stack(rows).double().numpy()


def faithfulness(wanted: np.ndarray, probabilities: np.ndarray) -> float:
    return float(np.median(st.sqnr_db(st.read_back_logits(wanted), st.read_back_logits(probabilities))))


def with_weights(graph: fx.GraphModule, weights: Weights) -> fx.GraphModule:
    graph = copy_graph(graph)
    named = {**dict(graph.named_parameters()), **dict(graph.named_buffers())}
    with torch.no_grad():
        for name, value in weights.items():
            named[name].copy_(value)
    return graph


def varied(value: Tensor) -> bool:
    return value.unique().numel() > 4


def centres(value: Tensor, bits: int) -> Tensor:
    """2^bits cluster centres of a tensor's numbers, float32, by k-means with a fixed seed."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        clusters = KMeans(2**bits, n_init=1, random_state=0).fit(value.reshape(-1, 1).double().numpy())
    return torch.from_numpy(np.sort(clusters.cluster_centers_[:, 0])).float()


def turned(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image in one of the eight orientations of a square, drawn at random."""
    image = np.rot90(image, int(rng.integers(4)))
    return image[:, ::-1] if rng.integers(2) else image


def as_input(image: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)[None])).float()


def logits(probabilities: Tensor) -> Tensor:
    """Logits read back from probabilities, minus their mean."""
    logs = probabilities.clamp_min(FLOOR).log()
    return logs - logs.mean(-1, keepdim=True)
