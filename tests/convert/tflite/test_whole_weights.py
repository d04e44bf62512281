"""Channels that are split and scaled for a chain in 8 bits: the answers stay in float, and come closer in 8 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from convert._graph.graph import trace
from convert._graph.passes import MOBILE_PASSES, PASSES, rewrite
from convert._tflite import whole_weights as _whole_weights
from convert._tflite.alone import rounded_alone
from convert._tflite.choose import answers
from convert._tflite.emit import emit
from convert._tflite.equalise import equalised, factors_for, groups_of
from convert._tflite.file import INPUT, OUTPUT
from convert._tflite.layer_inputs import moments_of
from convert._tflite.layers import activations, name_of, weighted
from convert._tflite.rounding import rounding_for
from convert._tflite.split import carried, empty_channels, split, splits_for, ways_of
from convert._tflite.whole import Chain
from convert._tflite.whole_weights import WholeWeights, nearest, whole_weights_for
from edge.errors import InputError
from edge.tflite.flatbuffer import unpack

SIDE = 32
LOUD, EMPTY = 5, (2, 9)  # channels of the stem


class Uneven(nn.Module):
    """A stem of which one channel matters most and two are never above zero, and maps whose channels differ 50 fold."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.each = nn.Conv2d(3, 16, 3, stride=2), nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.narrow, self.wide, self.again = nn.Conv2d(16, 8, 1), nn.Conv2d(8, 24, 1), nn.Conv2d(24, 8, 1)
        self.last, self.head = nn.Conv2d(8, 32, 1), nn.Linear(32, 4)
        with torch.no_grad():
            self.stem.weight[LOUD] /= 10  # it hardly moves, and its movement is made large behind it
            self.stem.bias[LOUD], self.each.bias[LOUD] = 1.5, 0.5
            self.each.weight[LOUD] = 0.1
            self.narrow.weight[:, LOUD] *= 400
            self.narrow.bias -= self.narrow.weight[:, LOUD, 0, 0] * 1.85
            for channel in EMPTY:
                self.stem.bias[channel] = -40.0
            spread = torch.logspace(-1.7, 0, 8)
            for layer in (self.narrow, self.again):
                layer.weight *= spread.view(-1, 1, 1, 1)
                layer.bias *= spread
            for reader in (self.wide, self.last):
                reader.weight /= spread.view(1, -1, 1, 1)
            self.head.weight *= 8

    def forward(self, x):
        x = (x.permute(0, 3, 1, 2) - 127) / 128
        x = nn.functional.relu6(self.stem(nn.functional.pad(x, (0, 1, 0, 1))))
        x = self.narrow(nn.functional.relu6(self.each(x)))
        x = x + self.again(nn.functional.relu6(self.wide(x)))
        return torch.softmax(self.head(nn.functional.relu6(self.last(x)).mean((2, 3))), -1)


@pytest.fixture(scope="module")
def uneven() -> tuple[nn.Module, bytes, np.ndarray]:
    """The network, its float file, and pictures."""
    torch.manual_seed(3)
    network = Uneven()
    graph, _ = rewrite(trace(network, torch.zeros(1, SIDE, SIDE, 3)), PASSES)
    graph, _ = rewrite(graph, MOBILE_PASSES)
    draw = np.random.default_rng(0)
    tints, noise = draw.uniform(0, 215, (40, 1, 1, 3)), draw.uniform(0, 40, (40, SIDE, SIDE, 3))
    return network, emit(graph, inputs=[INPUT], outputs=[OUTPUT]), (tints + noise).astype(np.uint8)


def run(content: bytes, images: np.ndarray) -> np.ndarray:
    return answers(content, images)[0].probabilities


def torch_answers(network: nn.Module, images: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return network(torch.from_numpy(images.astype(np.float32))).numpy()


def largest_of_channels(content: bytes, tensors: list[int], images: np.ndarray) -> np.ndarray:
    """The largest absolute value of each channel of some maps together."""
    return np.max(
        [np.abs(tensor(t)).max(axis=(0, 1, 2)) for tensor in activations(content, images, "") for t in tensors], axis=0
    )


def test_scaled_channels_have_ranges_alike_and_the_answers_stay(uneven) -> None:
    network, content, images = uneven
    factors = factors_for(content, images)
    (name,) = factors  # the bottleneck and its sum; maps behind a ReLU6 stay
    scaled = equalised(content, factors)
    assert np.abs(run(scaled, images) - torch_answers(network, images)).max() < 1e-5
    maps = groups_of(unpack(content))[name].maps
    assert len(maps) == 3  # both that are added, and their sum
    before, behind = (largest_of_channels(file, maps, images) for file in (content, scaled))
    assert before.max() > 8 * before.min() and behind.max() == pytest.approx(behind.min(), rel=1e-3)


def test_the_loudest_channel_is_carried_by_empty_ones_and_the_answers_stay(uneven) -> None:
    network, content, images = uneven
    splits = splits_for(content, Chain(content).ranges(images), images)
    ((name, entry),) = splits.items()
    stem = weighted(unpack(content))[0]
    assert name == name_of(unpack(content), stem.output)
    assert {channel for channel in range(16) if entry[0, channel] == LOUD} == {LOUD, *EMPTY}
    assert entry[1].sum() == pytest.approx(0, abs=1e-7)  # shifts that take each other back
    assert np.abs(run(split(content, splits), images) - torch_answers(network, images)).max() < 1e-3


def test_copies_are_rounded_more_finely_than_the_channel(uneven) -> None:
    """Three copies a third of a step apart: about a ninth of the noise, of that channel alone."""
    _, content, images = uneven
    stem = weighted(unpack(content))[0].output
    name, ranges = name_of(unpack(content), stem), Chain(content).ranges(images)
    step = (ranges[name][1] - ranges[name][0]) / 255
    copied = split(content, {name: carried(16, LOUD, np.array(EMPTY), step)})
    power = []
    for file in (content, copied):
        chosen = np.zeros(16, np.float32)
        chosen[[LOUD, *EMPTY]] = 1
        apart = run(rounded_alone(file, stem, ranges[name], chosen), images) - run(file, images)
        power.append(float(np.square(apart).mean()))
    assert power[1] < power[0] / 3


def test_a_chain_comes_closer_to_the_float_network(uneven) -> None:
    network, content, images = uneven
    wanted = torch_answers(network, images[24:])
    ranges = Chain(content).ranges(images[:24])
    rounding = rounding_for(content, moments_of(content, images[:24]))
    apart = []
    for weights in (WholeWeights({}, {}, rounding), whole_weights_for(content, ranges, images[:24])):
        file = Chain(weights.on_grid(content)).written(Chain(weights.floats(content)).ranges(images[:24]))
        apart.append(float(np.square(run(file, images[24:]) - wanted).mean()))
    assert apart[1] < apart[0] / 1.5


def test_weights_that_do_harm_are_left(uneven) -> None:
    """Factors that make channels more unlike than they were; and the order of the two does not matter."""
    _, content, images = uneven
    plain = WholeWeights({}, {}, rounding_for(content, moments_of(content, images[:24])))
    factors = {name: (1 / values).clip(0, 64) ** 2 for name, values in factors_for(content, images).items()}
    apart = equalised(content, factors)
    harmful = WholeWeights({}, factors, rounding_for(apart, moments_of(apart, images[:24])))
    for candidates in ((plain, harmful), (harmful, plain)):
        chosen, ranges = nearest(candidates, content, images[:24], images[24:])
        assert chosen is plain and ranges == Chain(content).ranges(images[:24])


def test_a_channel_that_may_rise_is_not_empty(uneven) -> None:
    _, content, _ = uneven
    model = unpack(content)
    way = ways_of(model)[name_of(model, weighted(model)[0].output)]
    assert set(empty_channels(model, way, (-1.0, 1.0))) == set(EMPTY)
    assert not len(empty_channels(model, way, (-1e4, 1e4)))  # with such inputs each could be above zero


def test_what_two_layers_read_is_not_split(uneven) -> None:
    """The sum's channels go to two layers: their copies would be counted twice."""
    _, content, _ = uneven
    ways = ways_of(unpack(content))
    model = unpack(content)
    bottleneck = next(iter(groups_of(model)))
    assert bottleneck not in ways and name_of(model, weighted(model)[0].output) in ways


def test_what_is_kept_comes_back_and_damage_is_named(uneven, tmp_path: Path) -> None:
    _, content, images = uneven
    weights = whole_weights_for(content, Chain(content).ranges(images), images[:24])
    path = tmp_path / "m.whole.rounding.npz"
    _whole_weights.save(path, weights, checkpoint_sha256="a", key="g")
    again = _whole_weights.load(path, checkpoint_sha256="a", key="g")
    assert again is not None and again.on_grid(content) == weights.on_grid(content)
    assert _whole_weights.load(path, checkpoint_sha256="b", key="g") is None
    (name, factors), (map_, entry) = next(iter(weights.factors.items())), next(iter(weights.splits.items()))
    for wrong in ({name: factors[:-1]}, {name: -factors}, {"elsewhere": factors}):
        with pytest.raises(InputError, match="measure anew"):
            equalised(content, wrong)
    for wrong in ({map_: entry[:, :-1]}, {map_: entry + 16}, {"elsewhere": entry}):
        with pytest.raises(InputError, match="measure anew"):
            split(content, wrong)
