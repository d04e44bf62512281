"""A network that was lowered wrongly: every recipe is refused, whatever was asked for, with the operation's name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import dermedge
from convert._coreml import program
from convert._graph import mobile_ops as mobile
from convert._tflite.emit import lower
from convert._tflite.emit.lower import layers
from dermedge.commands import to_coreml, to_tflite
from edge import artifact
from edge.labels import PAD_UFES_20


class Net(nn.Module):
    """A convolution, a pool, a resize, a convolution, a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, 2, 1)
        self.pool = nn.AvgPool2d(2)
        self.second = nn.Conv2d(8, 12, 3, 1, 1)
        self.head = nn.Linear(12, len(PAD_UFES_20))

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(torch.relu(self.first(x)))
        x = nn.functional.interpolate(x, scale_factor=2, mode="bilinear")
        x = torch.relu(self.second(x))
        return self.head(x.mean((2, 3)))


@pytest.fixture(scope="module")
def network() -> dermedge.Checkpoint:
    torch.manual_seed(0)
    return dermedge.wrap(Net(), PAD_UFES_20, side=32, mean=(0.5,) * 3, std=(0.2,) * 3, name="small")


@pytest.fixture
def given(network: dermedge.Checkpoint, sample: Path, tmp_path: Path) -> list[str]:
    dermedge.save(network, tmp_path / "small.pt2")
    return ["--checkpoint", str(tmp_path / "small.pt2"), "--data", str(sample), "--out", str(tmp_path / "out")]


@pytest.fixture
def wrong_pool(monkeypatch) -> None:
    monkeypatch.setitem(lower.TABLE, mobile.avg_pool2d, lambda s, node: layers.pool(
        s, node, layers.Code.MAX_POOL_2D, s[node.args[0]], (2, 2), (2, 2), layers.schema.Padding.VALID
    ))  # fmt: skip


def no_file(folder: Path) -> bool:
    return not list(folder.glob("small-*")) and not artifact.read(folder).files


@pytest.mark.slow(reason="converts several networks")
@pytest.mark.parametrize("recipes", [["int8-weights"], ["fp16", "int8", "int8-io", "int8-dynamic"], ["fp32"]])
def test_no_recipe_is_made_of_a_wrong_pool(
    given: list[str], wrong_pool, tmp_path: Path, recipes: list[str], capsys
) -> None:
    flags = [word for recipe in recipes for word in ("--recipe", recipe)]
    assert to_tflite.main([*given, *flags]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert f"rejected {', '.join(recipes)}" in said
    (line,) = set(re.findall(r"leaves the torch model at op \d+, MAX_POOL_2D [^:]*", said))
    assert "module behind first (avg_pool2d" in line  # a program that was saved has forgotten modules without weights
    assert re.search(r"torch \[[^]]*\], file \[", said)
    assert no_file(tmp_path / "out")


def test_a_wrong_resize_is_refused_from_python(
    network: dermedge.Checkpoint, sample: Path, monkeypatch, tmp_path: Path
) -> None:
    def nearest(s, node):
        node.target = mobile.resize_nearest
        return layers.resize(s, node)

    monkeypatch.setitem(lower.TABLE, mobile.resize_bilinear, nearest)
    build = dermedge.convert(network, recipes=["int8-weights", "int8-dynamic"], photos=sample, out=tmp_path)
    assert build.rejected == ("small-int8-weights.tflite", "small-int8-dynamic.tflite")
    (cause,) = [reason for reason in build.reasons if "leaves the torch model" in reason]
    assert "RESIZE_NEAREST_NEIGHBOR" in cause and "upsample_bilinear2d" in cause and f"{Path(__file__).name}:" in cause
    assert not build.manifest.files and no_file(tmp_path)


@pytest.mark.slow(reason="converts several networks")
def test_core_ml_is_held_to_the_same(given: list[str], monkeypatch, tmp_path: Path, capsys) -> None:
    lowered = program.rewritten

    def wrong(checkpoint):
        graph = lowered(checkpoint)
        (pool,) = [node for node in graph.graph.nodes if "avg_pool2d" in str(node.target)]
        pool.target, pool.args = torch.ops.aten.max_pool2d.default, (pool.args[0], [2, 2], [2, 2])
        graph.recompile()
        return graph

    monkeypatch.setattr("convert._coreml.program.rewritten", wrong)
    assert to_coreml.main([*given, "--recipe", "fp16", "--recipe", "int8-weights"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "rejected fp16, int8-weights" in said and "max_pool" in said and "module behind first (avg_pool2d" in said
    assert no_file(tmp_path / "out")


@pytest.mark.slow(reason="converts several networks")
def test_files_of_an_earlier_conversion_do_not_stay(given: list[str], tmp_path: Path, monkeypatch, request) -> None:
    """With --force they were to be replaced; what replaces them is wrong, so none of them is left."""
    wanted = ["--recipe", "fp16", "--recipe", "fp32"]
    assert to_tflite.main([*given, *wanted]) == 0
    assert len(artifact.read(tmp_path / "out").files) == 2
    request.getfixturevalue("wrong_pool")
    assert to_tflite.main([*given, *wanted, "--force"]) == 1
    assert no_file(tmp_path / "out")
