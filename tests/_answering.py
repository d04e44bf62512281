"""A small network of 32 pixels that was fitted to answers, and the rule of what they add, for tests of all rooms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

import dermedge
from edge.checkpoint import Checkpoint
from edge.labels import PAD_UFES_20
from edge.nine_questions import QUESTIONS
from edge.questionnaire import length_of

SIDE, K, Q = 32, len(PAD_UFES_20), length_of(QUESTIONS)


class Small(nn.Module):
    """`ending`: "logits"; "softmax"; or "mixed", probabilities that no softmax gives, the mean of two."""

    def __init__(self, ending: str) -> None:
        super().__init__()
        self.ending = ending
        self.first, self.second = nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.head, self.other = nn.Linear(32, K), nn.Linear(32, K)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.first(x).relu()).relu().mean((2, 3))
        logits = 3 * self.head(x)
        if self.ending == "mixed":
            return (logits.softmax(-1) + self.other(x).softmax(-1)) / 2
        return logits.softmax(-1) if self.ending == "softmax" else logits


def small(ending: str = "logits", *, seed: int = 3, temperature: float = 1.0) -> Checkpoint:
    """The network with answers of random weights; `seed` of these."""
    torch.manual_seed(0)
    own = Small(ending).eval()
    alone = dermedge.wrap(own, list(PAD_UFES_20), side=SIDE, mean=(0.5,) * 3, std=(0.25,) * 3, name="small")
    weight = torch.randn(K, Q, generator=torch.Generator().manual_seed(seed))
    return replace(alone, questions=QUESTIONS, answers_weight=weight, temperature=temperature)


def sure() -> Checkpoint:
    """Probabilities that are 1 and 0 for a dark picture; the first place of `answers` speaks against that 1."""

    class Sure(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            bright = x.mean((1, 2, 3))[:, None].clamp(0, 1)
            return torch.cat([1 - bright, *([bright / (K - 1)] * (K - 1))], dim=1)

    alone = dermedge.wrap(Sure().eval(), list(PAD_UFES_20), side=SIDE, mean=(0.5,) * 3, std=(0.25,) * 3, name="sure")
    weight = torch.zeros(K, Q)
    weight[:, 0] = torch.tensor([-100.0, *([100.0] * (K - 1))])
    return replace(alone, questions=QUESTIONS, answers_weight=weight)


def with_log_odds(alone: np.ndarray, checkpoint: Checkpoint, vectors: np.ndarray) -> np.ndarray:
    """docs/answers.md in float64: probabilities (N, K) of the picture alone, and `answers` (N, Q), give (N, K)."""
    assert checkpoint.answers_weight is not None
    added = vectors.astype(np.float64) @ checkpoint.answers_weight.double().numpy().T / checkpoint.temperature
    odds = alone * np.exp(added)
    return odds / odds.sum(axis=1, keepdims=True)
