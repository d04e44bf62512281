"""Files that were broken on purpose, and whether the layer that was broken is the one that is named."""

from __future__ import annotations

import copy
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convert._coreml import program as _coreml
from convert._coreml.choose import ranges_of
from convert._coreml.imitate import Imitation
from convert._half_steps import Step
from convert._tflite import file as _tflite
from convert._tflite.half_norms import with_half_norms
from convert._tflite.layers import name_of, weighted
from convert._tflite.norms import norms_of
from convert._tflite.quantise import quantise
from edge.models.deployed import Deployed
from edge.questions.layers.findings import checked, compared
from edge.questions.layers.network import Network
from edge.runtimes import coreai
from edge.runtimes.inside import look_inside
from edge.scheme import Layer

SIDE = 32  # pixels


class Small(nn.Module):
    """What rewrites change most: batch norm, a residual, tokens in a stream of layer norms, attention, a gated GELU."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.SiLU())
        self.inner = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.SiLU())
        self.widen = nn.Conv2d(8, 16, 4, 4)
        self.norm1, self.qkv, self.out = nn.LayerNorm(16), nn.Linear(16, 48), nn.Linear(16, 16)
        self.norm2, self.up, self.down = nn.LayerNorm(16), nn.Linear(16, 32), nn.Linear(32, 16)
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.widen(x + self.inner(x)).flatten(2).transpose(1, 2)
        q, k, v = (part.reshape(1, 16, 2, 8).transpose(1, 2) for part in self.qkv(self.norm1(x)).chunk(3, -1))
        y = torch.softmax(q @ k.transpose(-2, -1) * 8**-0.5, -1) @ v
        x = x + self.out(y.transpose(1, 2).reshape(1, 16, 16))
        x = x + self.down(nn.functional.gelu(self.up(self.norm2(x))))
        return self.head(self.norm(x).mean(1))


@pytest.fixture(scope="module")
def model() -> Deployed:
    torch.manual_seed(0)
    net = Small()
    with torch.no_grad():
        for _ in range(10):
            net.stem(torch.rand(4, 3, SIDE, SIDE))
            net.inner(net.stem(torch.rand(4, 3, SIDE, SIDE)))
    for norm in (net.norm1, net.norm2, net.norm):
        nn.init.uniform_(norm.weight, 0.5, 2.0)
        nn.init.normal_(norm.bias)
    net.head.weight.data *= 4
    return Deployed(net, mean=(0, 0, 0), std=(1, 1, 1), temperature=1.3, layout="NHWC").eval()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)


@pytest.fixture(scope="module")
def lowered(model: Deployed) -> _tflite.Lowered:
    return _tflite.lower(model, torch.zeros(1, SIDE, SIDE, 3))


@pytest.fixture(scope="module")
def network(model: Deployed, images: np.ndarray) -> Network:
    return Network(model, images)


def found(network: Network, path: Path, images: np.ndarray) -> dict:
    network.reset()
    return compared(network, look_inside(path, path.suffix[1:], images))


def broken(lowered: _tflite.Lowered, module: str, change: Callable[[np.ndarray], np.ndarray], path: Path) -> Path:
    """The file with the weights of one module's layer changed."""
    content = _tflite.unpack(lowered.content)
    layer = next(one for one in weighted(content) if lowered.modules[name_of(content, one.output)][0] == module)
    buffer = content.buffers[content.subgraphs[0].tensors[layer.weight].buffer]
    values = np.frombuffer(bytes(buffer.data), np.float32).reshape(layer.shape).copy()
    buffer.data = np.frombuffer(change(values).astype(np.float32).tobytes(), np.uint8)
    path.write_bytes(_tflite.pack(content))
    return path


def test_the_traced_network_is_the_model(network: Network, model: Deployed, images: np.ndarray) -> None:
    with torch.inference_mode():
        answers = [model(torch.from_numpy(image[None]).float())[0].numpy() for image in images]
    assert checked(network, np.array(answers)) < 1e-6


def test_an_intact_file_is_not_accused(network: Network, lowered, images: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "x.tflite").write_bytes(lowered.content)
    result = found(network, tmp_path / "x.tflite", images)
    assert result["first"] is None and result["counts"]["off"] == 0
    placed = {row["module"] for row in result["rows"] if row["status"] == "ok"}
    assert {"stem.0", "inner.0", "widen", "qkv", "out", "up", "down", "head"} <= placed  # it did look
    assert all(row["own_db"] is None or row["own_db"] > 90 for row in result["rows"] if row["status"] == "ok")


def test_streams_that_fit_half_precision_are_known(network: Network, lowered, images: np.ndarray, tmp_path) -> None:
    """They are smaller by a power of two; a fault in one is still its layer's."""
    steps = {norm.name: Step(5, 5) for norm in norms_of(_tflite.unpack(lowered.content))}
    counts = {}
    for name, content in (("plain", lowered.content), ("smaller", with_half_norms(lowered.content, steps))):
        (tmp_path / f"{name}.tflite").write_bytes(content)
        result = found(network, tmp_path / f"{name}.tflite", images)
        counts[name] = result["counts"]
        assert result["first"] is None and all(row["own_db"] is None or row["own_db"] > 90 for row in result["rows"])
    assert counts["smaller"] == counts["plain"] and len(steps) == 3
    path = broken(
        replace(lowered, content=with_half_norms(lowered.content, steps)),
        "down",
        lambda w: w * 1.01,
        tmp_path / "f.tflite",
    )
    faulty = found(network, path, images)
    assert faulty["rows"][faulty["first"]]["module"] == "down"


def one_row_negated(weights: np.ndarray) -> np.ndarray:
    weights[..., 0] *= -1
    return weights


def every_module(*names: str) -> list:
    return [pytest.param(name, marks=pytest.mark.slow(reason="one more layer of the same network")) for name in names]


@pytest.mark.parametrize("module", ["stem.0", "inner.0", "qkv", "up", *every_module("widen", "out", "down", "head")])
@pytest.mark.parametrize(
    "change",
    [lambda w: w * 1.01, one_row_negated, lambda w: np.random.default_rng(0).normal(size=w.shape)],
    ids=["one per cent more", "one channel's sign", "noise"],
)
def test_a_changed_weight_is_named(
    network: Network, lowered, images: np.ndarray, tmp_path: Path, module: str, change
) -> None:
    result = found(network, broken(lowered, module, change, tmp_path / "x.tflite"), images)
    assert result["first"] is not None
    row = result["rows"][result["first"]]
    assert row["module"] == module, (row["op"], row["kind"], row["module"])
    assert row["kind"] in {"CONV_2D", "FULLY_CONNECTED"}
    # What lies behind inherits and is not accused, but for layer norms that count on a mean of zero and have none now.
    assert result["counts"]["off"] <= 5
    assert row["file_range"]["high"] > row["file_range"]["low"]
    assert row["torch_range"]["high"] > row["torch_range"]["low"]


@pytest.fixture(scope="module")
def eight_bits(lowered) -> dict[str, bytes]:
    return {recipe: quantise(lowered.content, recipe) for recipe in ("fp16", "int8-weights", "int8-dynamic")}


@pytest.mark.parametrize("recipe", ["fp16", "int8-weights", "int8-dynamic"])
def test_rounding_is_explained(network: Network, eight_bits, images: np.ndarray, tmp_path: Path, recipe: str) -> None:
    (tmp_path / "x.tflite").write_bytes(eight_bits[recipe])
    result = found(network, tmp_path / "x.tflite", images)
    assert result["counts"]["off"] == 0
    layers = [row for row in result["rows"] if row["kind"] in {"CONV_2D", "FULLY_CONNECTED"} and row["status"] == "ok"]
    assert len(layers) >= 6
    assert min(row["own_db"] for row in layers) < 80  # there was something to explain


@pytest.mark.parametrize("module", ["inner.0", "up"])
def test_a_wrong_scale_of_8_bit_weights_is_named(
    network: Network, lowered, eight_bits, images: np.ndarray, tmp_path: Path, module: str
) -> None:
    """One output channel's scale is wrong by a half: what a converter does that mixes up channels."""
    content = _tflite.unpack(eight_bits["int8-weights"])
    graph = content.subgraphs[0]
    layer = next(one for one in weighted(_tflite.unpack(lowered.content)) if of(lowered, one) == module)
    name = name_of(_tflite.unpack(lowered.content), layer.weight)
    stored = [one for one in graph.tensors if one.name.decode().startswith(name) and one.quantization is not None
              and one.quantization.scale is not None and len(one.quantization.scale) > 1]  # fmt: skip
    scales = np.array(stored[0].quantization.scale)
    scales[3] *= 1.5
    stored[0].quantization.scale = scales
    (tmp_path / "x.tflite").write_bytes(_tflite.pack(content))
    result = found(network, tmp_path / "x.tflite", images)
    assert result["rows"][result["first"]]["module"] == module


def of(lowered: _tflite.Lowered, layer) -> str:
    return lowered.modules[name_of(_tflite.unpack(lowered.content), layer.output)][0]


def package(model: Deployed, precision: str, path: Path, **options) -> Path:
    """The model as a Core ML package, through our own conversion."""
    half = copy.deepcopy(model)
    half.layout = "NCHW"
    held = SimpleNamespace(
        preprocess=SimpleNamespace(side=SIDE), labels=[SimpleNamespace(code=f"c{number}") for number in range(5)],
        deployed=lambda layout: half,
    )  # fmt: skip
    exported = _coreml.exported(held, _coreml.rewritten(held))  # type: ignore[arg-type]
    single = "fp32" if precision == "fp32" else "fp16"
    program = _coreml.float_program(held, exported, single, **options)  # type: ignore[arg-type]
    if precision == "int8-weights":
        program = _coreml.compact(_coreml.with_int8_weights(program), names=False)
    if precision == "palette6":
        program = _coreml.compact(_coreml.with_palette(program, 6), names=False)
    program.save(str(path))
    return path


coreml = pytest.mark.filterwarnings("ignore:Function _TORCH_OPS_REGISTRY:DeprecationWarning")


@coreml
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8-weights", "palette6"])
def test_an_intact_package_is_not_accused(network: Network, model, images, tmp_path: Path, precision: str) -> None:
    result = found(network, package(model, precision, tmp_path / "x.mlpackage"), images)
    assert result["counts"]["off"] == 0
    placed = {row["module"] for row in result["rows"] if row["status"] == "ok"}
    assert {"stem.0", "inner.0", "widen", "qkv", "out", "up", "down", "head"} <= placed


@coreml
@pytest.mark.slow(reason="two packages in 8 bits")
def test_activations_in_8_bits_are_explained_but_for_a_range_that_is_too_narrow(
    network: Network, model, images, tmp_path: Path
) -> None:
    package(model, "fp16", tmp_path / "half.mlpackage")
    half = Imitation(tmp_path / "half.mlpackage")
    ranges = ranges_of(half, images)
    layers = [
        Layer(tensor=one.operation.outputs[0].name, operator=one.operation.kind, kind="static", macs=1,
              input=ranges[one.input][0], output=ranges[one.output][0] if one.output else None)
        for one in half.layers
    ]  # fmt: skip
    path = package(model, "fp16", tmp_path / "x.mlpackage", ios=17, layers=layers, places=half.layers)
    result = found(network, path, images)
    assert result["counts"]["off"] == 0
    assert sum(row["kind"] == "dequantize" and row["status"] == "ok" for row in result["rows"]) >= 8

    narrow = next(n for n, one in enumerate(half.layers) if one.operation.outputs[0].shape[-1] == 32)  # `up`
    low, high = layers[narrow].output
    layers[narrow] = replace(layers[narrow], output=(low / 4, high / 4))
    path = package(model, "fp16", tmp_path / "y.mlpackage", ios=17, layers=layers, places=half.layers)
    result = found(network, path, images)
    row = result["rows"][result["first"]]
    assert row["module"] == "up" and row["file_range"]["high"] < 0.3 * row["torch_range"]["high"]


@coreml
@pytest.mark.parametrize("precision", ["fp16", "int8-weights"])
@pytest.mark.parametrize("module", ["inner.0", *every_module("qkv", "up")])
def test_a_changed_blob_is_named(network: Network, model, images, tmp_path: Path, precision: str, module: str) -> None:
    path = package(model, precision, tmp_path / "x.mlpackage")
    intact = found(network, path, images)
    op = next(row["op"] for row in intact["rows"] if row["module"] == module and row["kind"] in {"conv", "linear"})
    spoil(path, op)
    result = found(network, path, images)
    row = result["rows"][result["first"]]
    assert (row["module"], row["op"], row["confirmed"]) == (module, op, True)


def spoil(path: Path, place: int) -> None:
    """Turn round the bytes of the blob that holds the weights of the operation at `place`."""
    from edge.runtimes.coreml.program import read_spec

    spec = read_spec(path)
    function = spec.mlProgram.functions["main"]
    ops = function.block_specializations[function.opset].operations
    weight = ops[place].inputs["weight"].arguments[0].name
    made = next(op for op in ops if op.outputs[0].name == weight)
    values = [made.attributes["val"]] if made.type == "const" else [made.attributes["quantized_data"]]
    offset = values[0].blobFileValue.offset
    file = next(path.rglob("weight.bin"))
    content = bytearray(file.read_bytes())
    _, _, size, start = struct.unpack("<IIQQ", content[offset : offset + 24])
    width = 2 if made.type == "const" else 1
    blob = np.frombuffer(bytes(content[start : start + size]), np.uint16 if width == 2 else np.uint8)
    content[start : start + size] = blob[::-1].tobytes()
    file.write_bytes(content)


@coreml
def test_overflow_is_named_with_both_ranges(model, images: np.ndarray, tmp_path: Path) -> None:
    """A layer whose values float16 cannot hold, and whose next layer makes them small again."""
    large = copy.deepcopy(model)
    large.net.up.weight.data *= 1e5
    large.net.down.weight.data *= 1e-4
    network = Network(large, images)
    result = found(network, package(large, "fp16", tmp_path / "x.mlpackage"), images)
    row = result["rows"][result["first"]]
    assert row["module"] == "up"
    assert row["torch_range"]["high"] > 65504 and row["torch_range"]["not_finite"] == 0
    assert row["file_range"]["not_finite"] > 0


NO_COREAI = coreai.missing()


def asset(model: Deployed, precision: str, path: Path) -> Path:
    """The model as a Core AI file, through our own conversion."""
    from convert._coreai import program as _coreai

    coreai.check_installed(converting=True)
    held = SimpleNamespace(
        preprocess=SimpleNamespace(side=SIDE, mean=(0, 0, 0), std=(1, 1, 1)), temperature=1.3,
        network=lambda: copy.deepcopy(model.net),
    )  # fmt: skip
    _coreai.float_program(held, precision).save_asset(path)  # type: ignore[arg-type]
    return path


@pytest.mark.skipif(NO_COREAI is not None, reason=str(NO_COREAI))
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_core_ai_is_looked_into(network: Network, model, images, tmp_path: Path, precision: str) -> None:
    """An intact file is not accused; of one with a changed layer that layer is named."""
    result = found(network, asset(model, precision, tmp_path / "x.aimodel"), images)
    assert result["counts"]["off"] == 0
    placed = {row["module"] for row in result["rows"] if row["status"] == "ok"}
    assert {"stem.0", "inner.0", "widen", "qkv", "out", "up", "down", "head"} <= placed
    for module in ("inner.0", "up", "head"):
        other = copy.deepcopy(model)
        with torch.no_grad():
            other.net.get_submodule(module).weight[0] *= -1
        result = found(network, asset(other, precision, tmp_path / f"{module}.aimodel"), images)
        assert result["rows"][result["first"]]["module"] == module
