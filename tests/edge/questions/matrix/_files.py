"""A network of somebody else's, as plain converters leave it."""

from __future__ import annotations

from functools import cache

import numpy as np

SIDE = 32  # pixels
CLASSES = 7


@cache
def float_file() -> bytes:
    """Convolutions and two fully connected layers whose rows have very different ranges, as trained ones have."""
    import torch
    from torch import nn

    from convert._tflite.file import lower

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 16, 3, 2, 1), nn.Conv2d(16, 32, 1)
            self.hidden, self.head = nn.Linear(32, 48), nn.Linear(48, CLASSES)
            with torch.no_grad():
                for layer in (self.hidden, self.head):
                    rows = len(layer.weight)
                    layer.weight *= 3 * torch.logspace(-2, 0.5, rows)[torch.randperm(rows)][:, None]

        def forward(self, x):
            x = torch.relu(self.second(torch.relu(self.first(x.permute(0, 3, 1, 2) / 255))))
            return torch.softmax(self.head(torch.relu(self.hidden(x.mean((2, 3))))), 1)

    torch.manual_seed(0)
    return lower(Net().eval(), torch.zeros(1, SIDE, SIDE, 3)).content


@cache
def dynamic_file() -> bytes:
    """The same with ai-edge-quantizer's own recipe for dynamic quantisation, untouched."""
    from ai_edge_quantizer import quantizer, recipe

    work = quantizer.Quantizer(float_file())
    work.load_quantization_recipe(recipe.dynamic_wi8_afp32())
    return bytes(work.quantize().quantized_model)


def pictures(count: int) -> np.ndarray:
    """uint8 (count, SIDE, SIDE, 3): spots on grounds of different brightness."""
    random = np.random.default_rng(0)
    grounds = random.integers(20, 200, (count, 1, 1, 3))
    return np.clip(grounds + random.integers(-20, 56, (count, SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
