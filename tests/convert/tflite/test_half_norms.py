"""Norms in half precision: what a GPU would make of them, before and after, and that float answers stay bit for bit."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from torch import nn

from convert._extremes import drawn
from convert._half_steps import LARGEST, Step, Sums, step_of
from convert._tflite import half_norms, quantise
from convert._tflite.audit import audit
from convert._tflite.choose import ranges_of
from convert._tflite.file import Lowered, lower
from convert._tflite.half_norms import steps_of, with_half_norms
from convert._tflite.half_sums import sums_in, sums_of_squares
from convert._tflite.layers import described
from convert._tflite.norms import norms_of
from edge.accelerators import HALF_SUM
from edge.tflite.flatbuffer import operators_of, unpack
from tests.convert._loud_streams import SIDE, WIDTH, Streams


def lowered(**options) -> Lowered:
    return lower(Streams(**options), torch.zeros(1, SIDE, SIDE, 3))


@pytest.fixture(scope="module")
def file() -> Lowered:
    return lowered()


def answers(content: bytes, resolver: OpResolverType = OpResolverType.AUTO) -> np.ndarray:
    interpreter = Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    image, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]["index"]
    rows = []
    for picture in drawn(SIDE):
        interpreter.set_tensor(image["index"], picture[None].astype(image["dtype"]))
        interpreter.invoke()
        rows.append(interpreter.get_tensor(result)[0].copy())
    return np.array(rows)


def largest_sum(content: bytes) -> float:
    return max(sums.largest for sums in sums_in(content, sums_of_squares(unpack(content))))


def in_half(content: bytes, picture: np.ndarray | None = None) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each norm what half precision makes of its operand, all sums in half precision as on GPUs, and what is right.

    By NumPy's float16 and float64.
    """
    interpreter = Interpreter(
        model_content=content, num_threads=1, experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )  # fmt: skip
    interpreter.allocate_tensors()
    noise = drawn(SIDE)[2]
    interpreter.set_tensor(
        interpreter.get_input_details()[0]["index"], (noise if picture is None else picture)[None].astype(np.float32)
    )
    interpreter.invoke()
    pairs = []
    for norm in norms_of(unpack(content)):
        x, eps = (interpreter.get_tensor(n).astype(np.float64) for n in (norm.x, int(norm.plus.inputs[norm.eps])))
        half = x.astype(np.float16)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            power = np.sum(half * half, -1, keepdims=True, dtype=np.float16) / np.float16(x.shape[-1])
            got = half / np.sqrt(power + eps.astype(np.float16))
        pairs.append((got, x / np.sqrt((x * x).mean(-1, keepdims=True) + eps)))
    return pairs


@pytest.mark.parametrize("rms", [False, True])
def test_norms_that_half_precision_makes_zero_are_right_with_no_operator_more(rms: bool, file: Lowered) -> None:
    content = lowered(rms=rms).content if rms else file.content
    safe = with_half_norms(content, steps_of(content))
    assert all(not got.any() and np.abs(right).max() > 1 for got, right in in_half(content))
    pairs = in_half(safe)
    assert len(pairs) == 3 and all(np.abs(got - right).max() < 0.01 for got, right in pairs)
    assert operators_of(unpack(safe)) == operators_of(unpack(content))
    assert largest_sum(safe) < LARGEST / 2


@pytest.mark.parametrize("recipe", ["fp32", "int8-weights", "int8-dynamic", "int8", "int8-io"])
def test_answers_of_every_recipe_stay_bit_for_bit(recipe: str, file: Lowered, monkeypatch) -> None:
    ranges = ranges_of(file.content, drawn(SIDE))
    static = []
    for number, layer in enumerate(described(file.content)):
        given, gives = ranges[layer.tensor]["widest"] if layer.tensor in ranges else (None, None)
        kind = "static" if given and number % 2 == 0 else "dynamic"
        static.append(replace(layer, kind=kind, input=given, output=gives))
    after = quantise.recipe_file(recipe, file.content, file.content, static)
    monkeypatch.setattr(quantise, "with_half_norms", lambda content, norms: content)
    before = quantise.recipe_file(recipe, file.content, file.content, static)
    assert before != after and operators_of(unpack(before)) == operators_of(unpack(after))
    assert abs(len(after) - len(before)) < 1000
    for resolver in (OpResolverType.AUTO, OpResolverType.BUILTIN_REF):
        np.testing.assert_array_equal(answers(before, resolver), answers(after, resolver))
    assert np.ptp(answers(after), axis=0).max() > 0.01  # the pictures make a difference
    assert largest_sum(before) > LARGEST
    assert largest_sum(after) < LARGEST


def test_half_precision_weights_lose_nothing_more(file: Lowered, monkeypatch) -> None:
    """A weight below 2^-14 has fewer digits in half precision; beside those of its row that is nothing."""
    after = quantise.recipe_file("fp16", file.content, file.content, None)
    monkeypatch.setattr(quantise, "with_half_norms", lambda content, norms: content)
    before = quantise.recipe_file("fp16", file.content, file.content, None)
    assert largest_sum(before) > LARGEST and largest_sum(after) < LARGEST / 2
    assert np.abs(answers(after) - answers(before)).max() < 1e-6


def test_an_epsilon_that_is_left_as_it_was_is_noticed(file: Lowered, monkeypatch) -> None:
    monkeypatch.setattr(half_norms, "set_eps", lambda model, norm, s, known: None)
    changed = with_half_norms(file.content, steps_of(file.content))
    assert np.abs(answers(changed) - answers(file.content)).max() > 1e-4


@pytest.mark.parametrize("options", [{"leak": True}, {"gelu": True}], ids=str)
def test_a_stream_with_other_readers_or_writers_is_made_smaller_in_front_of_its_norms(options: dict) -> None:
    content = lowered(**options).content
    safe = with_half_norms(content, steps_of(content))
    more = Counter(operators_of(unpack(safe))) - Counter(operators_of(unpack(content)))
    assert more == {("MUL", 1): 3}
    np.testing.assert_array_equal(answers(safe), answers(content))
    assert largest_sum(safe) < LARGEST / 2


class Growing(nn.Module):
    """A stream that begins quiet, with tokens of zeros where the picture is black, and ends loud."""

    def __init__(self, eps: float, early: float, late: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, WIDTH, 4, 4, bias=False)
        self.first, self.second, self.third = (nn.LayerNorm(WIDTH, eps=eps) for _ in range(3))
        self.a, self.b = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(2))
        self.head = nn.Linear(WIDTH, 3)
        with torch.no_grad():
            self.stem.weight *= early
            self.a.weight *= late
            self.b.weight *= late

    def forward(self, picture):
        tokens = self.stem(picture.permute(0, 3, 1, 2) / 255).flatten(2).transpose(1, 2)
        tokens = tokens + self.a(self.first(tokens))
        tokens = tokens + self.b(nn.functional.gelu(self.second(tokens)))
        return torch.softmax(self.head(self.third(tokens)).mean(1), 1)


@pytest.mark.parametrize(
    ("eps", "early", "late"), [(1e-6, 0.02, 300.0), (1e-6, 1.0, 300.0), (1e-5, 1.0, 300.0), (1e-5, 0.1, 3000.0)]
)
def test_quiet_tokens_and_quiet_norms_keep_what_they_had(eps: float, early: float, late: float) -> None:
    content = lower(Growing(eps, early, late), torch.zeros(1, SIDE, SIDE, 3)).content
    safe = with_half_norms(content, steps_of(content))
    np.testing.assert_array_equal(answers(safe), answers(content))
    assert content != safe and largest_sum(content) > LARGEST
    noise = drawn(SIDE)[2]
    dark = noise.copy()
    dark[: SIDE // 2] = 0
    for picture in (noise, dark):
        before, after = in_half(content, picture), in_half(safe, picture)
        for (was, right), (got, _) in zip(before, after, strict=True):
            assert np.abs(got - right).max() < max(0.005, 1.1 * np.abs(was - right).max())


def test_epsilon_never_becomes_zero() -> None:
    """A token of zeros would be 0 / 0. An epsilon that half precision never had holds nothing up."""
    loud = Sums(largest=1e9, quietest=1e6)
    assert step_of(loud, 1e-6).needed == 2 < step_of(loud, 1e-5).needed == 4
    assert step_of(loud, 1e-9).needed == step_of(loud, 1.0).needed == 8
    assert step_of(Sums(1e3, 1e-3), 1e-5) == Step(0, 2)
    assert step_of(Sums(float("inf"), 1.0), 1e-5) == Step(0, 0)


def test_sums_beyond_float32_are_named_and_left(tmp_path) -> None:
    content = lowered(size=1e25).content
    assert steps_of(content) == {}
    (tmp_path / "x.tflite").write_bytes(content)
    (line,) = [line for line in audit(tmp_path / "x.tflite").warnings if HALF_SUM in line]
    assert " up to inf " in line


def test_small_weights_are_not_made_smaller(monkeypatch) -> None:
    """Where half precision would lose their digits, x is multiplied in front of the norms."""
    content = lowered().content
    largest = half_norms.Stream.largest
    monkeypatch.setattr(half_norms.Stream, "largest", lambda stream, constant: 1e-6 * largest(stream, constant))
    safe = with_half_norms(content, steps_of(content))
    more = Counter(operators_of(unpack(safe))) - Counter(operators_of(unpack(content)))
    assert more == {("MUL", 1): 3}
    np.testing.assert_array_equal(answers(safe), answers(content))


def test_small_numbers_are_left(tmp_path) -> None:
    """They would lose digits below half precision's smallest normal number."""
    small = lowered(size=1.0).content
    assert steps_of(small) == {} and with_half_norms(small, {}) is small
    (tmp_path / "x.tflite").write_bytes(small)
    assert not [line for line in audit(tmp_path / "x.tflite").warnings if HALF_SUM in line]


def test_the_audit_names_norms_that_half_precision_cannot_hold_and_their_module(file: Lowered, tmp_path) -> None:
    lines = {}
    for name, content in (
        ("planted", file.content),
        ("shipped", quantise.recipe_file("fp32", file.content, b"", None)),
    ):
        (tmp_path / f"{name}.tflite").write_bytes(content)
        warnings = audit(tmp_path / f"{name}.tflite", file.places).warnings
        lines[name] = [line for line in warnings if HALF_SUM in line]
    (line,) = lines["planted"]
    assert line.startswith("known-fault: 3 sums of squares up to ") and " in first), " in line
    assert lines["shipped"] == []
