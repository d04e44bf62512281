"""Every extra stands alone: its commands run where nothing is installed but what it asks for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from dermedge import save, wrap
from edge import artifact
from edge.labels import PAD_UFES_20
from edge.pretrained import PACKAGES
from tests._extras import EXTRAS, closed_without, closure, command_with, modules_of, own_requirements, run_with
from tests._sources import SOURCES, imported

NOT_ELSEWHERE = {"torch", "scipy", "sklearn", "matplotlib", "jinja2", "coremltools", "ai_edge_litert", "transformers"}
USED = {module.split(".")[0] for path in SOURCES for module in imported(path.read_text(encoding="utf-8"))}
# Requirements that no source of ours imports, and why they are asked for all the same.
FOR_OTHERS = {
    "tensorboard": "the logger of lightning-fabric writes with it",
    "protobuf": "google.protobuf, which several distributions share",
    **{package.distribution: "a file of weights, which is found and not imported" for package in PACKAGES.values()},
}


def test_what_an_extra_closes() -> None:
    """The closure is of the right things, so that the tests below can fail."""
    assert closed_without("litert") >= NOT_ELSEWHERE - {"ai_edge_litert"}
    assert "ai_edge_litert" in closed_without("coreml") and "coremltools" not in closed_without("coreml")
    assert {"coremltools", "tensorboard"} <= closed_without("tflite")
    assert {"torch", "scikit-learn", "scipy", "matplotlib", "numpy"} <= closure("simulate")
    blocked = run_with("litert", "import numpy, ai_edge_litert\nimport torch")
    assert blocked.returncode == 1 and "No module named 'torch'" in blocked.stderr


@pytest.mark.parametrize("extra", EXTRAS)
def test_everything_that_is_asked_for_is_used(extra: str) -> None:
    """Whoever installs an extra waits for all of it."""
    wanted = {requirement.name for requirement in own_requirements(extra)} - FOR_OTHERS.keys()
    installed = {name for name in wanted if modules_of(name)}
    assert wanted - installed <= {"coreai-torch"}  # what this machine may lack
    assert not [name for name in installed if not modules_of(name) & USED]


def test_all_is_the_sum_of_the_others() -> None:
    names = {requirement.name for requirement in own_requirements("all")}
    apart = {"coreai", "pretrained", "parquet"}  # a beta, 60 MB of weights, and 48 MB that few need
    single = [extra for extra in EXTRAS if extra not in {"all", *apart}]
    assert names == {requirement.name for extra in single for requirement in own_requirements(extra)}


def test_the_weights_are_those_that_the_code_knows() -> None:
    wanted = {requirement.name for requirement in own_requirements("pretrained")}
    assert wanted == {package.distribution for package in PACKAGES.values()}


LONG = pytest.mark.slow(reason="a process that loads torch and a converter")


@pytest.mark.parametrize(
    ("extra", "modules"),
    [
        ("", ["dermedge", "dermedge.cli", "edge.capture", "edge.preprocess", "edge.artifact", "edge.decision"]),
        ("litert", ["edge.runtimes.litert", "dermedge.commands.predict", "dermedge._api.prediction"]),
        pytest.param(
            "tflite", ["convert._convert", "convert._tflite.format", "dermedge.commands.to_tflite"], marks=LONG
        ),
        pytest.param(
            "coreml", ["convert._convert", "convert._coreml.format", "dermedge.commands.to_coreml"], marks=LONG
        ),
        pytest.param(
            "coreai",
            ["convert._convert", "convert._coreai.format", "convert._coreai.program", "edge.runtimes.coreai"],
            marks=LONG,
        ),
        pytest.param(
            "train", ["train._run", "train._trainer", "train._evaluate", "dermedge.commands.train"], marks=LONG
        ),
        ("simulate", ["dermedge.commands.parity", "dermedge.commands.decide", "dermedge.commands.robustness"]),
        ("torch", ["edge.checkpoint", "edge.program", "dermedge._api.wrapping", "edge.runtimes.coreml"]),
    ],
)
def test_modules_load(extra: str, modules: list[str]) -> None:
    done = run_with(extra, f"import importlib\nfor name in {modules!r}: importlib.import_module(name)")
    assert done.returncode == 0, done.stderr


def good(done) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_litert_predicts(fp32_build: Path) -> None:
    """On a server that has the file and its manifest: no torch, no SciPy, no plots."""
    file, photo = fp32_build / "hierattn_xs-fp32.tflite", fp32_build / "self_test_0.png"
    answer = json.loads(good(command_with("litert", "predict", photo, "--with", file, "--json")))[0]["probabilities"]
    expected = artifact.read(fp32_build).self_test[0].expected[file.name]
    assert list(answer.values()) == pytest.approx(expected, abs=1e-6)
    program = (
        "import dermedge, json\nwith dermedge.open_model(sys.argv[1]) as model:\n"
        "    print(json.dumps(model.predict(sys.argv[2]).probabilities))"
    )
    again = json.loads(good(run_with("litert", program, file, photo)))
    assert again == answer


def test_litert_says_what_a_checkpoint_needs(weights: Path, fp32_build: Path) -> None:
    done = command_with("litert", "predict", fp32_build / "self_test_0.png", "--with", weights)
    assert done.returncode == 2 and "Traceback" not in done.stderr and "pip install" in done.stderr


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("drawn_once")


@pytest.fixture(autouse=True)
def cache(drawn: Path, monkeypatch) -> Path:
    """The embedded sample is drawn once for the module."""
    monkeypatch.setenv("DERMEDGE_CACHE", str(drawn))
    return drawn


@pytest.fixture(scope="module")
def small(tmp_path_factory, sample: Path) -> list[str]:
    """The flags that name a network of four layers, which measures its 8 bits as any other."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 16, 3, 2), nn.ReLU(), nn.Conv2d(16, 32, 3, 2), nn.ReLU(), nn.Conv2d(32, 16, 1)]
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, len(PAD_UFES_20)))
    path = tmp_path_factory.mktemp("small") / "small.pt2"
    held = wrap(network, PAD_UFES_20, side=32, mean=(0.5,) * 3, std=(0.2,) * 3, name="small", untrained=True)
    save(held, path)
    return ["--checkpoint", str(path), "--data", str(sample)]


@pytest.mark.slow(reason="six files in a process of their own")
def test_tflite_converts_without_coremltools(small: list[str], tmp_path: Path) -> None:
    recipes = [word for recipe in ("fp32", "fp16", "int8") for word in ("--recipe", recipe)]
    good(command_with("tflite", "to-tflite", *small, *recipes, "--out", tmp_path))
    assert [entry.recipe for entry in artifact.read(tmp_path).files] == ["fp16", "fp32", "int8"]


@pytest.mark.slow(reason="seven packages in a process of their own")
def test_coreml_converts_without_litert(small: list[str], tmp_path: Path) -> None:
    recipes = [word for recipe in ("fp32", "fp16", "int8", "palette4") for word in ("--recipe", recipe)]
    good(command_with("coreml", "to-coreml", *small, *recipes, "--out", tmp_path))
    assert [entry.recipe for entry in artifact.read(tmp_path).files] == ["fp16", "fp32", "int8", "palette4"]
    photo = tmp_path / "self_test_0.png"
    good(command_with("coreml", "predict", photo, "--with", tmp_path / "small-fp32.mlpackage"))


def test_coreai_without_coreai_is_one_line(given: list[str], tmp_path: Path) -> None:
    done = command_with("coreml", "to-coreai", *given, "--out", tmp_path / "out")
    assert done.returncode == 2 and "pip install -e '.[coreai]'" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.slow(reason="asks all five questions in a process of its own")
def test_simulate_asks_every_question(fp32_build: Path, given: list[str], tmp_path: Path) -> None:
    """Parity with its page, mistakes and robustness, without converters."""
    arguments = [fp32_build, *given, "--images", "6"]
    good(command_with("simulate", "parity", *arguments, "--layers", "--out", tmp_path))
    assert (tmp_path / "report.html").is_file()
    good(command_with("simulate", "parity", *arguments, "--simulate"))
    arguments += ["--corruption", "motion", "--severities", "3", "--out", tmp_path]
    good(command_with("simulate", "robustness", *arguments))
