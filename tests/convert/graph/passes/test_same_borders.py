"""Borders of zeros as TensorFlow pads: they become the convolution's own, and any other stays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from convert._graph.graph import trace
from convert._graph.passes import MOBILE_PASSES, PASSES, rewrite
from convert._tflite.emit import emit
from convert._tflite.file import INPUT, OUTPUT
from edge.tflite.flatbuffer import operators_of, unpack


class Bordered(nn.Module):
    def __init__(self, amounts: tuple[int, ...], kernel: int, stride: int, *, value: float = 0.0, own: int = 0) -> None:
        super().__init__()
        self.amounts, self.value = amounts, value
        self.convolution = nn.Conv2d(3, 4, kernel, stride, padding=own)
        self.each = nn.Conv2d(4, 4, 3, 2, groups=4)

    def forward(self, x):
        x = nn.functional.pad(x.permute(0, 3, 1, 2) / 255, self.amounts, value=self.value)
        x = nn.functional.pad(torch.relu(self.convolution(x)), (0, 1, 0, 1))
        return self.each(x).mean((2, 3))


def fired_and_file(network: nn.Module, rows: int, columns: int) -> tuple[int, bytes]:
    example = torch.zeros(1, rows, columns, 3)
    graph, fired = rewrite(trace(network.eval(), example), (*PASSES, *MOBILE_PASSES))
    return fired["same_borders"], emit(graph, inputs=[INPUT], outputs=[OUTPUT])


def run(content: bytes, image: np.ndarray) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.parametrize(
    ("sides", "amounts", "kernel", "stride", "more", "borders"),
    [
        ((32, 32), (0, 1, 0, 1), 3, 2, {}, 2),
        ((32, 32), (1, 2, 1, 2), 5, 2, {}, 2),
        ((32, 32), (1, 1, 1, 1), 3, 1, {}, 2),
        ((31, 32), (0, 1, 1, 1), 3, 2, {}, 2),  # an odd side has a border like that
        ((32, 32), (1, 0, 1, 0), 3, 2, {}, 1),  # in front, where SAME pads behind
        ((32, 32), (0, 2, 0, 1), 3, 2, {}, 1),
        ((32, 32), (0, 1, 0, 1), 3, 2, {"value": 1.0}, 1),
        ((32, 32), (0, 1, 0, 1), 3, 2, {"own": 1}, 1),  # the convolution has a border of its own
    ],
)
def test_a_border_as_of_same_is_the_convolutions_own(sides, amounts, kernel, stride, more, borders) -> None:
    torch.manual_seed(0)
    network = Bordered(amounts, kernel, stride, **more)
    fired, file = fired_and_file(network, *sides)
    inner = (sides[0] + sum(amounts[2:]) + 2 * more.get("own", 0) - kernel) // stride + 1
    assert fired == borders - (inner % 2)  # the second border is that of SAME for even sides alone
    assert sum(kind in {"PAD", "PADV2"} for kind, _ in operators_of(unpack(file))) == 2 - fired
    image = np.random.default_rng(0).uniform(0, 255, (1, *sides, 3)).astype(np.float32)
    with torch.no_grad():
        wanted = network(torch.from_numpy(image)).numpy()
    assert np.abs(run(file, image) - wanted).max() < 1e-5
