"""The loss: logit-adjusted cross entropy with label smoothing, and what a guide and masks add to it."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from . import _together

SMOOTH = 1e-5  # keeps Dice defined where neither side has a pixel
HALF = 0.5  # of a sample's shares; they are 0 or 1 together
TEMPERATURE = 0.07  # of the contrastive loss


def chances(targets: np.ndarray, domains: np.ndarray, evenness: float) -> np.ndarray:
    """How often each photograph is drawn, float64 (N,), sum 1: as its class were count^(1 - evenness) large.

    Every data set keeps its share of the draws. Photographs of unknown class (-1) are one class there.
    """
    shares = np.zeros(len(targets))
    for domain in np.unique(domains):
        own = domains == domain
        weights = np.bincount(targets[own] + 1)[targets[own] + 1] ** -float(evenness)
        shares[own] = weights / weights.sum() * own.mean()
    return shares


def log_priors(targets: np.ndarray, domains: np.ndarray, classes: int, evenness: float = 0.0) -> Tensor:
    """Log share of each class in what is drawn of each data set, float32 (domains, classes).

    A missing class counts as one image.

    Added to the logits in training, it makes the network answer as if all classes were equally frequent
    (Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, eq. 10), which is what balanced
    accuracy asks for. Per data set, because dermoscopic sets have other frequencies and lack classes.
    """
    rows = []
    for domain in range(int(domains.max()) + 1):
        counts = np.bincount(targets[(domains == domain) & (targets >= 0)], minlength=classes).astype(np.float64)
        counts = np.maximum(counts, 1) ** (1 - evenness)
        rows.append(np.log(counts / counts.sum()))
    return torch.tensor(np.array(rows), dtype=torch.float32)


def loss(logits: Tensor, wanted: Tensor, adjustment: Tensor, *, smoothing: float) -> Tensor:
    """Cross entropy of logits (N, K) + adjustment (N, K) to the class shares wanted (N, K).

    Mean over what is labelled in the batches of all processes: shares are all 0 where the class is unknown, and sum to
    1 elsewhere.

    Labels are smoothed towards the class shares of the data set, not towards a uniform answer: the adjustment
    divides by those shares, and a uniform floor would come out as a strong vote for the rarest class.
    """
    logits = in_full(logits)
    wanted = wanted.to(logits.dtype)
    labelled = wanted.sum(dim=1, keepdim=True)
    wanted = (1 - smoothing) * wanted + smoothing * labelled * torch.softmax(adjustment, dim=1)
    apart = F.cross_entropy(logits + adjustment, wanted, reduction="none")
    return _together.mean(apart, labelled.sum())


def contrast(embedded: Tensor, wanted: Tensor) -> Tensor:
    """Supervised contrastive loss of embeddings (N, E) with class shares (N, K), over the batches of all processes.

    Khosla et al. (arXiv:2004.11362), eq. 2, at the temperature of theirs and of PPCANet's: each sample is to be nearest
    to those of its class. Blended samples are of one class as far as their shares agree. Samples without a class, and
    those that nobody shares one with, do not count; 0 where none does.
    """
    shares = _together.joined(wanted)
    known = shares.sum(dim=1) > HALF
    points = F.normalize(in_full(_together.joined(embedded)), dim=1)[known]
    if len(points) < 2:  # of all processes
        return 0 * in_full(embedded).sum()
    alike = shares[known].to(points.dtype) @ shares[known].to(points.dtype).T
    itself = torch.eye(len(points), dtype=torch.bool, device=points.device)
    near = (points @ points.T / TEMPERATURE).masked_fill(itself, -torch.inf)
    apart = -torch.log_softmax(near, dim=1).masked_fill(itself, 0.0)
    alike = alike.masked_fill(itself, 0.0)
    friends = alike.sum(dim=1)
    own = (alike * apart).sum(dim=1) / friends.clamp(min=SMOOTH)
    return own.sum() / (friends > SMOOTH).sum().clamp(min=1)


def distance(logits: Tensor, guide: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the answers, logits (N, K), from a guide's or a teacher's, logits (N, K); nats.

    Mean over the batches of all processes; 0 where they are empty.
    """
    mine, wanted = torch.log_softmax(in_full(logits), dim=1), torch.log_softmax(in_full(guide), dim=1)
    return _together.mean(F.kl_div(mine, wanted.to(mine.dtype), log_target=True, reduction="none").sum(dim=1))


def in_full(values: Tensor) -> Tensor:
    """In float32, or in float64 where they are."""
    return values if values.dtype == torch.float64 else values.float()


def mask_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Soft Dice over the whole batch, of all processes, plus binary cross entropy of mask logits (N, 1, S, S).

    `wanted` is (N, S, S), 0..1, or below 0 everywhere where a photograph has no mask. Dice is summed over the batch,
    as the authors of ResFormer train it (arXiv:2412.00351), not per image, so that a small lesion does not weigh as
    much as a large one. The cross entropy gives a slope where the sigmoid of a fresh network has none. 0 where no
    photograph of the batch has a mask.
    """
    known = wanted[:, 0, 0] >= 0
    answers = in_full(logits[known, 0])
    target = wanted[known].to(answers.dtype)
    p = torch.sigmoid(answers)
    both, sizes = _together.total(torch.stack([(p * target).sum(), p.square().sum() + target.square().sum()]))
    cross = F.binary_cross_entropy_with_logits(answers, target, reduction="none")
    return 1 - (2 * both + SMOOTH) / (sizes + SMOOTH) + _together.mean(cross)
