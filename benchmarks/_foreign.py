"""Small vision networks of Hugging Face transformers, from their config classes, with random weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

CLASSES = 4
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)  # RGB, of values in 0..1
IMAGES = 32  # from which batch norms take their statistics
WIDTHS = {"hidden_sizes": [16, 32, 40, 48], "depths": [1, 1, 1, 1]}
TOKENS = {
    "image_size": 64, "patch_size": 16, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3,
    "intermediate_size": 96,
}  # fmt: skip


@dataclass(frozen=True)
class Network:
    """`<kind>Config` and `<kind>ForImageClassification` of transformers."""

    kind: str
    config: dict[str, Any] = field(default_factory=dict)
    side: int = 64  # pixels


NETWORKS: dict[str, Network] = {
    "ResNet": Network("ResNet", {"embedding_size": 16, **WIDTHS}),
    "MobileNetV1": Network("MobileNetV1", {"depth_multiplier": 0.25}),
    "MobileNetV2": Network("MobileNetV2", {"depth_multiplier": 0.35}),
    "MobileViT": Network(
        "MobileViT",
        {"image_size": 64, "hidden_sizes": [24, 32, 40], "neck_hidden_sizes": [8, 16, 24, 32, 40, 48, 64]},
    ),
    "MobileViTV2": Network(
        "MobileViTV2",
        {"image_size": 64, "width_multiplier": 0.5, "n_attn_blocks": [1, 1, 1], "base_attn_unit_dims": [64, 96, 128]},
    ),
    "EfficientNet": Network(
        "EfficientNet", {"image_size": 64, "width_coefficient": 0.25, "depth_coefficient": 0.5, "hidden_dim": 320}
    ),
    "ConvNeXt": Network("ConvNext", WIDTHS),
    "ConvNeXtV2": Network("ConvNextV2", WIDTHS),
    "PVT": Network("Pvt", {"image_size": 64, "num_attention_heads": [1, 2, 5, 6], **WIDTHS}),
    "PVTv2": Network("PvtV2", {"image_size": 64, "num_attention_heads": [1, 2, 5, 6], **WIDTHS}),
    "PVTv2, linear": Network(
        "PvtV2", {"image_size": 64, "num_attention_heads": [1, 2, 5, 6], "linear_attention": True, **WIDTHS}
    ),
    "Swin": Network(
        "Swin", {"image_size": 64, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4}
    ),
    "Swin, padded": Network(
        "Swin", {"image_size": 72, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4}, side=72
    ),
    "SwinV2": Network(
        "Swinv2", {"image_size": 64, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4}
    ),
    "PoolFormer": Network("PoolFormer", WIDTHS),
    "LeViT": Network(
        "Levit",
        {
            "image_size": 64,
            "hidden_sizes": [32, 48, 64],
            "num_attention_heads": [2, 3, 4],
            "depths": [1, 1, 1],
            "key_dim": [8, 8, 8],
        },
    ),
    "RegNet": Network("RegNet", {"embedding_size": 16, "groups_width": 8, **WIDTHS}),
    "BiT": Network("Bit", {"embedding_size": 16, "num_groups": 4, "global_padding": "SAME", **WIDTHS}),
    "HGNetV2": Network(
        "HGNetV2",
        {
            "stem_channels": [3, 16, 16],
            "stage_in_channels": [16, 32, 48, 64],
            "stage_mid_channels": [8, 16, 16, 24],
            "stage_out_channels": [32, 48, 64, 96],
            "stage_num_blocks": [1, 1, 2, 1],
            "hidden_sizes": [32, 48, 64, 96],
            "stage_numb_of_layers": [3, 3, 3, 3],
        },
    ),
    "FocalNet": Network("FocalNet", {"image_size": 64, "embed_dim": 16, "depths": [1, 2], "focal_levels": [2, 2]}),
    "SegFormer": Network("Segformer", {"num_attention_heads": [1, 2, 5, 6], **WIDTHS}),
    "CvT": Network("Cvt", {"embed_dim": [16, 32, 48], "num_heads": [1, 2, 3], "depth": [1, 2, 3]}),
    "SwiftFormer": Network("SwiftFormer", {"embed_dims": [16, 24, 32, 48], "depths": [1, 1, 2, 1]}),
    "ViT": Network("ViT", TOKENS),
    "DeiT": Network("DeiT", TOKENS),
    "BEiT": Network("Beit", {"use_relative_position_bias": True, **TOKENS}),
    "DINOv2": Network(
        "Dinov2",
        {"image_size": 56, "patch_size": 14, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3},
        side=84,  # its table of positions is resized
    ),
    "I-JEPA": Network("IJepa", TOKENS),
    "SigLIP": Network("Siglip", {"vision_config": TOKENS}),
    "Hiera": Network(
        "Hiera", {"image_size": [64, 64], "embed_dim": 24, "depths": [1, 1, 2, 1], "num_heads": [1, 2, 4, 8]}
    ),
}


class Logits(nn.Module):
    """Normalised RGB (N, 3, S, S) -> logits (N, K) of a network that returns them in an object."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images).logits


def built(name: str) -> Logits:
    """The network in evaluation mode, always with the same weights, its answers those of a classifier."""
    import transformers

    chosen = NETWORKS[name]
    config = getattr(transformers, f"{chosen.kind}Config")(num_labels=CLASSES, **chosen.config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Logits(getattr(transformers, f"{chosen.kind}ForImageClassification")(config))
        return settled(awakened(network), pictures(IMAGES, chosen.side, seed=0))


def pictures(count: int, side: int, *, seed: int) -> np.ndarray:
    """uint8 (N, S, S, 3): large patches of colour, each picture with a hue and a contrast of its own, and grain."""
    generator = torch.Generator().manual_seed(seed)
    patches = torch.rand(count, 3, 5, 5, generator=generator) * torch.rand(count, 1, 1, 1, generator=generator)
    patches = (patches + torch.rand(count, 3, 1, 1, generator=generator)) / 2
    images = nn.functional.interpolate(patches, size=(side, side), mode="bicubic", align_corners=True)
    images = images + 0.1 * torch.randn(count, 3, side, side, generator=generator)
    return (images.clamp(0, 1) * 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def awakened(network: nn.Module) -> nn.Module:
    """Random numbers in every weight: those that start at one number, as many do, would hide what reads them."""
    for part in network.modules():
        if isinstance(part, (nn.Conv2d, nn.Linear)):
            gain = 2**0.5 if isinstance(part, nn.Conv2d) else 1.0
            nn.init.normal_(part.weight, std=gain * part.weight[0].numel() ** -0.5)
        elif "Norm" in type(part).__name__ and isinstance(scale := getattr(part, "weight", None), Tensor):
            nn.init.normal_(scale, 1.0, 0.2)
    for weight in network.parameters():
        first = weight.flatten()[0].item()
        if weight.numel() > 1 and bool((weight == first).all()):
            nn.init.normal_(weight, first, 0.2)
    return network


@torch.no_grad()
def settled(network: nn.Module, images: np.ndarray) -> Any:
    """Batch norms with the statistics of `images`, ending a deviation above zero; logits of deviation 1 over them.

    The idea is that of `convert._untrained.settled`, for layers of every kind: about zero, a deep random network
    answers to rounding rather than to the picture.
    """
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (MEAN, STD))
    batch = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - mean) / std
    last = [part for part in network.modules() if isinstance(part, nn.Linear) and part.out_features == CLASSES][-1]
    seen: list[Tensor] = []

    def take_statistics(norm: Any, inputs: tuple[Tensor, ...]) -> None:
        axes = [0, *range(2, inputs[0].ndim)]
        norm.running_mean.copy_(inputs[0].mean(axes))
        norm.running_var.copy_(inputs[0].var(axes) + 1e-3)
        if norm.bias is not None:
            norm.bias.add_(1.0)

    norms = [part for part in network.eval().modules() if getattr(part, "running_var", None) is not None]
    hooks = [norm.register_forward_pre_hook(take_statistics) for norm in norms]
    hooks.append(last.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0])))
    network(batch)
    for hook in hooks:
        hook.remove()
    features = seen[0]  # (N, F)
    directions = torch.linalg.svd(features - features.mean(0), full_matrices=False).Vh[: CLASSES - 1]
    last.weight.copy_(torch.linalg.qr(torch.randn(CLASSES, CLASSES)).Q[:, : CLASSES - 1] @ directions)
    logits = features @ last.weight.T
    deviation = (logits - logits.mean(0)).std()
    last.weight.div_(deviation)
    if last.bias is not None:
        last.bias.copy_(-logits.mean(0) / deviation)
    return network
