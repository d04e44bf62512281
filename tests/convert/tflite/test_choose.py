"""The choice of 8-bit layers: what hurts is found, the budget is kept, and what cannot be kept is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from convert._aim import Aim, Unreachable
from convert._graph.graph import trace
from convert._graph.passes import MOBILE_PASSES, PASSES, rewrite
from convert._tflite import choose as _choose
from convert._tflite import rounding as _rounding
from convert._tflite.emit import emit
from convert._tflite.file import INPUT, OUTPUT, modules_of, unpack
from convert._tflite.layer_inputs import moments_of
from convert._tflite.layers import WANTED_SHARE
from convert._tflite.quantise import apply, recipe_file
from edge.recipes import TFLITE, Gate
from edge.scheme import Layer

SIDE = 16
FACTS = {"model": "m", "checkpoint_sha256": "a", "graph": "g", "data": "noise"}


class Hurt(nn.Module):
    """Three convolutions; between the second and the third one channel dwarfs the others."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.good = nn.Conv2d(8, 8, 3, padding=1)
        self.bad = nn.Conv2d(8, 48, 1)
        self.linear = nn.Linear(48, 5)
        with torch.no_grad():
            self.good.weight[0] *= 20  # its output, hence the range of `bad`'s input
            self.bad.weight[:, 0] /= 20
            self.linear.weight *= 6

    def forward(self, x):
        x = torch.relu(self.first(x.permute(0, 3, 1, 2) / 255))
        return torch.softmax(self.linear(torch.relu(self.bad(torch.relu(self.good(x)))).mean((2, 3))), -1)


@pytest.fixture(scope="module")
def measured():
    torch.manual_seed(3)
    graph, _ = rewrite(trace(Hurt(), torch.zeros(1, SIDE, SIDE, 3)), (*PASSES, *MOBILE_PASSES))
    content = emit(graph, inputs=[INPUT], outputs=[OUTPUT])
    images = np.random.default_rng(0).integers(0, 256, (24, SIDE, SIDE, 3), dtype=np.uint8)
    images[..., 1] //= np.arange(1, 25, dtype=np.uint8)[:, None, None]  # pictures that differ
    given, judging = images[:16], images[16:]
    rounding = _rounding.rounding_for(content, moments_of(content, given))
    scheme = _choose.choose(content, rounding, given, judging, modules=modules_of(graph), facts=FACTS)
    return content, rounding, given, judging, scheme


def test_the_layer_that_hurts_is_found_and_named(measured) -> None:
    scheme = measured[-1]
    by_module = {layer.module: layer for layer in scheme.layers}
    assert {"first", "good", "bad", "linear"} <= set(by_module)
    alone = {name: layer.alone_db["static"] for name, layer in by_module.items() if "static" in layer.alone_db}
    assert min(alone, key=lambda name: alone[name]) in {"good", "bad"} and alone["first"] > min(alone.values()) + 1


def test_the_budget_is_kept_and_the_figures_are_those_of_the_file(measured) -> None:
    content, rounding, _, judging, scheme = measured
    assert _choose.keeps_budget(scheme.measured)
    wanted, _ = _choose.answers(content, judging)
    file = recipe_file("int8", content, _rounding.rounded(content, rounding), scheme.layers)
    found, _ = _choose.answers(file, judging)

    def centred(p: np.ndarray) -> np.ndarray:  # an independent SQNR
        logits = np.log(np.maximum(p, 1e-4))
        return logits - logits.mean(1, keepdims=True)

    a, b = centred(wanted.probabilities), centred(found.probabilities)
    decibel = 10 * np.log10(np.square(a).sum(1) / np.square(a - b).sum(1))
    assert scheme.measured["bytes"] == len(file)
    assert np.median(decibel) == pytest.approx(scheme.measured["sqnr_db"], abs=1e-6)
    assert [point["macs_static"] for point in scheme.curve][-1] == max(p["macs_static"] for p in scheme.curve)


def test_more_is_not_taken_than_the_budget_allows() -> None:
    def point(static: float, eight: float, sqnr: float) -> dict[str, float]:
        return {"macs_static": static, "macs_8bit": eight, "sqnr_db": sqnr, "sqnr_db_p5": sqnr - 5}

    rising = [point(0, 0.5, 60), point(0, 1, 50), point(0.4, 1, 40), point(0.9, 1, 20)]
    assert _choose.best_of(rising) == 2
    assert _choose.best_of([point(0, 0.5, 30), point(0, 0.7, 20)]) == 0  # nothing keeps it: the most faithful
    # what is asked of an int8 file comes first: 80 % on 8 bits, and of those the most faithful
    assert _choose.best_of([point(0, 0.7, 36), point(0, 0.84, 32), point(0.5, 0.84, 30)]) == 1
    assert _choose.best_of([point(0, 0.6, 36), point(0.2, 0.7, 36)]) == 1  # where nothing has that share
    assert not _choose.keeps_budget({"sqnr_db": 60, "sqnr_db_p5": 10})  # a tail of wrong answers


def test_the_pictures_own_range_is_exact(measured) -> None:
    content, _, given, _, _ = measured
    first = next(iter(_choose.ranges_of(content, given).values()))
    assert all(way[0] == (0.0, 255.0) for way in first.values())


def test_least_squares_cuts_what_hardly_occurs() -> None:
    values = np.concatenate([np.random.default_rng(0).normal(size=100_000), [60.0]])
    _, high = _choose.least_squares(values, (-5.0, 60.0))
    assert 5 < high < 60 and _choose.least_squares(np.linspace(0, 1, 1000), (0.0, 1.0))[1] == pytest.approx(1.0)


def test_a_scheme_can_be_applied_without_choosing(measured) -> None:
    """As for a checkpoint that was fine-tuned for a scheme: kinds and ranges stay."""
    content, rounding, given, judging, scheme = measured
    fixed = [
        replace(layer, kind="static", input=(0.0, 255.0), output=(-9.0, 9.0)) if layer.operator == "CONV_2D" else layer
        for layer in scheme.layers
    ]
    again = _choose.choose(content, rounding, given, judging, modules={}, facts=FACTS, fixed=fixed)
    assert list(again.layers) == fixed and len(again.curve) == 1
    assert again.measured["static"] == 3 and again.measured["sqnr_db"] < scheme.measured["sqnr_db"]


def test_float_layers_stay_as_they_are(measured) -> None:
    content = measured[0]
    layers = [replace(layer, kind="float") for layer in measured[-1].layers]
    assert apply(content, layers) == content
    one = [replace(layers[0], kind="dynamic"), *layers[1:]]
    kinds = [t.type for t in unpack(apply(content, one)).subgraphs[0].tensors]
    assert kinds.count(9) == 1
    assert isinstance(layers[0], Layer)


def test_no_more_is_left_in_8_bits_than_asked_for_before_a_choice_is_given_up() -> None:
    """Of five equal layers four have the wanted share; the noisiest goes back to float."""
    layers = [
        Layer(f"t{n}", "CONV_2D", "dynamic", 100, alone_db={"dynamic": decibel})
        for n, decibel in enumerate((40.0, 12.0, 50.0, 20.0, 60.0))
    ]
    least = _choose.choices(layers, 500)[0]
    assert [layer.kind for layer in least] == ["dynamic", "float", "dynamic", "dynamic", "dynamic"]
    assert all(layer.kind == "dynamic" for layer in _choose.least_8bit(layers, 625))  # each of them is needed


def test_weights_that_lose_too_much_by_themselves_are_said_before_a_layer_is_tried(measured, monkeypatch) -> None:
    content, rounding, given, judging, _ = measured
    monkeypatch.setattr(_choose, "tried_alone", None)
    with pytest.raises(Unreachable, match=r"nothing but its weights .* is \d+\.\d dB, .* at least 300 dB"):
        _choose.choose(
            content, rounding, given, judging, modules={}, facts=FACTS, aim=Aim(Gate(median_sqnr_db=300.0), True)
        )


def test_the_wanted_share_is_the_gates() -> None:
    assert WANTED_SHARE == TFLITE["int8"].gate.mac_share_int8 == TFLITE["int8-dynamic"].gate.mac_share_int8
