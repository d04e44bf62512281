"""Residual streams of 8-bit files at rank 4: the same answers, no operator more, and no pattern that GPUs refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from torch import nn

from convert._tflite import quantise
from convert._tflite.emit.writer import Code, Writer
from convert._tflite.file import lower
from convert._tflite.known_faults import known_faults
from convert._tflite.rank_four import with_rank_four
from edge.tflite.flatbuffer import operators_of, unpack

SIDE, WIDTH = 8, 16


class Streams(nn.Module):
    """A residual stream of tokens with all that is listed: norms over tokens' values, an exchange of axes, a joint of
    two streams."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, WIDTH, 2, 2)
        self.first, self.second, self.mixed = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(16, 16)
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(2 * WIDTH, 3)

    def forward(self, picture):
        tokens = self.stem(picture.permute(0, 3, 1, 2) / 255).flatten(2).transpose(1, 2)  # (1, 16, WIDTH)
        tokens = tokens + self.first(self.norm(tokens))
        tokens = tokens + self.mixed(tokens.transpose(1, 2)).transpose(1, 2)
        tokens = tokens + self.second(torch.nn.functional.gelu(tokens))
        joined = torch.cat([tokens, torch.sigmoid(tokens)], 2)
        return torch.softmax(self.head(joined.mean(1)), 1)


@pytest.fixture(scope="module")
def files() -> tuple[bytes, bytes]:
    """int8-dynamic without and with rank 4."""
    float32 = lower(Streams(), torch.zeros(1, SIDE, SIDE, 3)).content
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantise, "with_rank_four", lambda content: content)
        before = quantise.recipe_file("int8-dynamic", float32, float32, None)
    return before, quantise.recipe_file("int8-dynamic", float32, float32, None)


def answers(content: bytes, resolver: OpResolverType) -> np.ndarray:
    interpreter = Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    rows = []
    for picture in np.random.default_rng(0).integers(0, 256, (5, 1, SIDE, SIDE, 3)).astype(np.float32):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture)
        interpreter.invoke()
        rows.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0].copy())
    return np.array(rows)


def named(content: bytes) -> list[str]:
    return [line for line in known_faults(unpack(content)) if "9277" in line]


@pytest.mark.parametrize("resolver", [OpResolverType.AUTO, OpResolverType.BUILTIN_REF])
def test_the_answers_are_the_same_bit_for_bit(files: tuple[bytes, bytes], resolver: OpResolverType) -> None:
    before, after = (answers(content, resolver) for content in files)
    assert np.ptp(before, axis=0).max() > 1e-3  # the pictures make a difference
    np.testing.assert_array_equal(before, after)


def test_no_product_of_rank_3_is_left_before_a_sum_and_no_operator_is_added(files: tuple[bytes, bytes]) -> None:
    before, after = files
    assert named(before) and not named(after)
    assert operators_of(unpack(before)) == operators_of(unpack(after))
    assert with_rank_four(after) == after


def stream(code: int | None, *, eight: bool = True) -> bytes:
    """A product that goes into a sum, between reshapes, with one more operator on the sum."""
    w = Writer()
    x = w.tensor([1, 2, 2, 4], "image")
    (tokens,) = w.operator(Code.RESHAPE, [x, w.constant(np.array([1, 4, 4]))], [[1, 4, 4]], "tokens")
    weight = w.constant(np.eye(4, dtype=np.float32), "weight")
    options = schema.FullyConnectedOptionsT()
    options.keepNumDims = True
    (y,) = w.operator(Code.FULLY_CONNECTED, [tokens, weight], [[1, 4, 4]], "fc", options, 8)
    (z,) = w.operator(Code.ADD, [tokens, y], [[1, 4, 4]], "sum")
    if code is not None:
        (z,) = w.operator(code, [z, w.constant(np.array([2, 1, 0]))], [[1, 4, 4]], "other")
    (z,) = w.operator(Code.RESHAPE, [z, w.constant(np.array([1, 16]))], [[1, 16]], "flat")
    if eight:
        w.graph.tensors[weight].type = schema.TensorType.INT8
    return w.finish({"image": x}, {"probabilities": z}, description="x")


def test_a_stream_with_an_operator_that_is_not_listed_stays_as_it_is() -> None:
    assert not named(with_rank_four(stream(None)))
    unlisted = stream(Code.REVERSE_V2)
    assert with_rank_four(unlisted) == unlisted and named(unlisted)


def test_float_products_stay_as_they_are() -> None:
    content = stream(None, eight=False)
    assert with_rank_four(content) == content
