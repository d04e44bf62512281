"""Weights of a package rounded together: the moments they need, the grids they lie on, and what packages then hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from convert._coreml import bias, kept_rounding
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


@pytest.mark.parametrize("bits", [HALF, BYTE])
def test_biases_bring_every_layer_s_mean_answer_back(graph, moments, images, bits: int) -> None:
    """Oracle: the layers' answers in both networks, each run by torch from end to end; nothing else may be changed."""
    changed = _rounding.rounded(graph, _rounding.steps_for(graph, moments, bits), bits)
    kept = {name: value.clone() for name, value in changed.named_parameters()}
    biases = bias.corrected(graph, changed, images)
    assert all(torch.equal(value, kept[name]) for name, value in changed.named_parameters())
    places = [place for place in _rounding.places_of(graph) if place.bias]
    assert list(biases) == [place.bias for place in places]
    assert all(np.array_equal(values, values.astype(np.float16).astype(np.float32)) for values in biases.values())
    wanted, before = means_of(graph, images), means_of(bias.in_half_precision(changed), images)
    bias.with_biases(changed, biases)
    after = means_of(bias.in_half_precision(changed), images)
    for place in places:
        name = place.node.name
        step = np.spacing(np.abs(biases[place.bias]).astype(np.float16)).max()  # of float16's numbers there
        assert np.abs(after[name] - wanted[name]).max() <= 0.51 * step + 1e-6, name
    last = places[-1].node.name
    assert np.abs(after[last] - wanted[last]).max() < np.abs(before[last] - wanted[last]).max()


def means_of(graph: torch.fx.GraphModule, images: np.ndarray) -> dict[str, np.ndarray]:
    """Layer -> the mean of each channel of its answers."""
    seen: dict[str, list[np.ndarray]] = {}

    class Watched(torch.fx.Interpreter):
        def run_node(self, n):
            value = super().run_node(n)
            if n.op == "call_function" and isinstance(value, torch.Tensor) and value.ndim in {2, 4}:
                seen.setdefault(n.name, []).append(value.double().movedim(1, 0).flatten(1).mean(1).numpy())
            return value

    with torch.no_grad():
        for image in images:
            Watched(graph).run(_rounding.as_input(image))
    return {name: np.mean(values, axis=0) for name, values in seen.items()}


def test_what_is_measured_is_nearer_and_what_is_kept_is_checked(graph, images) -> None:
    choices, words = kept_rounding.measure(graph, images[:8], images[8:], {BYTE: 200.0, HALF: 10.0})
    assert list(choices) == [BYTE] and "8-bit weights" in words
    choice = choices[BYTE]
    wanted = kept_rounding.answers(graph, {}, images[8:])
    nearest = kept_rounding.Choice(kept_rounding.none(graph), {})
    after, before = (
        kept_rounding.fidelity(wanted, kept_rounding.changed(graph, some, BYTE), images[8:])
        for some in (choice, nearest)
    )
    assert after > before
    kept = {f"{BYTE} {name}": array for name, array in choice.arrays().items()}
    again = kept_rounding.of_bits({**kept, f"{HALF} first.weight": np.zeros(3, np.int32)}, BYTE)
    assert again.steps.keys() == choice.steps.keys() and again.biases.keys() == choice.biases.keys()
    name, other = next(iter(choice.steps)), next(iter(choice.biases))
    for own in (choice.steps[name][:-1], choice.steps[name].astype(np.int64)):
        with pytest.raises(InputError, match="does not fit"):
            _rounding.rounded(graph, {**choice.steps, name: own}, BYTE)
    with pytest.raises(InputError, match="does not fit"):
        _rounding.rounded(graph, {name: choice.steps[name]}, BYTE)
    sick = np.full_like(choice.biases[other], np.nan)
    for biases in ({other: choice.biases[other][:-1]}, {other: sick}, {"first.weight": choice.biases[other]}):
        with pytest.raises(InputError, match="does not fit"):
            kept_rounding.changed(graph, kept_rounding.Choice(choice.steps, biases), BYTE)
