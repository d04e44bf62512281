"""What a network costs: parameters and multiply-accumulates."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def cost(net: nn.Module, side: int) -> tuple[int, int]:
    """(parameters, multiply-accumulates) of one forward pass of RGB (1, 3, side, side).

    Counted by PyTorch's operation counter: convolutions and matrix products, two floating-point operations
    each; norms and activations do not count.
    """
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        net.eval()(torch.zeros(1, 3, side, side))
    return sum(p.numel() for p in net.parameters()), counter.get_total_flops() // 2
