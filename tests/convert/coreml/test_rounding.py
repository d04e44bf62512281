"""Weights of a package rounded together: the moments they need, the grids they lie on, and what packages then hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from convert._coreml import kept_rounding
from convert._coreml import rounding as _rounding
from convert._coreml.imitate import Imitation
from convert._coreml.program import with_int8_weights
from convert._coreml.rounding import BYTE, HALF, Grid
from convert._graph.graph import constant, trace
from edge.errors import InputError
from tests.convert.coreml.test_int8 import converted

pytestmark = [
    pytest.mark.filterwarnings("ignore:Function _TORCH_OPS_REGISTRY:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Saving value type of int64:UserWarning"),
]
SIDE = 16  # of `converted`


class Layers(nn.Module):
    """Every kind of layer that is rounded, inputs far from zero, biases that float16 rounds coarsely."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(8, 16, 3, padding=2, dilation=2, groups=8)
        self.grouped = nn.Conv2d(16, 32, 3, groups=2)
        self.point = nn.Conv2d(32, 32, 1, bias=False)
        self.linear = nn.Linear(32, 5)
        with torch.no_grad():
            for layer in (self.first, self.depthwise, self.grouped):
                layer.bias += 4.0

    def forward(self, x):
        x = torch.relu(self.depthwise(torch.relu(self.first(x / 255))))
        x = torch.relu(self.point(torch.relu(self.grouped(x))))
        return torch.softmax(self.linear(x.mean((2, 3))), -1)


@pytest.fixture(scope="module")
def graph() -> torch.fx.GraphModule:
    torch.manual_seed(0)
    return trace(Layers().eval(), torch.zeros(1, 3, SIDE, SIDE))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (12, SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def moments(graph, images):
    return _rounding.moments_of(graph, images)


def test_moments_give_what_the_layers_answer(graph, images, moments) -> None:
    """Oracle: torch's own layers. Sums and squares of their answers follow from means and products of their inputs."""
    torch.manual_seed(0)
    net = Layers().eval()
    answers: dict[str, list[torch.Tensor]] = {}
    for name, layer in net.named_children():
        layer.register_forward_hook(lambda m, x, y, name=name: answers.setdefault(name, []).append(y.detach()))
    with torch.no_grad():
        for image in images:
            net(_rounding.as_input(image))
    places = _rounding.places_of(graph)
    assert [place.weight for place in places] == [f"{name}.weight" for name in answers]
    for place, (name, seen) in zip(places, answers.items(), strict=True):
        y = torch.cat([value.movedim(1, -1).reshape(-1, value.shape[1]) for value in seen]).double().numpy()
        rows, bias = _rounding.rows_and_bias(graph, place)
        y -= 0 if bias is None else bias
        own = moments[place.weight]
        parts = np.split(rows, len(own.means))
        assert own.places == len(y)
        means = np.concatenate([part @ m for part, m in zip(parts, own.means, strict=True)])
        squares = np.concatenate([np.einsum("ok,kl,ol->o", w, h, w) for w, h in zip(parts, own.products, strict=True)])
        np.testing.assert_allclose(means, y.mean(0), rtol=1e-4, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(squares, np.square(y).sum(0), rtol=1e-3, err_msg=name)


@pytest.mark.parametrize("bits", [HALF, BYTE])
def test_steps_bring_back_every_point_of_a_grid(bits: int) -> None:
    generator = np.random.default_rng(2)
    rows = generator.normal(size=(6, 40)) * 10.0 ** generator.integers(-4, 2, (6, 1))
    rows[0, :3] = (0.0, 1e-7, -1e-7)  # both sides of zero, and below float16's normal numbers
    grid = Grid(rows, bits)
    chosen = np.stack([grid.nearest(k, rows[:, k] * generator.uniform(-1.2, 1.2, 6)) for k in range(40)], axis=1)
    np.testing.assert_array_equal(grid.values(grid.steps(chosen)), chosen)


@pytest.mark.parametrize("bits", [HALF, BYTE])
def test_every_layer_keeps_its_mean_answer(graph, moments, bits: int) -> None:
    """The weights make up for what float16 does to the bias, and for each other."""
    steps = _rounding.steps_for(graph, moments, bits)
    changed, nearest = (_rounding.rounded(graph, some, bits) for some in (steps, kept_rounding.none(graph)))
    for place, new, old in zip(*(_rounding.places_of(one) for one in (graph, changed, nearest)), strict=True):
        if place.bias is None:
            continue
        means = moments[place.weight].means.astype(np.float64)
        off = {}
        for kind, one, where in (("together", changed, new), ("nearest", nearest, old)):
            (rows, bias), (held, same) = _rounding.rows_and_bias(graph, place), _rounding.rows_and_bias(one, where)
            np.testing.assert_array_equal(same, bias)  # the package rounds it
            lost = bias - _rounding.in_half(bias)
            off[kind] = np.abs(((rows - held) * means.repeat(len(rows) // len(means), axis=0)).sum(1) + lost).max()
        assert off["together"] < 0.5 * off["nearest"], (place.weight, off)


def test_a_package_holds_the_chosen_grid(graph, moments, tmp_path: Path) -> None:
    """Written by coremltools and read back, the 8-bit weights are those that were chosen."""
    chosen = _rounding.rounded(graph, _rounding.steps_for(graph, moments, BYTE), BYTE)
    program = torch.export.export(chosen, (torch.zeros(1, 3, SIDE, SIDE),)).run_decompositions({})
    path = tmp_path / "rounded.mlpackage"
    with_int8_weights(converted(program)).save(str(path))
    package = Imitation(path)
    values = package.starting_values(np.zeros((SIDE, SIDE, 3), np.uint8))
    package.go_on(values, 0, {}, {})
    expanded = [values[layer.operation.inputs["weight"].name] for layer in package.layers]
    compared = 0
    for place in _rounding.places_of(chosen):
        weight = constant(chosen, place.node.args[1])
        if _rounding.kind_of(graph, place, BYTE) == BYTE:
            same = [v for v in expanded if v.shape == weight.shape]
            assert any(torch.allclose(v.float(), weight, rtol=1e-3, atol=0) for v in same), place.weight
            compared += 1
    assert compared == 2


def test_what_is_measured_is_nearer_and_what_is_kept_is_checked(graph, images) -> None:
    steps, words = kept_rounding.measure(graph, images[:8], images[8:], {BYTE: 200.0, HALF: 10.0})
    assert list(steps) == [BYTE] and "8-bit weights" in words
    wanted = kept_rounding.answers(graph, {}, images[8:])
    after, before = (
        kept_rounding.fidelity(wanted, _rounding.rounded(graph, some, BYTE), images[8:])
        for some in (steps[BYTE], kept_rounding.none(graph))
    )
    assert after > before
    name = next(iter(steps[BYTE]))
    for own in (steps[BYTE][name][:-1], steps[BYTE][name].astype(np.int64)):
        with pytest.raises(InputError, match="does not fit"):
            _rounding.rounded(graph, {**steps[BYTE], name: own}, BYTE)
    with pytest.raises(InputError, match="does not fit"):
        _rounding.rounded(graph, {name: steps[BYTE][name]}, BYTE)
