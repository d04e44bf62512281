"""The names that the timm package gives its networks of inverted residuals, as places in such a network.

Families turn a place into their own name. The names are alike for MobileNetV2 and V3, MnasNet, EfficientNet and its
Lite form: `conv_stem`, `bn1`, `blocks.STAGE.BLOCK.…`, `conv_head`, `bn2`, `classifier`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

FIRST = {"conv_stem.weight", "stem.conv.weight"}  # of its networks of inverted residuals, and of its MobileViT
# Layers of a block, by what it is: (expansion, depthwise and projection), (depthwise and projection).
INVERTED = {
    "conv_pw": ("expand", 0), "bn1": ("expand", 1), "conv_dw": ("depthwise", 0), "bn2": ("depthwise", 1),
    "se.conv_reduce": ("squeeze", 0), "se.conv_expand": ("squeeze", 1),
    "conv_pwl": ("project", 0), "bn3": ("project", 1),
}  # fmt: skip
SEPARABLE = {
    "conv_dw": ("depthwise", 0), "bn1": ("depthwise", 1), "se.conv_reduce": ("squeeze", 0),
    "se.conv_expand": ("squeeze", 1), "conv_pw": ("project", 0), "bn2": ("project", 1),
}  # fmt: skip
PLAIN = {"conv": ("last", 0), "bn1": ("last", 1)}  # MobileNetV3's last stage
ORDER = ("expand", "depthwise", "squeeze", "project")
# Outside of the blocks; a head without a batch norm is MobileNetV3's linear layer behind the mean.
OUTSIDE = {"conv_stem": ("stem", 0), "bn1": ("stem", 1), "classifier": ("classifier", 0)}
HEAD = {"conv_head": ("head", 0), "bn2": ("head", 1)}
HIDDEN = {"conv_head": ("hidden", 0)}


@dataclass(frozen=True)
class Place:
    """Where in a network a layer is."""

    part: str  # stem, expand, depthwise, squeeze, project, last, head, hidden, classifier
    index: int  # 0 the convolution, 1 its batch norm; of squeeze and excitation 0 to fewer channels, 1 back
    stage: int = 0
    block: int = 0  # in its stage
    number: int = 0  # of the block in one list of all
    slot: int = 0  # of the part among those that the block has


def is_timm(state: dict[str, Tensor]) -> bool:
    """Whether these are timm's names, of a family that dermedge has."""
    return any(key.removeprefix("module.") in FIRST for key in state)


def renamed_from_timm(state: dict[str, Tensor], name: Callable[[Place], str]) -> dict[str, Tensor]:
    """The tensors under the names that `name` gives to their places; unknown ones keep theirs."""
    blocks = [Block(*block, number, state) for number, block in enumerate(blocks_in(state))]
    by_place = {(block.stage, block.block): block for block in blocks}
    outside = OUTSIDE | (HEAD if "bn2.weight" in state else HIDDEN)
    renamed = {}
    for key, value in state.items():
        layer, _, tensor = key.rpartition(".")
        if match := in_a_block(key):
            place = by_place[int(match[1]), int(match[2])].place(match[3])
        else:
            place = Place(*outside[layer]) if layer in outside else None
        renamed[f"{name(place)}.{tensor}" if place else key] = value
    return renamed


def in_a_block(key: str) -> re.Match[str] | None:
    """Stage, block and layer of a tensor's name."""
    return re.fullmatch(r"blocks\.(\d{1,3})\.(\d{1,3})\.(.+)\.\w+", key)


def blocks_in(state: dict[str, Tensor]) -> list[tuple[int, int]]:
    """Stage and number in it of every block, in order."""
    return sorted({(int(match[1]), int(match[2])) for key in state if (match := in_a_block(key))})


class Block:
    """The layers of one block."""

    def __init__(self, stage: int, block: int, number: int, state: dict[str, Tensor]) -> None:
        self.stage, self.block, self.number = stage, block, number
        start = f"blocks.{stage}.{block}."
        if f"{start}conv_pwl.weight" in state:
            self.table = INVERTED
        else:
            self.table = SEPARABLE if f"{start}conv_dw.weight" in state else PLAIN
        has = {part for layer, (part, _) in self.table.items() if f"{start}{layer}.weight" in state}
        self.slots = {part: slot for slot, part in enumerate(part for part in ORDER if part in has)}

    def place(self, layer: str) -> Place | None:
        if layer not in self.table:
            return None
        part, index = self.table[layer]
        return Place(part, index, self.stage, self.block, self.number, self.slots.get(part, 0))
