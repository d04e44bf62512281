"""Activation functions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def per_channel(x: Tensor, values: Tensor) -> Tensor:
    """Values of the channels, which are axis 1."""
    return values.reshape(1, -1, *[1] * (x.ndim - 2)) if values.ndim else values


def clamped_relu(x: Tensor, alpha: float, beta: float) -> Tensor:
    """min(x, beta) where x >= 0, min(alpha x, beta) below."""
    return torch.where(x >= 0, x, alpha * x).clamp(max=beta)


def elu(x: Tensor, alpha: float) -> Tensor:
    return torch.where(x >= 0, x, alpha * torch.expm1(x))


def gelu(x: Tensor, mode: str = "EXACT") -> Tensor:
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    if mode not in {"EXACT", "TANH_APPROXIMATION"}:
        raise ValueError(f"gelu of mode {mode!r}")
    return F.gelu(x, approximate="tanh" if mode == "TANH_APPROXIMATION" else "none")


def leaky_relu(x: Tensor, alpha: float) -> Tensor:
    return torch.where(x >= 0, x, alpha * x)


def linear_activation(x: Tensor, alpha: float, beta: float = 0.0) -> Tensor:
    return alpha * x + beta


def prelu(x: Tensor, alpha: Tensor) -> Tensor:
    return torch.where(x >= 0, x, per_channel(x, alpha) * x)


def relu(x: Tensor) -> Tensor:
    return torch.relu(x)


def relu6(x: Tensor) -> Tensor:
    return x.clamp(0, 6)


def scaled_tanh(x: Tensor, alpha: float, beta: float) -> Tensor:
    return alpha * torch.tanh(beta * x)


def sigmoid(x: Tensor) -> Tensor:
    return torch.sigmoid(x)


def sigmoid_hard(x: Tensor, alpha: float, beta: float) -> Tensor:
    return (alpha * x + beta).clamp(0, 1)


def silu(x: Tensor) -> Tensor:
    return F.silu(x)


def softplus(x: Tensor) -> Tensor:
    return torch.logaddexp(x, torch.zeros_like(x))


def softplus_parametric(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    return per_channel(x, alpha) * softplus(per_channel(x, beta) * x)


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    return torch.softmax(x, axis)


def softsign(x: Tensor) -> Tensor:
    return x / (1 + x.abs())


def thresholded_relu(x: Tensor, alpha: float) -> Tensor:
    """x where it reaches alpha, else 0."""
    return torch.where(x >= alpha, x, torch.zeros_like(x))


TABLE = {
    "clamped_relu": clamped_relu, "elu": elu, "gelu": gelu, "leaky_relu": leaky_relu,
    "linear_activation": linear_activation, "prelu": prelu, "relu": relu, "relu6": relu6, "scaled_tanh": scaled_tanh,
    "sigmoid": sigmoid, "sigmoid_hard": sigmoid_hard, "silu": silu, "softplus": softplus,
    "softplus_parametric": softplus_parametric, "softmax": softmax, "softsign": softsign,
    "thresholded_relu": thresholded_relu,
}  # fmt: skip
EXACT = frozenset({"relu", "relu6", "thresholded_relu"})
