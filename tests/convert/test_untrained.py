"""Random weights: answers that depend on the picture, the same twice, and never taken for trained ones."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convert import to_tflite
from convert._convert import refuse_another_network
from convert._judge import broken_rules
from convert._untrained import untrained
from dermedge.commands import parity
from dermedge.commands._conversion import checkpoint_of
from edge import artifact
from edge.checkpoint import load, shipped
from edge.data.readers import open_photos
from edge.data.selection import synthetic_sample
from edge.data.squares import load_squares
from edge.errors import InputError
from edge.manifest import SelfTest
from edge.recipes import NEVER, TABLE
from edge.runtimes import Outputs
from edge.runtimes.reference import Reference
from tests.edge._manifests import entry, manifest

SIDE = 64


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("untrained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERMEDGE_CACHE", str(folder / "cache"))
        patch.delenv("DERMEDGE_PHOTOS", raising=False)
        yield folder


@pytest.fixture(autouse=True)
def cache(home, monkeypatch):
    """The sample is drawn once for the module."""
    monkeypatch.setenv("DERMEDGE_CACHE", str(home / "cache"))
    monkeypatch.delenv("DERMEDGE_PHOTOS", raising=False)


@pytest.mark.parametrize(
    "model",
    [
        "hierattn_xs",
        "shufflenetv2",
        "mobilenetv3_large",
    ],
)
@pytest.mark.slow(reason="makes each network three times")
def test_answers_depend_on_the_picture(home, model):
    path = untrained(model, seed=3, side=SIDE, folder=home / model)
    held = load(path)
    assert held.untrained == {"seed": 3, "settled_on": "32 images of the embedded synthetic sample"}
    _, images = load_squares(open_photos(synthetic_sample()), SIDE)
    answers = Reference(held).run(images).probabilities
    assert len(set(answers.argmax(1))) >= 3  # no class wins everywhere
    assert 0.3 < np.log(answers).std(axis=0).mean() < 3
    before = path.read_bytes()
    assert untrained(model, seed=3, side=SIDE, folder=home / model) == path and path.read_bytes() == before
    again = untrained(model, seed=3, side=SIDE, folder=home / "again" / model)
    assert load(again).sha256 == held.sha256  # the same seed, the same weights
    other = untrained(model, seed=4, side=SIDE, folder=home / "again" / model)
    assert load(other).sha256 != held.sha256


@pytest.mark.slow(reason="converts a network at two sides")
def test_another_side_is_made_anew(home):
    path = untrained("shufflenetv2", seed=0, side=32, folder=home / "sides")
    assert load(path).preprocess.side == 32
    assert load(untrained("shufflenetv2", seed=0, side=64, folder=home / "sides")).preprocess.side == 64


@pytest.fixture(scope="module")
def build(home) -> Path:
    out = home / "build"
    arguments = ["--model", "shufflenetv2", "--untrained", "--side", str(SIDE), "--out", str(out)]
    recipes = ("fp32", "fp16", "int8-weights", "int8-dynamic")
    assert to_tflite.main([*arguments, *(word for r in recipes for word in ("--recipe", r))]) == 0
    return out


@pytest.mark.slow(reason="converts to four files")
def test_files_say_that_nobody_trained_them(build, capsys):
    held = artifact.read(build)
    assert held.training.untrained.seed == 0 and "random" in held.training.attribution
    assert [described.parity.verdict for described in held.files] == ["pass"] * 4
    assert not any(broken_rules(described.audit, described.recipe) for described in held.files)
    assert parity.main([str(build), "--images", "12"]) in (0, 1)  # forced fp16 may fail; the checkpoint lies there
    page = (build / "report.html").read_text()
    assert "Untrained." in page and "weights are random" in page
    assert "Top-1 agreement" not in (build / "parity.json").read_text().split('"checks"')[1][:2000]


def test_random_weights_are_judged_on_the_logits_alone():
    for recipe in TABLE:
        gate = recipe.gate_for(untrained=True)
        assert (gate == recipe.gate) == (recipe.name == "fp32" or recipe.binding == NEVER)
        assert (gate.agreement, gate.wide_margin_disagreements, gate.balanced_accuracy_drop) == (None, None, None)


def flags(**given: object) -> argparse.Namespace:
    empty = dict.fromkeys(
        ("untrained", "side", "checkpoint", "model", "out", "weights", "labels", "mean", "std", "name")
    )
    return argparse.Namespace(**{**empty, **given})


def test_flags_that_contradict_each_other(tmp_path):
    with pytest.raises(InputError, match="one of them"):
        checkpoint_of(flags(untrained=0, checkpoint=tmp_path / "x.safetensors"))
    with pytest.raises(InputError, match="--side goes with --untrained"):
        checkpoint_of(flags(side=64))
    with pytest.raises(InputError, match="multiple of 32"):
        checkpoint_of(flags(untrained=0, side=65, out=tmp_path))


def test_without_a_checkpoint_the_way_out_is_named():
    with pytest.raises(InputError, match=r"train/train\.py --model mnasnet .*--model mnasnet --untrained"):
        shipped("mnasnet")


def test_files_of_another_forward_pass_are_not_mixed_with_new_ones(tmp_path):
    """Whoever edits a network and converts again with the same weights must not keep files of the old one beside."""
    probabilities = np.array([[0.2, 0.8], [0.7, 0.3]])
    files = (entry("m-fp32.tflite"), entry("m-fp16.tflite"))
    held = manifest(files=files, self_test=tuple(SelfTest("", "", "", tuple(row), {}) for row in probabilities))
    same, other = Outputs(probabilities + 1e-6, None), Outputs(probabilities[::-1], None)
    refuse_another_network(tmp_path, held, same, ["m-fp16.tflite"])
    refuse_another_network(tmp_path, held, other, ["m-fp16.tflite", "m-fp32.tflite"])  # none stays
    with pytest.raises(InputError, match=r"holds m-fp32.tflite, made .* when the network's code was another"):
        refuse_another_network(tmp_path, held, other, ["m-fp16.tflite"])


def test_a_photograph_is_answered_with_the_remark_that_nobody_trained_it(home, capsys):
    from dermedge.commands import predict

    path = untrained("shufflenetv2", seed=3, side=SIDE, folder=home / "shufflenetv2")
    photo = open_photos(synthetic_sample()).photos[0].path
    assert predict.main([str(photo), "--with", str(path)]) == 0
    assert "random weights: its answers mean nothing" in " ".join(capsys.readouterr().out.split())


def test_no_weight_is_left_at_zero_everywhere(home):
    """Pixel attention starts with tables of 0, which multiply by 1 whatever a file makes of them."""
    state = load(untrained("mobilenetv2_ppcr", seed=0, side=SIDE, folder=home / "ppcr")).state
    tables = [value for name, value in state.items() if name.endswith("gate.weight")]
    assert len(tables) == 16 and all(0.2 < table.std() < 0.5 for table in tables)
    assert all(value.any() for name, value in state.items() if name.endswith("weight"))


def test_a_mask_that_another_forward_pass_gives_is_noticed(tmp_path):
    probabilities, masks = np.array([[0.2, 0.8]]), np.full((1, 4, 4), 0.5, np.float32)
    tested = SelfTest("", "", "", (0.2, 0.8), {}, reference_mask=0.5)
    held = manifest(files=(entry("m-fp32.tflite"),), self_test=(tested,))
    refuse_another_network(tmp_path, held, Outputs(probabilities, masks), [])
    with pytest.raises(InputError, match="code was another"):
        refuse_another_network(tmp_path, held, Outputs(probabilities, masks + 0.1), [])


def test_another_side_does_not_draw_over_the_weights_of_files_that_stay(home, tmp_path, monkeypatch):
    path = untrained("shufflenetv2", seed=0, side=32, folder=tmp_path)
    before = path.read_bytes()
    (tmp_path / artifact.MANIFEST).touch()
    monkeypatch.setattr(artifact, "read", lambda folder: manifest(model="shufflenetv2"))
    asked = flags(untrained=0, model="shufflenetv2", out=tmp_path, side=64)
    with pytest.raises(InputError, match="another `side` than 64"):
        checkpoint_of(asked)
    assert path.read_bytes() == before


@pytest.mark.slow(reason="needs the four files")
def test_the_command_refuses_a_folder_of_another_forward_pass(build, tmp_path, capsys):
    shutil.copytree(build, tmp_path / "build")
    held = artifact.read(tmp_path / "build")
    turned = [replace(tested, reference=tested.reference[::-1]) for tested in held.self_test]
    artifact.write(tmp_path / "build", replace(held, self_test=tuple(turned)))  # as if it had answered so then
    arguments = ["--model", "shufflenetv2", "--untrained", "--side", str(SIDE), "--out", str(tmp_path / "build")]
    assert to_tflite.main([*arguments, "--recipe", "int8"]) == 2
    assert "code was another" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "build" / "shufflenetv2-int8.tflite").exists()
