"""`--model path/to/net.py:build` and `package.module:build`: a network named on the command line."""

from __future__ import annotations

import json

import pytest
import torch

from dermedge._api.source import build_network, builder_of, load_into, read_labels
from dermedge._api.wrapping import labels_of
from dermedge.commands import to_tflite
from edge.errors import InputError

NET = '''
"""A stranger's network, with a helper beside it."""
import torch
from torch import nn

from its_parts import head


class Net(nn.Module):
    def __init__(self, num_classes=3):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.head = head(8, num_classes)

    def forward(self, x):
        return self.head(torch.relu(self.stem(x)).mean((2, 3)))


def build(num_classes):
    return Net(num_classes)


def plain():
    return Net()


def text():
    return "no network"


def breaks():
    raise OSError("no weights on this machine")
'''
FLAGS = ["--labels", "a,b,c", "--mean", "0.5,0.5,0.5", "--std", "0.5,0.5,0.5", "--side", "64"]


@pytest.fixture
def net(tmp_path, monkeypatch):
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "its_parts.py").write_text("from torch import nn\n\ndef head(a, b):\n    return nn.Linear(a, b)\n")
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    return tmp_path / "net.py"


def test_a_file_and_a_module_name_the_same_function(net, monkeypatch):
    monkeypatch.syspath_prepend(net.parent)
    for place in (str(net), "net"):
        network = build_network(builder_of(f"{place}:build"), 5)
        assert network.head.out_features == 5
    assert build_network(builder_of(f"{net}:Net"), 4).head.out_features == 4
    assert build_network(builder_of(f"{net}:plain"), 4).head.out_features == 3  # it takes no number; wrap will say so


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("{net}:nothing", "has no function or class 'nothing'; it has Net, breaks, build"),
        ("{net}:text", "returns str, not a torch.nn.Module"),
        ("{net}:breaks", "OSError: no weights on this machine"),
        ("{folder}/missing.py:build", "no Python file at"),
        ("no_such_package.net:build", "cannot be imported"),
        (":build", "package.module:build"),
    ],
)
def test_what_is_no_network_is_refused(net, model, words):
    with pytest.raises(InputError) as raised:
        build_network(builder_of(model.format(net=net, folder=net.parent)), 3)
    assert words in str(raised.value)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_are_read_as_data_alone(net, suffix):
    from safetensors.torch import save_file

    network = build_network(builder_of(f"{net}:build"), 3)
    state = {f"module.{key}": value + 1 for key, value in network.state_dict().items()}
    path = net.with_suffix(suffix)
    torch.save({"state_dict": state}, path) if suffix == ".pth" else save_file(state, path)
    filled = load_into(build_network(builder_of(f"{net}:build"), 3), path)
    assert torch.equal(filled.head.bias, network.head.bias + 1)
    torch.save({"stem.weight": torch.zeros(1)}, net.with_suffix(".pth"))
    with pytest.raises(InputError, match="tensors missing"):
        load_into(network, net.with_suffix(".pth"))


def test_labels_by_file_or_by_hand(tmp_path):
    assert [(label.code, label.malignant) for label in read_labels("a, b")] == [("a", None), ("b", None)]
    classes = [{"code": "a", "malignant": True}, {"code": "b", "malignant": None}]
    (tmp_path / "labels.json").write_text(json.dumps({"classes": classes}))
    assert [label.malignant for label in read_labels(str(tmp_path / "labels.json"))] == [True, None]


def test_a_melanoma_that_is_marked_benign_is_named(tmp_path, messages):
    classes = [{"code": "mel", "name": "melanoma", "malignant": False}, {"code": "nv", "malignant": False}]
    (tmp_path / "labels.json").write_text(json.dumps({"classes": classes}))
    read_labels(str(tmp_path / "labels.json"))
    labels_of(["bcc", "nevus"], [False, False])
    assert [message.split(": ")[-1].split(" is marked")[0] for message in messages] == ["mel (melanoma)", "bcc (bcc)"]


@pytest.mark.slow(reason="converts by the command")
def test_the_command_converts_it(net, tmp_path, no_photographs, capsys):
    torch.manual_seed(0)
    torch.save(build_network(builder_of(f"{net}:build"), 3).state_dict(), tmp_path / "w.pth")
    command = ["--model", f"{net}:build", "--weights", str(tmp_path / "w.pth"), *FLAGS, "--recipe", "fp32"]
    assert to_tflite.main([*command, "--out", str(tmp_path / "out")]) == 0, capsys.readouterr().err
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["model"] == "net" and manifest["labels"][0] == {"code": "a", "name": "a", "malignant": None}
    assert "untrained" not in manifest["training"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([], "--weights"),
        (["--untrained", "--checkpoint", "x.safetensors"], "--weights"),
        (["--weights", "missing.pth"], "no weights at"),
        (["--untrained", "--mean", "124,116,104"], "cannot be"),
        (["--untrained", "--mean", "0.5"], "--mean is three numbers"),
        (["--untrained", "--labels", "a,b"], "3 scores"),
    ],
)
def test_flags_that_do_not_fit_are_named(net, changes, words, no_photographs, capsys):
    model = f"{net}:plain"
    assert to_tflite.main(["--model", model, *FLAGS, *changes]) == 2
    assert words in capsys.readouterr().err


def test_flags_of_own_networks_are_refused_for_others(capsys):
    assert to_tflite.main(["--model", "hierattn_xs", "--labels", "a,b"]) == 2
    assert "--labels is for a network of your own" in capsys.readouterr().err
