"""Weights rounded together: closer answers than rounding each alone, on the grid that the quantiser then finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from convert._graph.graph import trace
from convert._graph.passes import MOBILE_PASSES, PASSES, rewrite
from convert._tflite import rounding as _rounding
from convert._tflite.emit import emit
from convert._tflite.file import INPUT, OUTPUT, unpack
from convert._tflite.layers import described, name_of, values_of, weighted
from convert._tflite.quantise import quantise, recipe_file
from edge.errors import InputError

SIDE = 16


class Layers(nn.Module):
    """Every kind of layer that is rounded, with odd sizes, a stride and a dilation."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.wide = nn.Conv2d(8, 12, 3, padding=2, dilation=2)
        self.grouped = nn.Conv2d(12, 6, 3, padding=1, groups=3)
        self.point = nn.Conv2d(6, 6, 1, bias=False)
        self.linear = nn.Linear(6, 5)

    def forward(self, x):
        x = torch.relu(self.first(x.permute(0, 3, 1, 2) / 255))
        x = self.point(torch.relu(self.grouped(torch.relu(self.wide(self.depthwise(x))))))
        return torch.softmax(self.linear(x.mean((2, 3))), -1)


@pytest.fixture(scope="module")
def file() -> bytes:
    torch.manual_seed(0)
    graph, _ = rewrite(trace(Layers(), torch.zeros(1, SIDE, SIDE, 3)), (*PASSES, *MOBILE_PASSES))
    return emit(graph, inputs=[INPUT], outputs=[OUTPUT])


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, SIDE, SIDE, 3), dtype=np.uint8)


def test_second_moments_are_those_of_the_layers_inputs(file: bytes, images: np.ndarray) -> None:
    """Oracle: torch's unfold on torch's own activations."""
    torch.manual_seed(0)
    net = Layers().eval()
    seen: dict[str, list[torch.Tensor]] = {}
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_pre_hook(lambda m, x, name=name: seen.setdefault(name, []).append(x[0].detach()))
    with torch.no_grad():
        for image in images:
            net(torch.from_numpy(image[None]).float())
    found = _rounding.second_moments(file, images)
    layers = weighted(unpack(file))
    assert len(layers) == 6
    for layer, name in zip(layers, ("first", "depthwise", "wide", "grouped", "point", "linear"), strict=True):
        module = net.get_submodule(name)
        total = 0.0
        for x in seen[name]:
            if isinstance(module, nn.Linear):
                rows = x[None]
            else:
                flat = nn.functional.unfold(
                    x, module.kernel_size, dilation=module.dilation, padding=module.padding, stride=module.stride
                )
                taps = flat.reshape(x.shape[1], -1, flat.shape[-1])  # channel, tap, place
                split = taps.reshape(module.groups, -1, *taps.shape[1:])
                rows = split.permute(0, 3, 2, 1).reshape(module.groups, flat.shape[-1], -1)
            total = total + (rows.transpose(1, 2) @ rows).double().numpy()
        scale = 1 / 255**2 if name == "first" and found[layer.weight].max() > 100 * np.max(total) else 1
        np.testing.assert_allclose(
            found[layer.weight] * scale, total, rtol=1e-4, atol=1e-4 * np.max(total), err_msg=name
        )


def test_answers_of_a_layer_change_less_than_with_nearest_rounding() -> None:
    generator = np.random.default_rng(1)
    inputs = generator.normal(size=(400, 24)) @ generator.normal(size=(24, 24))  # correlated, as activations are
    rows = generator.normal(size=(10, 24))
    scales = _rounding.scales_of(rows)
    together = _rounding.rounded_rows(rows, inputs.T @ inputs) * scales
    nearest = np.round(rows / scales) * scales

    def error(points: np.ndarray) -> float:
        return float(np.square(inputs @ (points - rows).T).sum())

    assert error(together) < 0.5 * error(nearest)
    assert np.abs(together / scales - np.round(together / scales)).max() < 1e-9
    # without anything to make good for (independent inputs) it is nearest rounding
    np.testing.assert_array_equal(_rounding.rounded_rows(rows, np.eye(24)), np.round(rows / scales))


def test_the_quantiser_finds_the_chosen_grid(file: bytes, images: np.ndarray) -> None:
    """What the 8-bit file holds, times its scales, is what was chosen: the choice survives."""
    steps = _rounding.steps_for(file, _rounding.second_moments(file, images))
    assert any(step.any() for step in steps.values())
    chosen = unpack(_rounding.rounded(file, steps))
    made = unpack(quantise(_rounding.rounded(file, steps), "int8-weights"))
    held = {name_of(chosen, layer.weight): values_of(chosen, layer) for layer in weighted(chosen)}
    compared = 0
    for tensor in made.subgraphs[0].tensors:
        if tensor.type == 9 and (name := tensor.name.decode()) in held:
            numbers = np.frombuffer(bytes(made.buffers[tensor.buffer].data), np.int8).reshape(held[name].shape)
            shape = [-1 if axis == tensor.quantization.quantizedDimension else 1 for axis in range(numbers.ndim)]
            np.testing.assert_allclose(numbers * tensor.quantization.scale.reshape(shape), held[name], rtol=1e-5)
            compared += 1
    assert compared >= 4


@pytest.mark.parametrize("recipe", ["int8-weights", "int8-dynamic", "int8"])
def test_depthwise_weights_that_stay_float_are_not_rounded(file: bytes, images: np.ndarray, recipe: str) -> None:
    """A weight that is stored in 32 bits has no reason to lie on an 8-bit grid."""
    rounded = _rounding.rounded(file, _rounding.steps_for(file, _rounding.second_moments(file, images)))
    made = unpack(recipe_file(recipe, file, rounded, described(file)))
    own = unpack(file)
    (depthwise,) = [layer for layer in weighted(own) if layer.operator == "DEPTHWISE_CONV_2D"]
    name = name_of(own, depthwise.weight).encode()
    tensors = [tensor for tensor in made.subgraphs[0].tensors if tensor.name == name and tensor.type == 0]
    stored = [made.buffers[tensor.buffer].data for tensor in tensors if made.buffers[tensor.buffer].data is not None]
    if recipe == "int8-weights":
        assert not stored
    else:
        (data,) = stored
        np.testing.assert_array_equal(np.frombuffer(bytes(data), np.float32), values_of(own, depthwise).ravel())


def test_kept_steps_come_back_and_foreign_ones_do_not(file: bytes, images: np.ndarray, tmp_path: Path) -> None:
    steps = _rounding.steps_for(file, _rounding.second_moments(file, images))
    path = tmp_path / "x.rounding.npz"
    assert _rounding.load(path, checkpoint_sha256="a", key="k") is None
    _rounding.save(path, steps, checkpoint_sha256="a", key="k")
    again = _rounding.load(path, checkpoint_sha256="a", key="k")
    assert again is not None and _rounding.rounded(file, again) == _rounding.rounded(file, steps)
    assert _rounding.load(path, checkpoint_sha256="b", key="k") is None
    assert _rounding.load(path, checkpoint_sha256="a", key="other") is None
    name = next(iter(steps))
    with pytest.raises(InputError, match="does not fit"):
        _rounding.rounded(file, {**steps, name: steps[name][..., :-1]})
    flipped = bytearray(path.read_bytes())
    flipped[len(flipped) // 2] ^= 255
    for damage in (b"", b"hello", path.read_bytes()[:200], bytes(flipped)):
        path.write_bytes(damage)
        with pytest.raises(InputError, match="remove it"):
            _rounding.load(path, checkpoint_sha256="a", key="k")


def test_a_pickle_in_the_kept_file_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "x.rounding.npz"
    np.savez(path, **{"k/a": np.zeros(0, np.int8), "w": np.array([print], dtype=object)})
    with pytest.raises(InputError, match="remove it"):
        _rounding.load(path, checkpoint_sha256="a", key="k")
