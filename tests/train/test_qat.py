"""Fine-tuning for 8 bits: rounding as the runtime rounds, a float network that is left alone, and the command."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dermedge.commands.train import main
from edge import scheme as schemes
from edge.checkpoint import load, save
from edge.errors import InputError
from edge.scheme import Layer, Scheme
from train import _trainer
from train._fake_quant import FakeQuantised, by_module, round_rows, rounded, rounded_weight
from train._imitate import Imitate, Student, noise
from train._objective import Batch
from train._qat import verdict
from train._recipe import Recipe
from train._stop import StopRequest

SIDE = 32


def layer(module: str, kind: str, **more) -> Layer:
    return Layer(more.pop("tensor", module), "CONV_2D", kind, 1, module, **more)


# Rounding, against the definition: real = scale * (integer - zero), integers of 8 bits


def by_definition(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """The 256 values that the definition allows, then the nearest of them."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255
    values = (np.arange(256) - round(-low / scale)) * scale
    return values[np.abs(x[..., None] - values).argmin(-1)]


@pytest.mark.parametrize("limits", [(-1.0, 3.0), (-0.28, 5.1), (0.5, 2.0), (-3.0, -1.0)])
def test_activations(rng, limits):
    x = rng.normal(0, 3, 1000).astype(np.float32)
    got = rounded(torch.from_numpy(x), limits).numpy()
    np.testing.assert_allclose(got, by_definition(x, *limits), atol=1e-5)
    assert 20 < len(np.unique(got)) <= 256 and float(rounded(torch.zeros(1), limits)) == 0.0


def test_a_range_of_nothing_is_no_division_by_zero():
    assert float(rounded(torch.zeros(1), (0.0, 0.0))) == 0.0


@pytest.mark.parametrize("shape", [(5, 7), (4, 3, 3, 3), (6, 1, 3, 3)])
def test_weights_per_output(rng, shape):
    w = rng.normal(size=shape).astype(np.float32) * np.logspace(-3, 1, shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    w[1] = 0
    got = rounded_weight(torch.from_numpy(w.astype(np.float32))).numpy()
    for mine, wanted in zip(got, w, strict=True):
        scale = np.abs(wanted).max() / 127 or 1.0
        np.testing.assert_allclose(mine, np.rint(wanted / scale) * scale, rtol=1e-5, atol=1e-7)


def test_folding_a_batch_norm_commutes_with_rounding(rng):
    """Why the fold need not be imitated: factors of whole outputs, of any sign."""
    w, gain = torch.randn(8, 3, 3, 3, dtype=torch.float64).float(), torch.randn(8, 1, 1, 1)
    torch.testing.assert_close(rounded_weight(w * gain), rounded_weight(w) * gain, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("module", "shape", "rows"),
    [
        (nn.Linear(6, 2), (3, 4, 6), lambda x: x.reshape(-1, 6)),
        (nn.Conv2d(6, 2, 1), (3, 6, 2, 2), lambda x: x.transpose(0, 2, 3, 1).reshape(-1, 6)),
        (nn.Conv2d(6, 2, 3), (3, 6, 2, 2), lambda x: x.reshape(3, -1)),
    ],
    ids=["token", "pixel", "image"],
)
def test_dynamic_rows(rng, module, shape, rows):
    x = (rng.normal(size=shape) + 1).astype(np.float32) * np.float32([1, 10, 100]).reshape(-1, *[1] * (len(shape) - 1))
    (got,) = round_rows(module, (torch.from_numpy(x),))
    wanted = [by_definition(row, row.min(), row.max()) for row in rows(x)]
    np.testing.assert_allclose(rows(got.numpy()), wanted, rtol=1e-5, atol=1e-5)
    assert (got.numpy() != x).mean() > 0.5


def test_gradients_pass_straight_through():
    x = torch.tensor([-9.0, -0.3, 0.2, 9.0], requires_grad=True)
    rounded(x, (-1.0, 1.0)).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0, 1, 1, 0]  # none from beyond the range
    for rounds in (rounded_weight, lambda v: round_rows(nn.Linear(3, 3), (v,))[0]):
        v = torch.randn(3, 3, requires_grad=True)
        (rounds(v) * torch.arange(3.0)).sum().backward()
        assert v.grad is not None and v.grad.tolist() == [[0, 1, 2]] * 3


# The network


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.mix = nn.Conv2d(4, 4, 1)
        self.classifier = nn.Linear(4, 2)
        for tensor in (self.norm.weight, self.norm.bias, self.norm.running_mean):
            nn.init.normal_(tensor)

    def forward(self, x):
        return self.classifier(self.mix(torch.relu(self.norm(self.conv(x)))).mean((2, 3)))


LAYERS = (
    layer("conv", "static", normalised_by="norm", input=(0.0, 255.0), output=(-2.0, 2.0)),
    layer("mix", "static", input=(0.0, 1.5), output=(-1.0, 1.0)),
    layer("classifier", "dynamic"),
)


def test_network_by_hand():
    """Where each rounding sits: not on the photograph, after the batch norm, before the activation function."""
    net, x = Small().eval(), torch.rand(2, 3, 8, 8)
    y = nn.functional.conv2d(x, rounded_weight(net.conv.weight))
    y = rounded(net.norm(y), (-2.0, 2.0))
    y = nn.functional.conv2d(rounded(torch.relu(y), (0.0, 1.5)), rounded_weight(net.mix.weight), net.mix.bias)
    (y,) = round_rows(net.classifier, (rounded(y, (-1.0, 1.0)).mean((2, 3)),))
    wanted = nn.functional.linear(y, rounded_weight(net.classifier.weight), net.classifier.bias)
    assert torch.equal(FakeQuantised(net, LAYERS)(x), wanted)
    assert not torch.equal(net(x), wanted)


def test_float_network_is_left_alone():
    net, x = Small().eval(), torch.rand(2, 3, 8, 8)
    keys, before, answer = list(net.state_dict()), {k: v.clone() for k, v in net.state_dict().items()}, net(x)
    quantised = FakeQuantised(net, LAYERS)
    quantised(x).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
    assert list(net.state_dict()) == keys and all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert torch.equal(net(x), answer)
    with pytest.raises(RuntimeError):  # also after a forward that failed in the middle
        quantised(torch.rand(2, 5, 8, 8))
    assert torch.equal(net(x), answer)


def test_student_keeps_its_batch_norms():
    net = Small()
    student = Student(net, LAYERS).train()
    before = net.norm.running_mean.clone()
    student(torch.rand(4, 3, 8, 8) + 5)
    assert torch.equal(net.norm.running_mean, before)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ((layer("nowhere", "dynamic"),), "nowhere"),
        ((layer("norm", "dynamic"),), "norm"),
        ((layer("conv", "dynamic", normalised_by="mix"),), "folds mix"),
        ((layer("mix", "float"),), "nothing to imitate"),
        ((layer("mix", "dynamic"), layer("mix", "static", input=(0.0, 1.0), output=(0.0, 1.0))), "two ways"),
    ],
)
def test_scheme_of_another_network(layers, words):
    with pytest.raises(InputError, match=words):
        FakeQuantised(Small(), layers)


def test_parts_of_one_module_and_operators_without_one():
    layers = (layer("mix", "dynamic", tensor="q"), layer("mix", "dynamic", tensor="k"), Layer("x", "C", "dynamic", 1))
    assert list(by_module(Small(), layers)) == ["mix"]


def test_noise_is_the_mean_sqnr(rng):
    a, b, s = (rng.normal(size=(6, 4)) for _ in range(3))
    c = [v - v.mean(1, keepdims=True) for v in (a, b, s)]
    decibels = 10 * np.log10((c[2] ** 2).sum(1) / ((c[0] - c[1]) ** 2).sum(1))
    got = float(noise(*(torch.tensor(v + 7) for v in (a, b, s))))
    assert got == pytest.approx(-decibels.mean() * math.log(10) / 10, abs=0.01)
    assert math.isfinite(float(noise(torch.zeros(1, 3), torch.zeros(1, 3), torch.zeros(1, 3))))


def test_objective_brings_both_networks_to_the_start():
    """Ranges that cut half of the values away: 8 bits come nearer to float and to the start, on images it never saw."""
    torch.manual_seed(3)
    start = Small().eval().requires_grad_(False)
    net = deepcopy(start).requires_grad_(True)
    narrow = (replace(LAYERS[0], output=(-0.8, 0.8)), replace(LAYERS[1], output=(-0.3, 0.3)), LAYERS[2])
    objective = Imitate(Recipe(label_smoothing=0.0), narrow, "", start, 1.0)
    student = objective.learner(net)
    train, test = torch.randn(256, 3, 8, 8), torch.randn(64, 3, 8, 8)

    @torch.no_grad()
    def apart() -> tuple[float, float]:
        quantised, plain = student(test)
        return float(noise(quantised, plain, start(test))), float(noise(quantised, start(test), start(test)))

    before = apart()
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.0)
    for step in range(150):
        images = train[torch.arange(step * 16, step * 16 + 16) % 256]
        wanted = torch.softmax(start(images), 1)
        optimiser.zero_grad()
        objective.value(student, Batch(images, wanted, torch.zeros(16, 2), torch.empty(16, 0), None)).backward()
        optimiser.step()
    after = apart()
    decibels = [(b - a) * 10 / math.log(10) for b, a in zip(before, after, strict=True)]
    assert decibels[0] > 0.5 and decibels[1] > 0.5, decibels  # what is cut away is gone: more cannot come back
    with torch.no_grad():  # and the float network has stayed what it was
        assert float(noise(student(test)[1], start(test), start(test))) < -2 * math.log(10)  # 20 dB


# In words


def figures(sqnr: float, agreement: float) -> dict[str, float]:
    return {"images": 9, "sqnr_db": sqnr, "agreement": agreement, "balanced_accuracy_quantised": 0.5}


@pytest.mark.parametrize(
    ("after", "words"),
    [((21, 0.9), "no farther.*convert again"), ((19, 1.0), "FARTHER.*keep"), ((21, 0.8), "another class.*compare")],
)
def test_verdict(after, words):
    assert re.search(words, verdict(figures(20, 0.9), figures(*after)))


# The command


@pytest.fixture(scope="module")
def start(folder_of_photographs, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("start") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERMEDGE_CACHE", str(out.parent / "cache"))
        split = ["--folds", "3", "--fold", "1", "--held-back", "0.25", "--split-seed", "4"]
        more = ["--stages", f"{SIDE}x3", "--batch", "4", "--precision", "32-true", "--guide", "0"]
        assert main(["--data", str(folder_of_photographs), "--out", str(out), *split, *more]) == 0
    return out / "checkpoint.safetensors"


def write_scheme(path: Path, start: Path, **changes) -> Path:
    """Made to hurt: narrow ranges early on, so that fine-tuning has something to mend."""
    checkpoint = load(start)
    layers = [
        layer("layer1.expand.0", "static", normalised_by="layer1.expand.1", input=(-0.3, 1.0), output=(-0.5, 0.5)),
        layer("classifier", "dynamic"),
    ]
    scheme = Scheme(checkpoint.model, checkpoint.sha256, "k", "set", 4, 30.0, tuple(layers), ({"sqnr_db": 9.0},), 0)
    schemes.save(path, replace(scheme, **changes))
    return path


def flags(data: Path, out: Path, scheme: Path, *more: str) -> list[str]:
    return ["--data", str(data), "--out", str(out), "--qat", str(scheme), "--batch", "4", *more]


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    class StopsItself(StopRequest):
        steps = 0

        @property
        def asked(self) -> bool:
            StopsItself.steps += 1
            return StopsItself.steps >= after

    monkeypatch.setattr(_trainer, "StopRequest", StopsItself)


@pytest.fixture(scope="module")
def tuned(start, folder_of_photographs, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("tuned")
    more = ["--init", str(start), "--stages", f"{SIDE}x6", "--learning-rate", "1e-3"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERMEDGE_CACHE", str(out / "cache"))
        scheme = write_scheme(out / "scheme.json", start)
        assert main(flags(folder_of_photographs, out / "run", scheme, *more)) == 0
    return out / "run"


def test_a_run_says_what_came_of_it(tuned, start):
    """Whether it mends is said by the test of the objective: twelve photographs and four held back are too few."""
    first, after = load(start), load(tuned)
    said = after.recipe["qat"]
    assert said["before"] == {"sqnr_db": 9.0} and len(said["scheme"]) == 64
    was, now = said["held_back"]["before"], said["held_back"]["after"]
    assert was["sqnr_db"] < 60  # the scheme hurts; by how much depends on the processor that trained those few steps
    assert now["images"] == len(after.held_back["set"]["images"]) and 0 <= now["agreement"] <= 1
    assert list(after.state) == list(first.state)
    # batch-norm statistics are those of the start, weights are not
    assert torch.equal(after.state["stem.1.running_var"], first.state["stem.1.running_var"])
    assert not torch.equal(after.state["stem.0.weight"], first.state["stem.0.weight"])
    with (tuned / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 and float(rows[-1]["held_back_sqnr_db"]) == pytest.approx(now["sqnr_db"], abs=0.1)


def test_defaults_and_split_are_those_of_the_checkpoint(tuned, start):
    recipe, first = load(tuned).recipe, load(start)
    assert (recipe["folds"], recipe["fold"], recipe["held_back"], recipe["split_seed"]) == (3, 1, 0.25, 4)
    assert load(tuned).unseen == first.unseen and load(tuned).trained == first.trained
    assert recipe["mixup"] == recipe["guide"] == recipe["weight_decay"] == 0 and recipe["learning_rate"] == 1e-3
    assert recipe["init"]["sha256"] == first.sha256 and recipe["precision"] == "32-true"


@pytest.mark.slow(reason="fine-tunes twice")
def test_resumed_fine_tuning_is_the_uninterrupted_one(
    tuned, start, folder_of_photographs, tmp_path, monkeypatch, capsys
):
    scheme = write_scheme(tmp_path / "scheme.json", start)
    more = ["--init", str(start), "--stages", f"{SIDE}x6", "--learning-rate", "1e-3"]
    command = flags(folder_of_photographs, tmp_path / "run", scheme, *more)
    with monkeypatch.context() as patch:
        interrupt(patch, 5)
        assert main(command) == 130
    other = write_scheme(tmp_path / "other.json", start, images=5)
    assert main([*flags(folder_of_photographs, tmp_path / "run", other, *more), "--resume"]) == 2
    assert "other settings" in capsys.readouterr().err
    assert main([*command, "--resume"]) == 0
    state, expected = load(tmp_path / "run").state, load(tuned).state
    assert all(torch.equal(state[key], value) for key, value in expected.items())
    assert "in 8 bits the network is" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("changes", "more", "words"),
    [
        ({"checkpoint_sha256": "0" * 64}, [], "convert this one"),
        ({"model": "hierattn_s"}, [], "its checkpoint of hierattn_xs"),
        ({"layers": (layer("layer9.0", "dynamic"),)}, [], "layer9.0"),
        ({"layers": (replace(layer("stem", "dynamic"), operator="conv"),)}, [], "is of a Core ML package"),
        ({}, ["--model", "hierattn_s"], "leave --model out"),
        ({}, ["--stages", "64x1"], "32 pixels"),
        ({}, ["--guide", "1"], "--guide"),
        ({}, ["--fold", "0"], "--init learned from"),
    ],
    ids=["other weights", "other model", "no such module", "Core ML", "--model", "--stages", "--guide", "--fold"],
)
def test_what_does_not_fit_is_refused(start, folder_of_photographs, tmp_path, capsys, changes, more, words):
    scheme = write_scheme(tmp_path / "scheme.json", start, **changes)
    out = tmp_path / "run"
    assert main(flags(folder_of_photographs, out, scheme, "--init", str(start), *more)) == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert not (out / "checkpoint.json").exists() and not (out / "resume.safetensors").exists()


@pytest.mark.parametrize("content", [None, "{}", "nothing", json.dumps({"schema": schemes.SCHEMA})])
def test_malformed_scheme(start, folder_of_photographs, tmp_path, capsys, content):
    path = tmp_path / "bad.json"
    if content is not None:
        path.write_text(content)
    assert main(flags(folder_of_photographs, tmp_path / "run", path, "--init", str(start))) == 2
    assert "bad.json" in capsys.readouterr().err.replace("\n", "")


def test_without_init(start, folder_of_photographs, tmp_path, monkeypatch, capsys):
    """The shipped checkpoint is taken if it is the one; else the message says which is needed."""
    scheme = write_scheme(tmp_path / "scheme.json", start)
    command = flags(folder_of_photographs, tmp_path / "run", scheme, "--stages", f"{SIDE}x1")
    assert main(command) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "--init" in said and load(start).sha256 in said.replace(" ", "")
    save(load(start), tmp_path / "shipped" / "hierattn_xs")
    monkeypatch.setattr("train._qat.SHIPPED", tmp_path / "shipped")
    assert main(command) == 0


def test_other_classes_are_refused(start, folder_of_photographs, tmp_path, capsys):
    data = tmp_path / "set"
    shutil.copytree(folder_of_photographs, data)
    classes = [{"code": "mal", "malignant": True}, {"code": "ben", "malignant": False}]
    (data / "labels.json").write_text(json.dumps({"classes": classes}))
    scheme = write_scheme(tmp_path / "scheme.json", start)
    assert main(flags(data, tmp_path / "run", scheme, "--init", str(start))) == 2
    assert "has the classes" in " ".join(capsys.readouterr().err.split())


def test_cross_validation_has_no_scheme(start, folder_of_photographs, tmp_path, capsys):
    from dermedge.commands.cross_validate import main as cross_validate

    scheme = write_scheme(tmp_path / "scheme.json", start)
    assert cross_validate(["--data", str(folder_of_photographs), "--qat", str(scheme)]) == 2
    assert "--qat" in capsys.readouterr().err
