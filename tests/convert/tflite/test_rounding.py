"""Weights rounded together, on the grid that the quantiser then finds, and biases that make up for the mean error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from convert import _kept_rounding
from convert._graph.graph import trace
from convert._graph.passes import MOBILE_PASSES, PASSES, rewrite
from convert._joint_rounding import rounded_rows, scales_of
from convert._moments import PLACES, step_between
from convert._tflite import rounding as _rounding
from convert._tflite.emit import emit
from convert._tflite.file import INPUT, OUTPUT, unpack
from convert._tflite.layer_inputs import means_of, moments_of
from convert._tflite.layers import described, name_of, values_of, weighted
from convert._tflite.quantise import quantise, recipe_file
from edge.errors import InputError
from edge.tflite.flatbuffer import constant_of, pack

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


def test_moments_are_those_of_the_layers_inputs(file: bytes, images: np.ndarray) -> None:
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
    found = moments_of(file, images)
    alone = means_of(file, images)
    layers = weighted(unpack(file))
    assert len(layers) == 6
    for layer, name in zip(layers, ("first", "depthwise", "wide", "grouped", "point", "linear"), strict=True):
        module = net.get_submodule(name)
        total, sums, places = 0.0, 0.0, 0
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
            sums, places = sums + rows.double().sum(1).numpy(), places + rows.shape[1]
        own = found[layer.weight]
        scale = 255 if name == "first" and own.products.max() > 100 * np.max(total) else 1
        np.testing.assert_allclose(own.products / scale**2, total, rtol=1e-4, atol=1e-4 * np.max(total), err_msg=name)
        means = sums / places
        np.testing.assert_allclose(own.means / scale, means, rtol=1e-4, atol=1e-4 * np.abs(means).max(), err_msg=name)
        np.testing.assert_array_equal(alone[layer.weight], own.means)


def test_answers_of_a_layer_change_less_than_with_nearest_rounding() -> None:
    generator = np.random.default_rng(1)
    inputs = generator.normal(size=(400, 24)) @ generator.normal(size=(24, 24))  # correlated, as activations are
    rows = generator.normal(size=(10, 24))
    scales = scales_of(rows)
    together = rounded_rows(rows, inputs.T @ inputs) * scales
    nearest = np.round(rows / scales) * scales

    def error(points: np.ndarray) -> float:
        return float(np.square(inputs @ (points - rows).T).sum())

    assert error(together) < 0.5 * error(nearest)
    assert np.abs(together / scales - np.round(together / scales)).max() < 1e-9
    # without anything to make good for (independent inputs) it is nearest rounding
    np.testing.assert_array_equal(rounded_rows(rows, np.eye(24)), np.round(rows / scales))


def test_the_quantiser_finds_the_chosen_grid(file: bytes, images: np.ndarray) -> None:
    """What the 8-bit file holds, times its scales, is what was chosen: the choice survives."""
    rounding = _rounding.rounding_for(file, moments_of(file, images))
    assert any(step.any() for step in rounding.steps.values())
    chosen = unpack(_rounding.rounded(file, rounding))
    made = unpack(quantise(_rounding.rounded(file, rounding), "int8-weights"))
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
    rounded = _rounding.rounded(file, _rounding.rounding_for(file, moments_of(file, images)))
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
        (bias,) = [layer.bias for layer in weighted(made) if layer.operator == "DEPTHWISE_CONV_2D"]
        np.testing.assert_array_equal(constant_of(made, bias), constant_of(own, depthwise.bias))


@pytest.mark.parametrize("recipe", ["fp16", "int8-weights"])
def test_every_layer_keeps_its_mean_output(file: bytes, images: np.ndarray, recipe: str) -> None:
    """What a layer makes of the float network's activations is on average what the float layer makes of them.

    Oracle: torch's layers in float64, with the weights and biases of the file in place of their own.
    """
    torch.manual_seed(0)
    net = Layers().eval()
    rounding = _rounding.rounding_for(file, moments_of(file, images))
    changed = _rounding.halved(file, rounding.means) if recipe == "fp16" else _rounding.rounded(file, rounding)
    made, own = unpack(changed), unpack(file)
    kept = {
        "fp16": _rounding.halved(file, {}),
        "int8-weights": _rounding.rounded(file, _kept_rounding.Rounding(rounding.steps)),
    }
    uncorrected = unpack(kept[recipe])
    seen: dict[str, list[torch.Tensor]] = {}
    names = ("first", "depthwise", "wide", "grouped", "point", "linear")
    for name in names:
        net.get_submodule(name).register_forward_pre_hook(
            lambda m, x, name=name: seen.setdefault(name, []).append(x[0].detach().double())
        )
    with torch.no_grad():
        for image in images:
            net(torch.from_numpy(image[None]).float())
    net.double()
    for number, name in enumerate(names[1:], 1):  # the picture's scale is folded into the first
        module = net.get_submodule(name)
        errors = {}
        x = torch.cat(seen[name])
        with torch.no_grad():
            axes = (0, 2, 3) if x.ndim == 4 else (0,)
            wanted = outputs_of(module, own, number, x).mean(axes)
            assert (wanted - module(x).mean(axes)).abs().max() < 1e-5
            for kind, model in (("corrected", made), ("not", uncorrected)):
                errors[kind] = float((outputs_of(module, model, number, x).mean(axes) - wanted).abs().max())
        assert errors["corrected"] < 1e-6 < errors["not"], (name, errors)


def outputs_of(module: nn.Module, model, number: int, x: torch.Tensor) -> torch.Tensor:
    """A torch layer with the weights and the bias of the file's layer of that number."""
    layer = weighted(model)[number]
    values = values_of(model, layer)
    weight = torch.from_numpy(np.ascontiguousarray(values))
    if layer.operator == "DEPTHWISE_CONV_2D":
        weight = weight.permute(3, 0, 1, 2)
    elif layer.operator == "CONV_2D":
        weight = weight.permute(0, 3, 1, 2)
    bias = torch.from_numpy(constant_of(model, layer.bias).astype(np.float64))
    parameters = {"weight": weight, "bias": bias}
    if module.bias is None:
        return module(x) * 0 + nn.functional.conv2d(x, weight, bias)
    return torch.func.functional_call(module, parameters, (x,))


def test_layers_that_share_a_bias_get_one_each(images: np.ndarray) -> None:
    """The writer stores equal constants once; what corrects one layer must not reach the other."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 3, bias=False), nn.Conv2d(4, 4, 3, bias=False)

        def forward(self, x):
            return torch.softmax(self.b(torch.relu(self.a(x.permute(0, 3, 1, 2) / 255))).mean((2, 3)), -1)

    torch.manual_seed(0)
    graph, _ = rewrite(trace(Two(), torch.zeros(1, SIDE, SIDE, 3)), (*PASSES, *MOBILE_PASSES))
    content = emit(graph, inputs=[INPUT], outputs=[OUTPUT])
    before = unpack(content)
    (shared,) = {layer.bias for layer in weighted(before)}
    # names that would be given next are taken; the quantiser refuses two tensors of one name
    tensors = before.subgraphs[0].tensors
    others = [tensor for place, tensor in enumerate(tensors) if place != shared]
    for layer, tensor in zip(weighted(before), others, strict=False):
        tensor.name = tensors[shared].name + f"_{layer.place}".encode()
    content = pack(before)
    after = unpack(_rounding.halved(content, _rounding.rounding_for(content, moments_of(content, images)).means))
    first, second = weighted(after)
    assert first.bias != second.bias
    names = [tensor.name for tensor in after.subgraphs[0].tensors]
    assert len(set(names)) == len(names)
    for layer in (first, second):
        assert constant_of(after, layer.bias).any()


def test_large_maps_are_looked_at_in_every_column() -> None:
    for side in (45, 46, 112, 128, 512):
        step = step_between(side * side)
        assert side * side / step <= PLACES
        assert len({place % side for place in range(0, side * side, step)}) == side


def test_kept_steps_come_back_and_foreign_ones_do_not(file: bytes, images: np.ndarray, tmp_path: Path) -> None:
    rounding = _rounding.rounding_for(file, moments_of(file, images))
    path = tmp_path / "x.rounding.npz"
    assert _kept_rounding.load(path, checkpoint_sha256="a", key="k") is None
    _kept_rounding.save(path, rounding, checkpoint_sha256="a", key="k")
    again = _kept_rounding.load(path, checkpoint_sha256="a", key="k")
    assert again is not None and _rounding.rounded(file, again) == _rounding.rounded(file, rounding)
    assert _rounding.halved(file, again.means) == _rounding.halved(file, rounding.means)
    assert _kept_rounding.load(path, checkpoint_sha256="b", key="k") is None
    assert _kept_rounding.load(path, checkpoint_sha256="a", key="other") is None
    name = next(iter(rounding.steps))
    short, sick = rounding.means[name][:, :-1], np.full_like(rounding.means[name], np.nan)
    with pytest.raises(InputError, match="does not fit"):
        _rounding.rounded(file, replace(rounding, steps={**rounding.steps, name: rounding.steps[name][..., :-1]}))
    for means in ({**rounding.means, name: short}, {**rounding.means, name: sick}, {name: rounding.means[name]}):
        with pytest.raises(InputError, match="does not fit"):
            _rounding.rounded(file, replace(rounding, means=means))
        with pytest.raises(InputError, match="does not fit"):
            _rounding.halved(file, means)
    flipped = bytearray(path.read_bytes())
    flipped[len(flipped) // 2] ^= 255
    for damage in (b"", b"hello", path.read_bytes()[:200], bytes(flipped)):
        path.write_bytes(damage)
        with pytest.raises(InputError, match="remove it"):
            _kept_rounding.load(path, checkpoint_sha256="a", key="k")


def test_a_pickle_in_the_kept_file_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "x.rounding.npz"
    np.savez(path, **{"k/a": np.zeros(0, np.int8), "w": np.array([print], dtype=object)})
    with pytest.raises(InputError, match="remove it"):
        _kept_rounding.load(path, checkpoint_sha256="a", key="k")
