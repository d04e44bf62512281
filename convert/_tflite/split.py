"""A channel whose rounding costs most, carried by several channels that are rounded in different places.

Networks lean on few channels: of the stem of the shipped EfficientNet-Lite0 one of 32 makes three quarters of the
noise that rounding the whole map makes at the logits. Where it is carried n times, each copy shifted by another part of
a step, the mean of the copies is rounded n times as finely (splitting of channels, Zhao et al. 2019, arXiv 1901.09504,
section 3; there for outliers). The layer that reads the map takes the mean, as its weights are divided by n.

The copies go into channels that are always zero behind their ReLU, of which trained networks have some, so that it
costs no time. A channel counts as such if no input within the 8-bit range of the layer can lift it above zero; what a
depthwise convolution makes of the zeros, a constant, goes into the reader's bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from edge.errors import InputError
from edge.progress import track
from edge.scheme import Range
from edge.tflite.flatbuffer import constant_of, pack, unpack
from edge.tflite.graph import Node, nodes_of

from .alone import STEPS, noise_of, rounded_alone
from .choose import answers
from .equalise import channels, is_own, passes, reads_by_channel
from .layers import Weighted, name_of, values_of, weighted
from .rounding import by_channel, set_bias, write

CARRYING = {"PAD", "MEAN", "AVERAGE_POOL_2D", "MAX_POOL_2D"}
CONSTANT_BEHIND = {0: (-np.inf, np.inf), 1: (0.0, np.inf), 3: (0.0, 6.0)}  # the schema's fused none, ReLU and ReLU6
RELUS = (1, 3)
IMAGES = 32  # on which maps and channels are rounded alone
LOUD_MAP = 0.1  # of the noise of all maps: below that a map is left as it is
LOUD_CHANNEL = 0.25  # of the noise of its map
MOST = 5  # copies of a channel: its noise falls with their square, and so the rest is what is left
Splits = Mapping[str, np.ndarray]  # map -> float32 (2, C): the channel that each carries, and by what it is shifted


@dataclass(frozen=True)
class Way:
    """A map from the convolution that writes it to the layer that reads it, past what keeps its channels apart."""

    writer: Weighted
    carriers: tuple[Weighted | None, ...]  # depthwise convolutions between them; None for a border of zeros
    reader: Weighted


def ways_of(model: Any) -> dict[str, Way]:
    """First map -> its way, of every map of an unpacked float file whose channels can be carried by others."""
    layers = {layer.output: layer for layer in weighted(model)}
    readers: dict[int, list[Node]] = {}
    for node in nodes_of(model):
        for tensor in node.live:
            readers.setdefault(tensor, []).append(node)
    starts = [layer for layer in layers.values() if layer.operator == "CONV_2D" and fused_of(model, layer) in RELUS]
    ways = {name_of(model, layer.output): way_from(model, layer, layers, readers) for layer in starts}
    return {name: way for name, way in ways.items() if way is not None}


def way_from(
    model: Any, writer: Weighted, layers: Mapping[int, Weighted], readers: Mapping[int, list[Node]]
) -> Way | None:
    carriers: list[Weighted | None] = []
    tensor, ends = writer.output, {int(n) for n in model.subgraphs[0].outputs}
    while is_own(model, layers.get(tensor, writer)) and tensor not in ends and len(readers.get(tensor, [])) == 1:
        (node,) = readers[tensor]
        layer = layers.get(node.makes[0])
        if layer is None and (node.kind not in CARRYING or not passes(model, node)):
            return None
        if layer is not None and not (reads_by_channel(model, layer) and is_own(model, layer)):
            return None
        if layer is not None and fused_of(model, layer) not in CONSTANT_BEHIND:
            return None
        if layer is not None and layer.operator != "DEPTHWISE_CONV_2D":
            return Way(writer, tuple(carriers), layer)
        if layer is not None or node.kind == "PAD":
            carriers.append(layer)
        tensor = node.makes[0]
    return None


def fused_of(model: Any, layer: Weighted) -> int:
    """The schema's number of the activation behind a layer."""
    options = model.subgraphs[0].operators[layer.place].builtinOptions
    return int(getattr(options, "fusedActivationFunction", 0))


def empty_channels(model: Any, way: Way, limits: Range) -> np.ndarray:
    """The channels of a map behind a ReLU that no input within `limits` lifts above zero, and that then reach the
    reader as a constant."""
    rows = by_channel(values_of(model, way.writer), way.writer)
    most = constant_of(model, way.writer.bias) + np.maximum(rows * limits[0], rows * limits[1]).sum(axis=1)
    return np.flatnonzero((most <= 0) & np.isfinite(constants_at_reader(model, way)))


def constants_at_reader(model: Any, way: Way) -> np.ndarray:
    """What the reader gets of each channel that is zero in the way's first map; NaN where that differs from place to
    place, as at a border."""
    values = np.zeros(channels(model, way.writer.output))
    for layer in way.carriers:
        values = np.where(values == 0, values, np.nan)
        if layer is not None:
            low, high = CONSTANT_BEHIND[fused_of(model, layer)]
            values = values + np.clip(constant_of(model, layer.bias), low, high)
    if prod(way.reader.shape[1:]) != len(values):  # a kernel that reaches over the border
        values = np.where(values == 0, values, np.nan)
    return values


def splits_for(content: bytes, ranges: Mapping[str, Range], images: np.ndarray) -> dict[str, np.ndarray]:
    """The loudest channels of the loudest maps, carried by empty ones; `images`: uint8 (N, S, S, 3), `ranges`: of all
    tensors of the float file."""
    model, images = unpack(content), images[:IMAGES]
    ways = ways_of(model)
    wanted, _ = answers(content, images)

    def noise(name: str, chosen: np.ndarray) -> float:
        file = rounded_alone(content, ways[name].writer.output, ranges[name], chosen)
        return noise_of(wanted, answers(file, images)[0])

    every = {name: np.ones(channels(model, way.writer.output), np.float32) for name, way in ways.items()}
    steps = track(every.items(), "8 bits from end to end: each map alone", len(every))
    alone = {name: noise(name, chosen) for name, chosen in steps}
    splits = {}
    for name, way in ways.items():
        empty = empty_channels(model, way, ranges[name_of(model, way.writer.input)])
        if not len(empty) or alone[name] < LOUD_MAP * sum(alone.values()):
            continue
        loudest = loudest_channel(lambda chosen, name=name: noise(name, chosen), len(every[name]))
        if loudest is not None and loudest not in empty:
            low, high = ranges[name]
            splits[name] = carried(len(every[name]), loudest, empty[: MOST - 1], (high - low) / STEPS)
    return splits


def loudest_channel(noise: Any, width: int) -> int | None:
    """The channel that makes `LOUD_CHANNEL` of the map's noise, found by halves; None where no single one does.

    `noise`: of the channels with 1 in a float32 (width,).
    """
    first, behind = 0, width
    whole = noise(np.ones(width, np.float32))
    while behind - first > 1:
        middle = (first + behind) // 2
        halves = []
        for begin, end in ((first, middle), (middle, behind)):
            chosen = np.zeros(width, np.float32)
            chosen[begin:end] = 1
            halves.append((noise(chosen), begin, end))
        loudest, first, behind = max(halves)
        if loudest < LOUD_CHANNEL * whole:
            return None
    return first


def carried(width: int, channel: int, others: np.ndarray, step: float) -> np.ndarray:
    """The split (2, width) of a map in which `channel` is also carried by `others`; `step`: of the map's 8 bits."""
    places = [channel, *(int(n) for n in others)]
    sources, shifts = np.arange(width, dtype=np.float32), np.zeros(width, np.float32)
    sources[places] = channel
    shifts[places] = (np.arange(len(places)) - (len(places) - 1) / 2) * step / len(places)
    return np.stack([sources, shifts])


def split(content: bytes, splits: Splits) -> bytes:
    """The float file whose maps have their channels carried so. InputError if a split does not fit the file."""
    if not splits:
        return content
    model = unpack(content)
    ways = ways_of(model)
    for name, entry in splits.items():
        way = ways.get(name)
        width = channels(model, way.writer.output) if way else 0
        sources = carriers_in(name, entry, width)
        times = np.bincount(sources, minlength=width)[sources]
        assert way is not None
        lost = np.where(sources == np.arange(width), 0.0, constants_at_reader(model, way))
        if not np.isfinite(lost).all():
            raise unfit(name)
        values = values_of(model, way.reader)
        bias = constant_of(model, way.reader.bias) + (values * lost).reshape(len(values), -1).sum(axis=1)
        layer = way.writer
        write(model, layer.weight, values_of(model, layer)[sources])
        set_bias(model, layer, (constant_of(model, layer.bias)[sources] + entry[1]).astype(np.float32))
        for carrier in way.carriers:
            if carrier is not None:
                write(model, carrier.weight, values_of(model, carrier)[..., sources])
                set_bias(model, carrier, constant_of(model, carrier.bias)[sources])
        write(model, way.reader.weight, values[..., sources] / times)
        set_bias(model, way.reader, bias.astype(np.float32))
    return pack(model)


def carriers_in(name: str, entry: np.ndarray, width: int) -> np.ndarray:
    """The channel that each of `width` carries, int64; InputError where the split is none of such a map."""
    if entry.shape == (2, width) and width and np.isfinite(entry).all():
        sources = entry[0].astype(np.int64)
        if ((sources >= 0) & (sources < width)).all():
            return sources
    raise unfit(name)


def unfit(name: str) -> InputError:
    return InputError(
        f"the kept split of channels does not fit the map {name}; it was changed or damaged: measure anew with "
        "`measure_again`"
    )
