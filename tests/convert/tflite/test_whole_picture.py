"""How the picture reaches a chain in 8 bits: every byte counts, and the answers stay those of the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from convert._graph.graph import trace
from convert._graph.passes import MOBILE_PASSES, PASSES, rewrite
from convert._tflite.emit import emit
from convert._tflite.file import INPUT, OUTPUT
from convert._tflite.layer_inputs import moments_of
from convert._tflite.layers import preserved_tensors
from convert._tflite.quantise import recipe_file
from convert._tflite.rounding import rounded, rounding_for
from convert._tflite.whole import Chain
from convert._tflite.whole_picture import picture_in_8_bits
from edge.runtimes.litert import LiteRT
from edge.tflite.flatbuffer import code_name, unpack
from tests._phones import ANDROID

SIDE = 32
ALIKE = {"of Lite0": (127.0, 128.0), "half": (127.5, 127.5), "0 to 1": (0.0, 255.0)}  # mean and divisor of bytes
BY_CHANNEL = ((120.0, 116.0, 104.0), (58.0, 57.0, 57.0))


class Small(nn.Module):
    """A stem with a border of zeros around the normalised picture, below and right of it alone if `uneven`."""

    def __init__(self, mean, std, *, uneven: bool = True, twice: bool = False) -> None:
        super().__init__()
        self.uneven, self.twice = uneven, twice
        self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).reshape(1, -1, 1, 1))
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=0 if uneven else 1)
        self.beside = nn.Conv2d(3, 8, 2, stride=2)
        self.last, self.head = nn.Conv2d(8, 16, 3, padding=1), nn.Linear(16, 4)
        with torch.no_grad():
            self.head.weight *= 8

    def forward(self, x):
        x = (x.permute(0, 3, 1, 2) - self.mean) / self.std
        y = self.stem(nn.functional.pad(x, (0, 1, 0, 1)) if self.uneven else x)
        y = torch.relu(y + self.beside(x)) if self.twice else torch.relu(y)
        return torch.softmax(self.head(torch.relu(self.last(y)).mean((2, 3))), -1)


def lowered(network: nn.Module) -> bytes:
    graph, _ = rewrite(trace(network.eval(), torch.zeros(1, SIDE, SIDE, 3)), (*PASSES, *MOBILE_PASSES))
    return emit(graph, inputs=[INPUT], outputs=[OUTPUT])


def pictures(count: int = 24) -> np.ndarray:
    draw = np.random.default_rng(0)
    tints, noise = draw.uniform(0, 215, (count, 1, 1, 3)), draw.uniform(0, 40, (count, SIDE, SIDE, 3))
    return (tints + noise).astype(np.uint8)


def used(content: bytes) -> list[str]:
    model = unpack(content)
    return [code_name(model.operatorCodes[o.opcodeIndex]) for o in model.subgraphs[0].operators]


def run(content: bytes, image: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """What each operator gives, as it lies in the file, and the answer."""
    from ai_edge_litert.interpreter import Interpreter

    with preserved_tensors():
        interpreter = Interpreter(model_content=content, num_threads=1, experimental_preserve_all_tensors=True)
        interpreter.allocate_tensors()
    entry, answer = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.set_tensor(entry["index"], image[None].astype(entry["dtype"]))
    interpreter.invoke()
    results = [int(operator.outputs[0]) for operator in unpack(content).subgraphs[0].operators]
    return [interpreter.get_tensor(place) for place in results], interpreter.get_tensor(answer["index"])[0]


def answers(content: bytes, images: np.ndarray) -> np.ndarray:
    return np.array([run(content, image)[1] for image in images])


def chain_of(content: bytes, images: np.ndarray, *, camera: bool) -> bytes:
    on_grid = rounded(content, rounding_for(content, moments_of(content, images)))
    chain = Chain(on_grid).written(Chain(content).ranges(images), camera=camera)
    return recipe_file("int8-full", content, on_grid, None, chain=chain) if camera else chain


@pytest.mark.parametrize("uneven", [True, False])
@pytest.mark.parametrize("values", ALIKE.values(), ids=ALIKE)
def test_the_first_convolution_takes_the_bytes(values: tuple[float, float], uneven: bool) -> None:
    torch.manual_seed(1)
    mean, divisor = values
    network = Small([mean] * 3, [divisor] * 3, uneven=uneven)
    content, images = lowered(network), pictures()
    file = picture_in_8_bits(content).content if Chain(content).normalised else content  # 1 / 255 may be folded
    assert "DEPTHWISE_CONV_2D" not in used(file) and ("SUB" in used(file)) == (mean > 0)
    inside = 1e-5 if mean == round(mean) else 0.002  # else half a byte is lost at the border
    with torch.no_grad():
        wanted = network(torch.from_numpy(images.astype(np.float32))).numpy()
    assert np.abs(answers(file, images) - wanted).max() < inside
    for camera in (False, True):
        whole = chain_of(content, images, camera=camera)
        assert "DEPTHWISE_CONV_2D" not in used(whole)
        assert np.abs(answers(whole, images) - wanted).max() < 0.03 < np.ptp(wanted, axis=0).max()


def test_no_byte_is_rounded_before_the_first_convolution() -> None:
    torch.manual_seed(1)
    content = lowered(Small([127.0] * 3, [128.0] * 3))
    every = np.resize(np.arange(256, dtype=np.uint8), (SIDE, SIDE, 3))
    file = chain_of(content, pictures(), camera=True)
    results, _ = run(file, every)
    before = [value for value in results if value.shape == (1, SIDE, SIDE, 3)]
    assert before and all(np.array_equal(value[0].astype(int), every.astype(int) - 128) for value in before)


def test_numbers_alike_for_all_channels_are_a_single_one() -> None:
    """With one for each of three channels XNNPACK takes 7 % of EfficientNet-Lite0's time more."""
    for network, size in ((Small([127.0] * 3, [128.0] * 3), 1), (Small(*BY_CHANNEL), 3)):
        model = unpack(lowered(network))
        graph = model.subgraphs[0]
        subtract = next(o for o in graph.operators if code_name(model.operatorCodes[o.opcodeIndex]) == "SUB")
        assert np.prod(graph.tensors[int(subtract.inputs[1])].shape) == size


class Widened(nn.Module):
    """A grey picture less a number for each of three channels, or a picture with channels left out."""

    def __init__(self, numbers: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("numbers", numbers.reshape(1, 3, 1, 1))
        self.stem = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        x = x.permute(0, 3, 1, 2) / 255
        x = x * self.numbers if self.numbers.dtype == torch.bool else x.mean(1, keepdim=True) - self.numbers
        return torch.softmax(self.stem(x).mean((2, 3)), -1)


@pytest.mark.parametrize("numbers", [torch.full((3,), 0.5), torch.tensor([True, False, True]), torch.ones(3) > 0])
def test_numbers_that_widen_a_map_stay_and_truth_values_too(numbers: torch.Tensor) -> None:
    torch.manual_seed(1)
    network, images = Widened(numbers), pictures(4)
    with torch.no_grad():
        wanted = network(torch.from_numpy(images.astype(np.float32))).numpy()
    assert np.abs(answers(lowered(network), images) - wanted).max() < 1e-5


def test_a_picture_that_is_read_between_two_steps_keeps_both() -> None:
    """Less its mean by one convolution, and divided as well by another."""

    class Between(Small):
        def forward(self, x):
            centred = x.permute(0, 3, 1, 2) - self.mean
            y = self.stem(nn.functional.pad(centred / self.std, (0, 1, 0, 1))) + self.beside(centred) / 50
            return torch.softmax(self.head(torch.relu(self.last(torch.relu(y))).mean((2, 3))), -1)

    torch.manual_seed(1)
    content = lowered(Between([127.0] * 3, [128.0] * 3))
    steps = Chain(content).normalised
    assert [node.kind for node, _ in steps] == ["SUB"]
    network, images = Between([127.0] * 3, [128.0] * 3), pictures(4)
    file = picture_in_8_bits(lowered(network)).content
    with torch.no_grad():
        wanted = network(torch.from_numpy(images.astype(np.float32))).numpy()
    assert np.abs(answers(file, images) - wanted).max() < 1e-5


@pytest.mark.parametrize("reason", ["by channel", "read twice"])
def test_elsewhere_a_layer_of_its_own_normalises(reason: str) -> None:
    torch.manual_seed(1)
    network = Small(*BY_CHANNEL) if reason == "by channel" else Small([127.0] * 3, [128.0] * 3, twice=True)
    content, images = lowered(network), pictures()
    file = chain_of(content, images, camera=False)
    assert used(file).count("DEPTHWISE_CONV_2D") == 1
    with torch.no_grad():
        wanted = network(torch.from_numpy(images.astype(np.float32))).numpy()
    assert np.abs(answers(file, images) - wanted).max() < 0.03 < np.ptp(wanted, axis=0).max()


@pytest.mark.skipif("2.8.0" not in ANDROID, reason="no TFLite 2.8.0: `dermedge setup android --tflite 2.8.0`")
def test_tflite_2_8_gives_the_same_answers(tmp_path: Path) -> None:
    torch.manual_seed(1)
    images = pictures()
    content = lowered(Small([127.0] * 3, [128.0] * 3))
    file = chain_of(content, images, camera=True)
    (tmp_path / "m.tflite").write_bytes(file)
    runtime = LiteRT(tmp_path / "m.tflite", mode="android-x86_64:2.8.0")
    try:
        old = runtime.run(images[:4]).probabilities
    finally:
        runtime.close()
    wanted = answers(file, images[:4])
    assert np.abs(old - wanted).max() < 0.01 < np.ptp(wanted, axis=0).max()
