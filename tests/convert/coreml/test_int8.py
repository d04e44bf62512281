"""The int8 Core ML package: what hurts stays fp16, and the written package answers as the trials did."""

from __future__ import annotations

from pathlib import Path

import coremltools as ct
import numpy as np
import pytest
import torch
from coremltools.optimize.coreml import OpPalettizerConfig, OptimizationConfig, palettize_weights
from torch import nn

from convert import _trial as _coreml_trial
from convert._aim import Aim, Unreachable
from convert._coreml import choose as _coreml_choose
from convert._coreml import program as _coreml
from convert._coreml.audit import audit
from convert._coreml.imitate import Imitation, fits, grid_of
from convert._coreml.layers import macs_with_weights
from edge import scheme as schemes
from edge.recipes import Gate
from edge.runtimes import Outputs
from edge.runtimes.coreml.classifier import CoreML

pytestmark = [
    pytest.mark.filterwarnings("ignore:Function _TORCH_OPS_REGISTRY:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Saving value type of int64:UserWarning"),
]
SIDE, LABELS = 16, ["a", "b", "c", "d", "e"]
FACTS = {"model": "m", "checkpoint_sha256": "a", "graph": "g", "data": "noise"}


class Hurt(nn.Module):
    """Between the second and the third convolution one channel dwarfs the others."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.good = nn.Conv2d(16, 16, 3, padding=1)
        self.bad = nn.Conv2d(16, 48, 1)
        self.linear = nn.Linear(48, 5)
        with torch.no_grad():
            self.good.weight[0] *= 400  # its output, hence the range of `bad`'s input
            self.bad.weight[:, 0] /= 400
            self.linear.weight *= 6

    def forward(self, x):
        x = nn.functional.silu(self.first(x / 255))
        x = torch.relu(self.bad(torch.relu(self.good(x))))
        return torch.softmax(self.linear(x.mean((2, 3))), -1)


def converted(program, **options) -> ct.models.MLModel:
    options.setdefault("compute_precision", ct.precision.FLOAT16)
    return ct.convert(
        program,
        inputs=[ct.ImageType(name="image", shape=(1, 3, SIDE, SIDE), color_layout=ct.colorlayout.RGB)],
        classifier_config=ct.ClassifierConfig(LABELS),
        minimum_deployment_target=ct.target.iOS17,
        skip_model_load=True,
        **options,
    )


@pytest.fixture(scope="module")
def program():
    torch.manual_seed(3)
    return torch.export.export(Hurt().eval(), (torch.zeros(1, 3, SIDE, SIDE),)).run_decompositions({})


@pytest.fixture(scope="module")
def half(program, tmp_path_factory) -> Imitation:
    path = tmp_path_factory.mktemp("half") / "m.mlpackage"
    converted(program).save(str(path))
    return Imitation(path)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    pictures = np.random.default_rng(0).integers(0, 256, (24, SIDE, SIDE, 3), dtype=np.uint8)
    pictures[..., 1] //= np.arange(1, 25, dtype=np.uint8)[:, None, None]  # pictures that differ
    return pictures


@pytest.fixture(scope="module")
def scheme(half: Imitation, images: np.ndarray) -> schemes.Scheme:
    wanted = half.answers(images[16:], [])
    return _coreml_choose.choose(half, half, images[:16], images[16:], wanted, facts=FACTS)


def test_the_layer_that_hurts_stays_float(half: Imitation, scheme: schemes.Scheme) -> None:
    """`bad` reads what `good` writes: 8 bits there lose all but one channel."""
    first, good, bad, linear = scheme.layers
    assert linear.macs < 0.01 * good.macs  # nothing to win there
    assert bad.alone_db["input"] < min(one.alone_db["input"] for one in (first, good, linear)) - 5
    assert bad.kind == "float" and good.kind == "input" and good.alone_db["static"] < good.alone_db["input"] - 5
    assert scheme.measured["sqnr_db"] >= scheme.budget_db and scheme.measured["macs_8bit"] > 0.3


def test_activations_may_add_as_much_noise_as_the_weights_where_these_leave_less_than_the_budget() -> None:
    """A budget that no choice could keep would leave every activation in fp16, of random weights for one."""
    limit = _coreml_trial.Limit.of({"sqnr_db": 20.0, "sqnr_db_p5": 13.0})
    assert limit.holds({"sqnr_db": 17.1, "sqnr_db_p5": 10.1})
    assert not limit.holds({"sqnr_db": 16.9, "sqnr_db_p5": 13.0})
    assert not limit.holds({"sqnr_db": 20.0, "sqnr_db_p5": 4.0})
    far = _coreml_trial.Limit.of({"sqnr_db": 60.0, "sqnr_db_p5": 50.0})
    assert far.median_db == _coreml_trial.BUDGET_DB and not far.holds({"sqnr_db": 37.9, "sqnr_db_p5": 37.0})


def test_what_passes_its_gate_is_not_pushed_below_it() -> None:
    near = _coreml_trial.Limit.of({"sqnr_db": 31.0, "sqnr_db_p5": 25.0})
    assert not near.holds({"sqnr_db": 29.9, "sqnr_db_p5": 25.0}) and near.holds({"sqnr_db": 30.1, "sqnr_db_p5": 25.0})


def test_coarse_weights_do_not_keep_every_activation_in_fp16(program, half, images, tmp_path: Path) -> None:
    """Weights in 4 bits lose more than the budget by themselves."""
    path = tmp_path / "coarse.mlpackage"
    options = OpPalettizerConfig(mode="kmeans", nbits=4)
    linear = palettize_weights(converted(program), OptimizationConfig(global_config=options))
    linear.save(str(path))
    wanted = half.answers(images[16:], [])
    found = _coreml_choose.choose(half, Imitation(path), images[:16], images[16:], wanted, facts=FACTS)
    assert found.curve[0]["sqnr_db"] < _coreml_trial.BUDGET_DB  # else this shows nothing
    assert found.measured["macs_8bit"] > 0.3 and found.measured["sqnr_db"] >= found.budget_db


def test_the_curve_holds_what_was_chosen_and_what_all_would_cost(scheme: schemes.Scheme) -> None:
    assert scheme.curve[0]["macs_8bit"] == 0 and scheme.curve[0]["sqnr_db"] > 60
    everything = max(scheme.curve, key=lambda one: one["macs_8bit"])
    assert everything["macs_8bit"] == 1 and everything["sqnr_db"] < scheme.budget_db
    assert scheme.measured["macs_8bit"] == pytest.approx(
        sum(one.macs for one in scheme.layers if one.kind != "float") / sum(one.macs for one in scheme.layers)
    )


def test_the_written_package_answers_as_the_trial_did(half, scheme, program, images, tmp_path: Path) -> None:
    pipeline = _coreml.with_8bit_activations(scheme.layers, half.layers)
    path = tmp_path / "q.mlpackage"
    converted(program, pass_pipeline=pipeline).save(str(path))
    package = CoreML(path)
    kinds = [one.kind for one in package.engine.program.operations]
    assert kinds.count("quantize") >= 2
    found = package.run(images).probabilities
    np.testing.assert_array_equal(found, half.answers(images, scheme.layers).probabilities)
    assert np.abs(found - half.answers(images, []).probabilities).max() > 1e-4  # and not as it does without


def test_a_scheme_survives_its_file(scheme: schemes.Scheme, tmp_path: Path) -> None:
    schemes.save(tmp_path / "s.json", scheme)
    assert schemes.load(tmp_path / "s.json") == scheme


def test_layers_that_share_a_tensor_share_its_range(half: Imitation, images: np.ndarray, tmp_path: Path) -> None:
    class Fork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 16, 3)
            self.left, self.right = nn.Conv2d(16, 16, 1), nn.Conv2d(16, 16, 3, padding=1)
            self.head = nn.Linear(16, 5)

        def forward(self, x):
            x = self.stem(x / 255)
            return torch.softmax(self.head((self.left(x) * self.right(x)).mean((2, 3))), -1)

    torch.manual_seed(0)
    forked = torch.export.export(Fork().eval(), (torch.zeros(1, 3, SIDE, SIDE),)).run_decompositions({})
    converted(forked).save(str(tmp_path / "m.mlpackage"))
    fork = Imitation(tmp_path / "m.mlpackage")
    found = _coreml_choose.choose(fork, fork, images[:16], images[16:], fork.answers(images[16:], []), facts=FACTS)
    stem, left, right, _ = found.layers
    assert left.input == right.input and stem.output == left.input


def test_a_layer_that_was_kept_in_float32_is_not_quantised(program, half, images, tmp_path: Path) -> None:
    """Apple's passes write scales in fp16, which a float32 tensor does not take."""
    kept = half.layers[1].operation.outputs[0].name  # in the program before precisions it has the same name
    kept = kept.removesuffix("_cast_fp16")
    precision = ct.transform.FP16ComputePrecision(op_selector=lambda op: op.outputs[0].name != kept)
    converted(program, compute_precision=precision).save(str(tmp_path / "m.mlpackage"))
    mixed = Imitation(tmp_path / "m.mlpackage")
    assert [one.operation.outputs[0].element for one in mixed.layers].count("FLOAT32") == 1
    found = _coreml_choose.choose(mixed, mixed, images[:16], images[16:], mixed.answers(images[16:], []), facts=FACTS)
    single = [one for one, place in zip(found.layers, mixed.layers, strict=True)
              if place.operation.outputs[0].element == "FLOAT32"]  # fmt: skip
    assert [one.kind for one in single] == ["float"] and any(one.kind != "float" for one in found.layers)
    everything = [one for one in found.layers if one.input]
    assert single[0] not in everything
    pipeline = _coreml.with_8bit_activations(found.layers, mixed.layers)
    converted(program, compute_precision=precision, pass_pipeline=pipeline)


@pytest.mark.parametrize("wanted", [(0.0, 60000.0), (-600.0, 600.0), (0.0, 0.0), (0.0, 1e-5)])
def test_ranges_that_float16_cannot_hold_are_not_taken(wanted: tuple[float, float]) -> None:
    assert not fits(wanted)


def test_a_grid_is_the_range_in_256_steps() -> None:
    scale, zero = grid_of((-1.0, 3.0))
    assert scale == pytest.approx(4 / 255, rel=1e-3) and zero == -128 + 64


ASKING = Gate(mac_share_int8=0.8, median_sqnr_db=1.0)


def chosen(half: Imitation, images: np.ndarray, gate: Gate, *, binding: bool = True) -> schemes.Scheme:
    wanted = half.answers(images[16:], [])
    aim = Aim(gate, binding)
    return _coreml_choose.choose(half, half, images[:16], images[16:], wanted, facts=FACTS, aim=aim)


@pytest.mark.parametrize("binding", [True, False])
def test_the_share_that_the_gate_asks_for_is_taken_beyond_the_budget(half, images, scheme, binding: bool) -> None:
    """Within the budget lie 78 % of the products, and a gate that asks for 80 % would reject the file."""
    assert 0.7 < scheme.measured["macs_8bit"] < 0.8
    aimed = chosen(half, images, ASKING, binding=binding)
    assert aimed.measured["macs_8bit"] >= 0.8 and aimed.measured["sqnr_db"] < aimed.budget_db
    assert {layer.kind for layer in aimed.layers} == {"input", "float"} or aimed.measured["macs_8bit"] == 1


def test_what_no_choice_can_reach_is_said_with_both_figures_before_outputs_are_tried(
    half, images, scheme, monkeypatch
) -> None:
    tried = []
    alone = _coreml_choose.tried_alone
    monkeypatch.setattr(_coreml_choose, "tried_alone", lambda *given: tried.append(given[2]) or alone(*given))
    with pytest.raises(Unreachable, match=r"80% of its MACs on 8-bit .* is \d+\.\d dB, .* at least 60 dB"):
        chosen(half, images, Gate(mac_share_int8=0.8, median_sqnr_db=60.0))
    assert tried == ["input"]
    with pytest.raises(Unreachable, match=r"with nothing but its weights .* is \d+\.\d dB, .* at least 500 dB"):
        chosen(half, images, Gate(median_sqnr_db=500.0))
    assert tried == ["input"]
    assert chosen(half, images, Gate(median_sqnr_db=500.0), binding=False) == scheme  # reported, as ever


def test_a_share_that_the_operations_do_not_allow_is_said_before_anything_runs(half, images, monkeypatch) -> None:
    monkeypatch.setattr(_coreml_choose, "macs_with_weights", lambda program: 2 * sum(one.macs for one in half.layers))
    monkeypatch.setattr(half, "go_on", None)
    wanted = Outputs(np.zeros((8, 5)), None)
    with pytest.raises(Unreachable, match=r"at most 50\.0% of its MACs .* at least 80%"):
        _coreml_choose.choose(half, half, images[:16], images[16:], wanted, facts=FACTS, aim=Aim(ASKING, True))


def test_the_gates_own_count_of_products_has_transposed_convolutions_in_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ConvTranspose2d(4, 4, 2, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net.append(nn.Linear(4, 5)).append(nn.Softmax(-1))
    program = torch.export.export(net.eval(), (torch.zeros(1, 3, SIDE, SIDE),)).run_decompositions({})
    path = tmp_path / "up.mlpackage"
    converted(program).save(str(path))
    up = Imitation(path)
    assert macs_with_weights(up.model.program) == audit(path).macs_weights > sum(one.macs for one in up.layers)
