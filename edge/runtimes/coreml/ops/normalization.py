"""Batch, layer, instance and local response norms."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .kinds import Ints

ALL: Ints = []


def batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: float = 1e-5,
) -> Tensor:
    return F.batch_norm(x, mean, variance, gamma, beta, False, 0.0, epsilon)


def instance_norm(x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, epsilon: float = 1e-5) -> Tensor:
    """Over the spatial dimensions of each channel of each image; one spatial element gives beta."""
    flat = x.flatten(2)
    normed = F.layer_norm(flat, flat.shape[2:], eps=epsilon).reshape(x.shape)
    shape = [-1] + [1] * (x.ndim - 2)
    if gamma is not None:
        normed = normed * gamma.reshape(shape)
    return normed if beta is None else normed + beta.reshape(shape)


def l2_norm(x: Tensor, epsilon: float = 1e-6) -> Tensor:
    """Over the last three dimensions together."""
    return x / (x.square().sum((-3, -2, -1), keepdim=True) + epsilon).sqrt()


def layer_norm(
    x: Tensor, axes: Ints = ALL, gamma: Tensor | None = None, beta: Tensor | None = None, epsilon: float = 1e-5
) -> Tensor:
    """gamma and beta have the sizes of the axes, in the order of x's dimensions."""
    over = sorted(axis % x.ndim for axis in axes) or list(range(x.ndim))
    if over == list(range(over[0], x.ndim)):
        return F.layer_norm(x, x.shape[over[0] :], gamma, beta, epsilon)
    variance, mean = torch.var_mean(x, over, correction=0, keepdim=True)
    normed = (x - mean) / (variance + epsilon).sqrt()
    shape = [n if axis in over else 1 for axis, n in enumerate(x.shape)]
    if gamma is not None:
        normed = normed * gamma.reshape(shape)
    return normed if beta is None else normed + beta.reshape(shape)


def local_response_norm(x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """Over `size` channels around each; of an even number, one more lies before it than after.

    Of a tensor of three axes the first is the channels', as Apple's test of such a tensor expects (the windows of its
    values, (1, 3, 2), hold one number each); its description says the second.
    """
    if x.ndim == 3:
        return local_response_norm(x[None], size, alpha, beta, k)[0]
    whole = 2 * x.shape[1]  # a window of this size has all channels wherever it lies
    if size > whole:
        alpha, size = alpha * whole / size, whole
    return F.local_response_norm(x, size, alpha, beta, k)


TABLE = {
    "batch_norm": batch_norm,
    "instance_norm": instance_norm,
    "l2_norm": l2_norm,
    "layer_norm": layer_norm,
    "local_response_norm": local_response_norm,
}
EXACT: frozenset[str] = frozenset()
