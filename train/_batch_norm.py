"""Whose statistics batch normalisation takes in training, where a recipe wants others than those of each process."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from edge.errors import InputError


def freeze(learner: nn.Module) -> None:
    """Let the running statistics stand, and be what is normalised by; weight and bias go on learning."""
    for module in learner.modules():
        if isinstance(module, _BatchNorm):
            module.eval()


def synchronised(learner: nn.Module, device: torch.device) -> nn.Module:
    """With torch's SyncBatchNorm, which takes the joined batch of all processes; InputError where it cannot run."""
    if device.type != "cuda":
        raise InputError(
            f"`batch_norm` synchronised is torch's SyncBatchNorm, which needs GPUs; this run is on {device.type}. Let "
            "each process take its own batch (own), or keep the statistics of `init` (frozen)"
        )
    hooks = {name: own._forward_hooks for name, own in learner.named_modules() if isinstance(own, _BatchNorm)}
    learner = nn.SyncBatchNorm.convert_sync_batchnorm(learner)
    for name, own in hooks.items():  # torch's modules come without those that listened to the replaced ones
        learner.get_submodule(name)._forward_hooks.update(own)
    return learner
