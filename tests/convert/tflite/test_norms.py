"""Group and instance norms in a file: about as exact as torch's float32, and not accused of what torch loses too."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convert._graph.passes import MOBILE_PASSES, group_norms, norms_by_axis
from convert._tflite import file as _file
from convert._tflite.file import lower
from edge.models.deployed import Deployed
from edge.models.foreign import Foreign
from edge.program import one_at_a_time
from edge.questions.layers.findings import compared
from edge.questions.layers.network import LAYOUTS, Network, around, module_of
from edge.questions.layers.places import Place, plain
from edge.questions.layers.walk import Walk
from edge.runtimes.inside import FLOAT16, Precision, look_inside
from tests.convert.tflite.test_emit import answer

SIDE = 96
NORMS = {
    "group": lambda: nn.GroupNorm(2, 8),
    "layer": lambda: nn.GroupNorm(1, 8),
    "instance": lambda: nn.InstanceNorm2d(8, affine=True),
}
# Means over both axes at once, as they were: what LiteRT loses there is far from what torch loses.
BOTH_AXES = tuple(group_norms if one is norms_by_axis else one for one in MOBILE_PASSES)


class Normed(nn.Module):
    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.a, self.n, self.b, self.head = nn.Conv2d(3, 8, 3, 2), norm, nn.Conv2d(8, 8, 3, 2), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.b(torch.relu(self.n(self.a(x))))).mean((2, 3)))


def model_of(norm: str, shift: float = 0.0) -> Deployed:
    torch.manual_seed(0)
    net = Normed(NORMS[norm]())
    nn.init.constant_(net.n.bias, shift)
    return Deployed(net, mean=(0.5,) * 3, std=(0.25,) * 3, temperature=1.0, layout="NHWC").eval()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Skin: bright and nearly of one colour, so that the norms' means are far from zero beside what is left."""
    colour = np.array([215, 160, 140])
    noise = np.random.default_rng(0).normal(0, 1, (2, SIDE, SIDE, 3))
    return (colour + noise).clip(0, 255).astype(np.uint8)


def distance(values: np.ndarray, exact: np.ndarray) -> float:
    """SQNR of the logits (up to a constant), in decibels."""
    exact = np.log(exact)
    noise = np.log(values.astype(np.float64)) - exact
    return float(10 * np.log10((exact - exact.mean(1, keepdims=True)).var() / np.square(noise).mean()))


@pytest.mark.parametrize("norm", NORMS)
def test_a_file_is_about_as_exact_as_torch(norm: str, images: np.ndarray, monkeypatch) -> None:
    model, pictures = model_of(norm), torch.from_numpy(images).float()
    with torch.no_grad():
        exact = copy.deepcopy(model).double()(pictures.double()).numpy()
        by_torch = distance(model(pictures).numpy(), exact)

    def of_file() -> list[float]:
        content = lower(model, pictures[:1]).content
        rows = [[answer(content, image[None], reference=ref) for image in pictures] for ref in (False, True)]
        return [distance(np.concatenate(row), exact) for row in rows]

    assert min(of_file()) > by_torch - 6
    monkeypatch.setattr(_file, "MOBILE_PASSES", BOTH_AXES)
    assert norm != "instance" or max(of_file()) < by_torch - 20  # the pictures are such that it matters


def of_layers(model: Deployed, images: np.ndarray, path: Path) -> dict:
    path.write_bytes(lower(model, torch.zeros(1, SIDE, SIDE, 3)).content)
    return compared(Network(model, images), look_inside(path, "tflite", images))


@pytest.mark.parametrize("norm", NORMS)
def test_an_intact_norm_is_not_accused_and_has_its_module(norm: str, images: np.ndarray, tmp_path: Path) -> None:
    found = of_layers(model_of(norm), images, tmp_path / "x.tflite")
    assert found["first"] is None
    assert {"a", "n", "b", "head"} <= {row["module"] for row in found["rows"] if row["status"] == "ok"}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_a_changed_norm_is_accused_by_its_name(norm: str, shift: float, images: np.ndarray, tmp_path: Path) -> None:
    """Its scale is wrong by a thousandth. `shift`: the norm's last operation holds the activation."""
    model = model_of(norm, shift)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.net.n.weight *= 1.001
    (tmp_path / "x.tflite").write_bytes(lower(other, torch.zeros(1, SIDE, SIDE, 3)).content)
    found = compared(Network(model, images), look_inside(tmp_path / "x.tflite", "tflite", images))
    assert found["first"] is not None
    assert found["rows"][found["first"]]["module"] == "n"


def test_a_norm_that_loses_what_torch_loses_is_not_accused(images: np.ndarray, tmp_path: Path, monkeypatch) -> None:
    """Torch's group norm of a map with channels last loses as much as LiteRT's sums over both axes."""
    monkeypatch.setattr(_file, "MOBILE_PASSES", BOTH_AXES)
    assert of_layers(model_of("group"), images, tmp_path / "x.tflite")["first"] is None


def test_a_program_without_call_stacks_names_modules_by_their_weights(images: np.ndarray) -> None:
    """What `dermedge.wrap` has stored and read again."""
    model = model_of("group")
    program = torch.export.export(Foreign(model.net), (torch.zeros(1, 3, SIDE, SIDE),))
    model.net = one_at_a_time()(program.module(check_guards=False))
    network = Network(model, images)
    assert around(model) == "net.graph.net"
    assert {module_of(node) for node in network.nodes if node.op == "call_function"} == {"", "a", "n", "b", "head"}


def test_as_exact_as_torch_is_told_from_a_loss(images: np.ndarray) -> None:
    """In either layout's kernel; a file in half precision is not measured by this, nor is a loss that torch has not."""
    network = Network(model_of("group"), images)
    node = next(node for node in network.nodes if "group_norm" in node.name)

    def as_torch(values: list[Tensor], precision: Precision) -> bool:
        place = Place(node, plain(), (), [value.double() for value in values], 0.0)
        step = SimpleNamespace(op=SimpleNamespace(precision=precision))
        return Walk.as_torch(SimpleNamespace(network=network), step, place, [])  # type: ignore[arg-type]

    for layout in LAYOUTS:
        values = network.single_value(node, layout)
        assert as_torch(values, Precision())
        assert not as_torch(values, Precision(result=FLOAT16))
        assert not as_torch([value * 1.001 for value in values], Precision())
