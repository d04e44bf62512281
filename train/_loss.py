"""The loss: logit-adjusted cross entropy with label smoothing and mix-up."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def log_priors(targets: np.ndarray, domains: np.ndarray, classes: int) -> Tensor:
    """Log share of each class in each data set, float32 (domains, classes); a missing class counts as one image.

    Added to the logits in training, it makes the network answer as if all classes were equally frequent
    (Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, eq. 10), which is what balanced
    accuracy asks for. Per data set, because dermoscopic sets have other frequencies and lack classes.
    """
    rows = []
    for domain in range(int(domains.max()) + 1):
        counts = np.bincount(targets[domains == domain], minlength=classes).astype(np.float64)
        counts = np.maximum(counts, 1)
        rows.append(np.log(counts / counts.sum()))
    return torch.tensor(np.array(rows), dtype=torch.float32)


def mix(images: Tensor, *, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor | None, float]:
    """Mix-up (arXiv:1710.09412): images blended with a shuffle of themselves, the shuffle and the share kept."""
    if alpha == 0.0:
        return images, None, 1.0
    share = float(rng.beta(alpha, alpha))
    partner = torch.from_numpy(rng.permutation(len(images)))
    return images * share + images[partner] * (1 - share), partner.to(images.device), share


def loss(
    logits: Tensor,
    targets: Tensor,
    adjustment: Tensor,
    *,
    smoothing: float,
    partner: Tensor | None = None,
    share: float = 1.0,
) -> Tensor:
    """Cross entropy of logits (N, K) + adjustment (N, K), float32.

    Labels are smoothed towards the class shares, not towards a uniform answer: the adjustment divides by
    those shares, and a uniform floor would come out as a strong vote for the rarest class.
    """
    certain = F.one_hot(targets, logits.shape[1]).float()
    if partner is not None:
        certain = share * certain + (1 - share) * certain[partner]
    wanted = (1 - smoothing) * certain + smoothing * torch.softmax(adjustment, dim=1)
    return F.cross_entropy(logits.float() + adjustment, wanted)
