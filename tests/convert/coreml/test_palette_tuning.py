"""Palettes that learned: nearer to the float network than k-means leaves it, and written as they were learned."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import coremltools as ct
import numpy as np
import pytest
import torch
from torch import nn

from convert import to_coreml
from convert._coreml import palette_tuning as _palette_tuning
from convert._coreml import program as _coreml
from convert._coreml.palette_tuning import Palette, answers, centres, faithfulness, held_back, tune
from convert._graph.graph import trace
from convert._graph.passes import PASSES, rewrite
from edge.runtimes.coreml.classifier import CoreML

pytestmark = [
    pytest.mark.filterwarnings("ignore:Function _TORCH_OPS_REGISTRY:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Saving value type of int64:UserWarning"),
]
SIDE, BITS = 16, 2


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 24, 3, 2, 1, bias=False), nn.BatchNorm2d(24), nn.SiLU())
        self.inner = nn.Conv2d(24, 24, 3, padding=1)
        self.norm, self.head = nn.LayerNorm(24), nn.Linear(24, 5)

    def forward(self, x):
        x = self.stem(x / 255)
        x = torch.relu(self.inner(x)).mean((2, 3))
        return torch.softmax(3 * self.head(self.norm(x)), -1)


@pytest.fixture(scope="module")
def graph():
    torch.manual_seed(0)
    net = Net()
    with torch.no_grad():
        for _ in range(10):
            net(torch.rand(8, 3, SIDE, SIDE) * 255)
    return rewrite(trace(net.eval(), torch.zeros(1, 3, SIDE, SIDE)), PASSES)[0]


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (60, 2, 2, 3), dtype=np.uint8)
    return coarse.repeat(SIDE // 2, 1).repeat(SIDE // 2, 2)


@pytest.fixture(scope="module")
def photos(images: np.ndarray):
    return SimpleNamespace(patients=[f"patient {n // 2}" for n in range(len(images))])


@pytest.fixture(scope="module")
def tuned(graph, photos, images):
    return tune(graph, BITS, photos, images, epochs=4, doing="")


def test_it_comes_nearer_on_patients_that_it_did_not_learn_from(graph, photos, images, tuned) -> None:
    apart = held_back(photos)
    assert 0 < len(apart) < len(images) / 4 and tuned.images == len(images) - len(apart)
    patients = np.array(photos.patients)
    assert not set(patients[apart]) & set(np.delete(patients, apart))
    assert tuned.better and tuned.after_db > tuned.before_db + 3
    wanted = answers(graph, {}, images[apart])
    assert faithfulness(wanted, answers(tuned.graph, {}, images[apart])) == pytest.approx(tuned.after_db, abs=0.5)


def test_large_tensors_have_so_few_values_and_the_given_network_keeps_its_own(graph, tuned) -> None:
    before, after = ({**dict(g.named_parameters()), **dict(g.named_buffers())} for g in (graph, tuned.graph))
    large = [name for name, value in before.items() if value.numel() >= _coreml.SMALLEST_QUANTISED]
    assert len(large) >= 2
    for name in large:
        assert before[name].unique().numel() > 100 and after[name].unique().numel() <= 2**BITS


def test_the_package_has_what_was_learned(tuned, images, tmp_path: Path) -> None:
    """Its answers are those of the tuned network, not of one that k-means went over again."""
    program = torch.export.export(tuned.graph, (torch.zeros(1, 3, SIDE, SIDE),)).run_decompositions({})
    half = ct.convert(
        program,
        inputs=[ct.ImageType(name="image", shape=(1, 3, SIDE, SIDE), color_layout=ct.colorlayout.RGB)],
        classifier_config=ct.ClassifierConfig(list("abcde")),
        minimum_deployment_target=ct.target.iOS16,
        compute_precision=ct.precision.FLOAT16,
        skip_model_load=True,
    )
    _coreml.with_palette(half, BITS).save(str(tmp_path / "m.mlpackage"))
    package = CoreML(tmp_path / "m.mlpackage")
    kinds = [one.kind for one in package.engine.program.operations]
    assert kinds.count("constexpr_lut_to_dense") >= 2
    found = package.run(images).probabilities
    assert np.abs(found - answers(tuned.graph, {}, images)).max() < 5e-3  # fp16 arithmetic


def test_the_same_input_gives_the_same_weights(graph, photos, images) -> None:
    one, other = (tune(graph, BITS, photos, images, epochs=1, doing="") for _ in range(2))
    pairs = zip(one.graph.parameters(), other.graph.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_where_nothing_is_gained_the_weights_stay(graph, photos, images, monkeypatch) -> None:
    monkeypatch.setattr(_palette_tuning, "RATES", (10.0, 10.0, 10.0))  # learns nonsense
    found = tune(graph, BITS, photos, images, epochs=1, doing="")
    assert not found.better and found.graph is graph and "NO BETTER" in found.words


def test_gradients_reach_the_table_and_the_weight(graph) -> None:
    """One value of the tensor moved by d moves its place in the table by d, and asks the weight behind it to."""
    palette = Palette(graph, BITS)
    name = next(iter(palette.table))
    palette.weights()[name].flatten()[5].backward()
    size = palette.size[name]
    table, chooser = palette.table[name].grad, palette.chooser[name].grad.flatten()
    assert table.count_nonzero() == 1 and float(table.sum()) == pytest.approx(float(size))
    assert chooser.count_nonzero() == 1 and float(chooser[5]) == pytest.approx(float(size))


def test_centres_of_clear_clusters() -> None:
    around = torch.tensor([-3.0, -1.0, 0.5, 4.0])
    value = (around[:, None] + 0.01 * torch.randn(4, 200, generator=torch.Generator().manual_seed(0))).reshape(40, 20)
    np.testing.assert_allclose(centres(value, 2).numpy(), around.numpy(), atol=0.01)


@pytest.mark.parametrize("flags", [["--recipe", "fp16", "--fine-tune"], ["--fine-tune", "-1"]])
def test_flags_that_mean_nothing(flags: list[str], capsys) -> None:
    assert to_coreml.main(flags) == 2
    assert "--fine-tune" in capsys.readouterr().err
