"""Features that answers gate, beside added log-odds: what late addition is compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

FOLDS = 4  # in which the training patients get features and a classifier that did not learn from them
STEPS, BATCH, RATE = 600, 512, 0.02
DECAY_GATE, DECAY_ADDED = 1.0, 0.5  # of a photograph; 0.1 and 10 for the gate were not better


def gated(photos: Any, answers: Any, features: np.ndarray, judged: Any, guide: Any) -> np.ndarray:
    """Logits (N, K) of x (1 + tanh(A a)) C + W a with the classifier C of descriptors as it is, A and W learned.

    `photos`, `answers`: of the training patients, out of fold among themselves; `features` (N, D) and `judged` are
    those of the unseen. Answers are centred as for the log-odds, so that blanks add and gate nothing.
    """
    from edge.data.splits import patient_folds
    from edge.data.squares import load_squares
    from edge.nine_questions import QUESTIONS
    from train._answer_fit import COPIES, MOST_DROPPED, centred, class_weights, question_of_places
    from train._descriptors import SIDE
    from train._guide import fit_guide

    targets, classes = np.array(photos.targets), len(photos.classes)
    squares = np.array(load_squares(photos, SIDE)[1])
    fold_of = patient_folds(photos.targets, photos.patients, folds=FOLDS, seed=1)
    x = np.zeros((len(targets), features.shape[1]), np.float32)
    c, bias = np.zeros((FOLDS, features.shape[1], classes), np.float32), np.zeros((FOLDS, classes), np.float32)
    for fold in range(FOLDS):
        others, own = fold_of != fold, fold_of == fold
        inner = fit_guide(squares[others][:, None], targets[others], classes)
        x[own] = [inner.scaled(square) for square in squares[own]]
        c[fold], bias[fold] = inner.weight, inner.bias
    rng = np.random.default_rng(0)
    rows = np.repeat(np.arange(len(targets)), COPIES)
    kept = answers.answered[rows] & (
        rng.random((len(rows), len(QUESTIONS))) >= rng.uniform(0, MOST_DROPPED, (len(rows), 1))
    )
    means, place = centred(answers, targets, QUESTIONS), question_of_places(QUESTIONS)
    a = torch.from_numpy(((answers.vectors[rows] - means) * kept[:, place]).astype(np.float32))
    weights = torch.from_numpy(class_weights(targets)[rows].astype(np.float32))
    wanted, xs, cs = torch.from_numpy(targets[rows]), torch.from_numpy(x[rows]), torch.from_numpy(c)
    biases, folds = torch.from_numpy(bias), torch.from_numpy(fold_of[rows])

    gate = torch.zeros(x.shape[1], a.shape[1], requires_grad=True)
    added, scale = torch.zeros(classes, a.shape[1], requires_grad=True), torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.Adam([gate, added, scale], lr=RATE)
    draw = torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        chosen = torch.randint(len(rows), (BATCH,), generator=draw)
        through = xs[chosen] * (1 + torch.tanh(a[chosen] @ gate.T))
        image = torch.einsum("nd,ndk->nk", through, cs[folds[chosen]]) + biases[folds[chosen]]
        logits = image * scale.exp() + a[chosen] @ added.T
        loss = (weights[chosen] * nn.functional.cross_entropy(logits, wanted[chosen], reduction="none")).mean()
        decay = (DECAY_GATE * gate.square().sum() + DECAY_ADDED * added.square().sum()) / len(targets)
        optimiser.zero_grad()
        (loss + decay).backward()
        optimiser.step()
    with torch.no_grad():
        own = torch.from_numpy(((judged.vectors - means) * judged.answered[:, place]).astype(np.float32))
        through = torch.from_numpy(features) * (1 + torch.tanh(own @ gate.T))
        image = through @ torch.from_numpy(guide.weight) + torch.from_numpy(guide.bias)
        return (image * scale.exp() + own @ added.T).double().numpy()
