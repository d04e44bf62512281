"""A chain in 8 bits: which operators are in it, that its answers are right, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from torch import nn

from convert._aim import Aim
from convert._graph.graph import trace
from convert._graph.passes import MOBILE_PASSES, PASSES, rewrite
from convert._tflite import choose as _choose
from convert._tflite import try_chain as _try_chain
from convert._tflite import whole_weights as _whole_weights
from convert._tflite.emit import emit
from convert._tflite.file import INPUT, OUTPUT, modules_of
from convert._tflite.layer_inputs import moments_of
from convert._tflite.layers import preserved_tensors
from convert._tflite.measured import check_layers
from convert._tflite.quantise import recipe_file
from convert._tflite.rounding import rounded, rounding_for
from convert._tflite.whole import Chain, chain_file
from convert._tflite.whole_weights import WholeWeights
from edge.errors import InputError
from edge.recipes import Gate
from edge.runtimes.litert import LiteRT
from edge.scheme import Scheme
from edge.tflite.flatbuffer import code_name, unpack
from edge.tflite.opens_from import opens_from
from tests._phones import ANDROID

SIDE = 32
FACTS = {"model": "m", "checkpoint_sha256": "a", "graph": "g", "data": "noise"}
INT8, FLOAT32 = 9, 0  # of the schema's TensorType


class Residual(nn.Module):
    """Inverted residuals as in MobileNetV2; the picture is normalised by channel, its border padded on one side."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2)
        self.wide, self.each = nn.Conv2d(8, 24, 1), nn.Conv2d(24, 24, 3, padding=1, groups=24)
        self.narrow, self.last = nn.Conv2d(24, 8, 1), nn.Conv2d(8, 32, 1)
        self.head = nn.Linear(32, 4)
        with torch.no_grad():
            self.head.weight *= 8

    def forward(self, x):
        x = x.permute(0, 3, 1, 2) / 255
        x = (x - torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1)) / torch.tensor([0.2, 0.25, 0.3]).view(1, 3, 1, 1)
        x = nn.functional.relu6(self.stem(nn.functional.pad(x, (0, 1, 0, 1))))
        x = x + self.narrow(nn.functional.relu6(self.each(nn.functional.relu6(self.wide(x)))))
        return torch.softmax(self.head(nn.functional.relu6(self.last(x)).mean((2, 3))), -1)


class Tokens(nn.Module):
    """A linear layer without bias on 16 rows, and one on their mean."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.each, self.head = nn.Conv2d(3, 8, 8, stride=8), nn.Linear(8, 12, bias=False), nn.Linear(12, 4)
        with torch.no_grad():
            self.each.weight *= torch.logspace(-1, 1, 12)[:, None]  # scales that differ

    def forward(self, x):
        tokens = self.stem(x.permute(0, 3, 1, 2) / 255).flatten(2).transpose(1, 2)
        return torch.softmax(self.head(torch.relu(self.each(tokens)).mean(1)), -1)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 8, 8, stride=8), nn.Linear(8, 4)

    def forward(self, x):
        tokens = self.stem(x.permute(0, 3, 1, 2) / 255).flatten(2).transpose(1, 2)
        tokens = torch.softmax(tokens @ tokens.transpose(1, 2), -1) @ tokens
        return torch.softmax(self.head(tokens.mean(1)), -1)


def lowered(network: nn.Module) -> tuple[bytes, dict]:
    graph, _ = rewrite(trace(network.eval(), torch.zeros(1, SIDE, SIDE, 3)), (*PASSES, *MOBILE_PASSES))
    return emit(graph, inputs=[INPUT], outputs=[OUTPUT]), modules_of(graph)


@pytest.fixture(scope="module")
def residual() -> tuple[nn.Module, bytes, bytes, np.ndarray, dict]:
    """The network, its float file, the same with rounded weights, pictures, and modules."""
    torch.manual_seed(1)
    network = Residual()
    content, modules = lowered(network)
    draw = np.random.default_rng(0)
    tints, noise = draw.uniform(0, 215, (24, 1, 1, 3)), draw.uniform(0, 40, (24, SIDE, SIDE, 3))
    images = (tints + noise).astype(np.uint8)  # pictures that differ
    return network, content, rounded(content, rounding_for(content, moments_of(content, images))), images, modules


def run(content: bytes, images: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    entry, answer = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    rows = []
    for image in images:
        interpreter.set_tensor(entry["index"], image[None].astype(entry["dtype"]))
        interpreter.invoke()
        rows.append(interpreter.get_tensor(answer["index"])[0])
    return np.array(rows)


def in_float(content: bytes) -> list[str]:
    """Operators that give floats."""
    model = unpack(content)
    graph = model.subgraphs[0]
    return [
        code_name(model.operatorCodes[o.opcodeIndex])
        for o in graph.operators
        if graph.tensors[int(o.outputs[0])].type == FLOAT32
    ]


def test_a_chain_goes_to_float_only_behind_its_last_map(residual) -> None:
    _, content, on_grid, images, _ = residual
    file = Chain(on_grid).written(Chain(content).ranges(images))
    assert in_float(file) == ["DEQUANTIZE", "FULLY_CONNECTED", "SOFTMAX"]
    assert unpack(file).subgraphs[0].tensors[int(unpack(file).subgraphs[0].inputs[0])].type == FLOAT32


@pytest.mark.parametrize("camera", [False, True])
def test_its_answers_are_those_of_the_torch_network(residual, camera: bool) -> None:
    network, content, on_grid, images, _ = residual
    file = Chain(on_grid).written(Chain(content).ranges(images), camera=camera)
    with torch.no_grad():
        wanted = network(torch.from_numpy(images.astype(np.float32))).numpy()
    assert np.abs(wanted - wanted.mean(0)).max() > 0.05  # the answers depend on the picture
    assert np.abs(run(file, images) - wanted).max() < 0.03


def test_with_the_cameras_bytes_nothing_but_the_softmax_is_in_float(residual) -> None:
    _, content, on_grid, images, _ = residual
    file = Chain(on_grid).written(Chain(content).ranges(images), camera=True)
    assert in_float(file) == ["DEQUANTIZE", "SOFTMAX"]
    assert Interpreter(model_content=file).get_input_details()[0]["dtype"] is np.uint8


def used(content: bytes) -> list[str]:
    model = unpack(content)
    return [code_name(model.operatorCodes[o.opcodeIndex]) for o in model.subgraphs[0].operators]


def whole_file(content: bytes, on_grid: bytes, images: np.ndarray) -> tuple[bytes, bytes]:
    """The quantiser's own file in whole numbers, and that of int8-full."""
    chain = Chain(on_grid).written(Chain(content).ranges(images), camera=True)
    return chain, recipe_file("int8-full", content, on_grid, None, chain=chain)


@pytest.mark.parametrize("network", [Residual, Tokens])
def test_layers_are_convolutions_where_old_runtimes_take_one_scale_for_all(network: type[nn.Module]) -> None:
    torch.manual_seed(1)
    content, _ = lowered(network())
    images = np.random.default_rng(0).integers(0, 256, (6, SIDE, SIDE, 3), dtype=np.uint8)
    plain, file = whole_file(content, content, images)
    assert "FULLY_CONNECTED" in used(plain) and opens_from(plain) == "LiteRT / TFLite 2.10"
    assert "FULLY_CONNECTED" not in used(file) and opens_from(file) == "LiteRT / TFLite 1.14"
    assert np.array_equal(run(file, images), run(plain, images))
    assert np.ptp(run(file, images), axis=0).max() > 0.01


@pytest.mark.skipif("2.8.0" not in ANDROID, reason="no TFLite 2.8.0: `dermedge setup android --tflite 2.8.0`")
def test_in_whole_numbers_tflite_2_8_answers_as_litert_does(residual, tmp_path: Path) -> None:
    """The quantiser's own file gets the same answer there for every picture."""
    _, content, on_grid, images, _ = residual
    answers = []
    for number, file in enumerate(whole_file(content, on_grid, images)):
        (tmp_path / f"{number}.tflite").write_bytes(file)
        runtime = LiteRT(tmp_path / f"{number}.tflite", mode="android-x86_64:2.8.0")
        try:
            answers.append(runtime.run(images[:4]).probabilities)
        finally:
            runtime.close()
    wanted = run(file, images[:4])
    assert np.abs(answers[1] - wanted).max() < 0.01 < np.ptp(wanted, axis=0).max()
    assert np.ptp(answers[0], axis=0).max() < 1e-6  # what this guards against is still there


def test_the_range_of_the_normalised_picture_is_what_bytes_can_give(residual) -> None:
    """From the constants, as photographs may not hold 0 and 255 in every channel."""
    _, content, _, images, _ = residual
    dull = images // 4 + 90
    by_name = Chain(content).ranges(dull)
    last = Chain(content).normalised[-1][0].makes[0]
    low, high = by_name[unpack(content).subgraphs[0].tensors[last].name.decode()]
    assert (low, high) == pytest.approx((-2.0, 3.0), abs=0.01)  # (0 - 0.4) / 0.2, (0 - 0.6) / 0.3; (1 - 0.4) / 0.2


def test_a_chain_may_begin_behind_the_largest_maps(residual) -> None:
    _, content, _, images, _ = residual
    chain = Chain(content)
    begins = chain.beginnings()
    assert begins[0] == chain.first and begins == sorted(set(begins)) and len(begins) > 1
    file = chain.written(chain.ranges(images), begin=begins[1])
    assert in_float(file).count("CONV_2D") == 1 and np.abs(run(file, images) - run(content, images)).max() < 0.03


def test_maps_with_ranges_alike_are_added_without_rounding(residual) -> None:
    """In whole numbers the sum is that of both less one zero point; with ranges of their own it is rounded."""
    _, content, on_grid, images, _ = residual
    chain = Chain(content)
    own = chain.ranges(images)
    alike = chain.with_sums_alike(own)
    (add,) = [node for node in chain.nodes if node.kind == "ADD"]
    names = [chain.model.subgraphs[0].tensors[tensor].name.decode() for tensor in (*add.live, *add.makes)]
    widest = min(own[name][0] for name in names), max(own[name][1] for name in names)
    assert [alike[name] for name in names] == [widest] * 3 and len({own[name] for name in names}) == 3
    assert {name: limits for name, limits in alike.items() if name not in names} == {
        name: limits for name, limits in own.items() if name not in names
    }
    for ranges, is_exact in ((alike, True), (own, False)):
        a, b, both, zero = added(Chain(on_grid).written(ranges, camera=True), images[0])
        assert np.array_equal(both, np.clip(a + b - zero, -128, 127)) == is_exact


@pytest.mark.parametrize("nearer", ["alike", "own"])
def test_ranges_are_alike_where_that_comes_nearer(residual, monkeypatch, nearer: str) -> None:
    _, content, _, images, _ = residual
    weights = WholeWeights({}, {}, rounding_for(content, moments_of(content, images)))
    chain = Chain(weights.floats(content))
    own = chain.ranges(images[:16])
    wanted = {"own": own, "alike": chain.with_sums_alike(own)}[nearer]
    monkeypatch.setattr(_whole_weights, "noise_of_chain", lambda weights, ranges, *_: float(ranges != wanted))
    assert _whole_weights.nearest([weights], content, images[:16], images[16:]) == (weights, wanted)


def added(content: bytes, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """The two maps that a file adds and their sum, as whole numbers, and the sum's zero point."""
    with preserved_tensors():
        interpreter = Interpreter(model_content=content, num_threads=1, experimental_preserve_all_tensors=True)
        interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
    interpreter.invoke()
    model = unpack(content)
    graph = model.subgraphs[0]
    add = next(o for o in graph.operators if code_name(model.operatorCodes[o.opcodeIndex]) == "ADD")
    a, b, both = (interpreter.get_tensor(int(n)).astype(int) for n in (*add.inputs, *add.outputs))
    return a, b, both, int(graph.tensors[int(add.outputs[0])].quantization.zeroPoint[0])


def test_attention_is_refused_by_name() -> None:
    torch.manual_seed(0)
    content, modules = lowered(Attention())
    said = Chain(content).refusal(modules)
    assert said is not None and "attention" in said and said.startswith("not made: ")
    assert Chain(content).beginnings() == []


@pytest.fixture(scope="module")
def by_layers(residual) -> Scheme:
    """The scheme before chains are tried."""
    _, content, _, images, modules = residual
    rounding = rounding_for(content, moments_of(content, images[:16]))
    scheme = _choose.choose(content, rounding, images[:16], images[16:], modules=modules, facts=FACTS)
    return replace(scheme, ranges=Chain(content).ranges(images[:16]))


def scheme_of(
    residual, by_layers: Scheme, monkeypatch, *ratios: float, gate: float = 15.0, timed: list | None = None
) -> Scheme:
    _, content, on_grid, images, modules = residual
    weights = WholeWeights({}, {}, rounding_for(content, moments_of(content, images)))
    others = recipe_file("int8", content, on_grid, by_layers.layers)
    later = iter(ratios)

    def time_ratio(file: bytes, other: bytes, image: np.ndarray) -> float:
        (timed if timed is not None else []).append((file, other))
        return next(later, ratios[-1])

    monkeypatch.setattr(_try_chain, "time_ratio", time_ratio)
    aim = Aim(Gate(median_sqnr_db=gate))
    return _try_chain.with_chain(by_layers, content, weights, others, images[16:], modules, aim=aim)


def test_a_chain_is_chosen_where_it_is_faster_and_its_file_is_measured(residual, by_layers, monkeypatch) -> None:
    content, on_grid = residual[1:3]
    scheme = scheme_of(residual, by_layers, monkeypatch, 0.7)
    assert scheme.chain_from is not None and scheme.chosen == len(scheme.curve) - 1
    assert {layer.kind for layer in scheme.layers if layer.operator == "DEPTHWISE_CONV_2D"} == {"static"}
    file = chain_file(content, on_grid, scheme)
    assert file is not None
    assert len(recipe_file("int8", content, on_grid, scheme.layers, chain=file)) == scheme.measured["bytes"]
    check_layers(scheme, content)
    slower = scheme_of(residual, by_layers, monkeypatch, 1.0)
    assert slower.chain_from is None and chain_file(content, on_grid, slower) is None
    stricter = scheme_of(residual, by_layers, monkeypatch, 0.7, gate=90.0)
    assert stricter.chain_from is None and len(stricter.curve) > len(scheme.curve)  # shorter ones were tried as well


def test_a_shorter_chain_is_taken_where_a_longer_one_is_slow(residual, by_layers, monkeypatch) -> None:
    content, on_grid = residual[1:3]
    timed: list[tuple[bytes, bytes]] = []
    monkeypatch.setattr(_try_chain, "WANTED_SHARE", 0.5)  # of this network the shorter chain has 79.9 %
    scheme = scheme_of(residual, by_layers, monkeypatch, 1.2, 0.8, timed=timed)
    assert scheme.chain_from == Chain(content).beginnings()[1]
    assert [point["time_ratio"] for point in scheme.curve if "time_ratio" in point] == [1.2, 0.8]
    chain = chain_file(content, on_grid, scheme)
    assert timed[1][0] == recipe_file("int8", content, on_grid, scheme.layers, chain=chain)  # as it is shipped
    assert timed[1][1] == recipe_file("int8", content, on_grid, by_layers.layers)


def test_a_kept_chain_of_another_graph_is_refused(residual, by_layers, monkeypatch) -> None:
    content = residual[1]
    scheme = scheme_of(residual, by_layers, monkeypatch, 0.7)
    name = next(iter(scheme.ranges))
    fewer = {tensor: limits for tensor, limits in scheme.ranges.items() if tensor != name}
    for changed in (replace(scheme, ranges=fewer), replace(scheme, ranges={}), replace(scheme, chain_from=10_000)):
        with pytest.raises(InputError, match="changed or damaged"):
            check_layers(changed, content)
