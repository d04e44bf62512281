"""The zoo: what is planned, what is not made twice, and that its page says what its JSON holds."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from dermedge.commands.zoo import main
from edge import artifact
from edge.errors import InputError
from edge.questions.zoo import make, report
from edge.questions.zoo.make import identity_of, made, tried_in
from edge.questions.zoo.plan import FORMATS, Job, checkpoint_for, formats_of, jobs, models_of, recipes_of
from edge.questions.zoo.plot import pareto, write
from edge.questions.zoo.report import markdown
from edge.recipes import COREML, TFLITE

SIZES = {"mobilenetv2": 2_000_000, "mnasnet": 3_000_000, "hierattn_m": 7_000_000}


def planned(models: list[str], recipes: list[str], *, large: bool = False) -> dict[tuple[str, str], tuple[str, ...]]:
    found = jobs(models, recipes, parameters=SIZES, limit=6e6, large=large, checkpoints=None)
    return {(job.model, job.format): job.recipes for job in found}


def test_formats_are_the_converters():
    assert FORMATS["tflite"][1] == tuple(TFLITE) and FORMATS["coreml"][1] == tuple(COREML)


def test_the_yardstick_comes_along():
    assert planned(["mnasnet"], ["int8"]) == {
        ("mobilenetv2", "tflite"): ("fp32",),
        ("mnasnet", "tflite"): ("int8",),
        ("mnasnet", "coreml"): ("int8",),
    }
    assert planned(["mobilenetv2"], ["int8"])["mobilenetv2", "tflite"] == ("fp32", "int8")


def test_large_models_only_when_asked_and_only_in_float():
    recipes = recipes_of(None)
    assert not any(model == "hierattn_m" for model, _ in planned(["hierattn_m"], recipes))
    found = planned(["hierattn_m"], recipes, large=True)
    assert found["hierattn_m", "tflite"] == found["hierattn_m", "coreml"] == ("fp32", "fp16")


def test_checkpoints_are_found_by_name(tmp_path):
    assert checkpoint_for("mnasnet", tmp_path) is None
    assert checkpoint_for("hierattn_xs", tmp_path).parent.name == "weights"  # the shipped one
    for place in ("mnasnet/checkpoint.safetensors", "mnasnet.safetensors"):  # the second goes first
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).touch()
        assert checkpoint_for("mnasnet", tmp_path) == tmp_path / place


def test_a_format_alone():
    found = jobs(["mobilenetv2"], ["fp32"], ["coreml"], parameters=SIZES, limit=6e6, large=False, checkpoints=None)
    assert {(job.format, job.recipes) for job in found} == {("tflite", ("fp32",)), ("coreml", ("fp32",))}  # yardstick
    with pytest.raises(InputError, match="onnx"):
        formats_of("tflite,onnx")


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="unknown model 'alexnet'"):
        models_of("mnasnet,alexnet")
    with pytest.raises(InputError, match="unknown int4"):
        recipes_of("fp32,int4")
    assert main(["--rounds", "0"]) == 2


def test_a_stopped_run_goes_on(tmp_path, monkeypatch):
    """What was tried is not tried again; other weights or another side start over; a foreign folder is left alone."""
    asked = []

    def convert(job: Job, recipes: list[str], folder: Path, **_: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / artifact.MANIFEST).touch()
        asked.append((job.format, tuple(recipes)))

    monkeypatch.setattr(make, "convert", convert)
    monkeypatch.setattr(artifact, "read", lambda folder: {})
    monkeypatch.setattr(artifact, "verify", lambda folder, manifest: None)
    first = [Job("mnasnet", "tflite", ("fp32",), None)]
    both = [Job("mnasnet", "tflite", ("fp32", "int8"), None), Job("mnasnet", "coreml", ("fp32",), None)]
    made(first, tmp_path, side=64, data=None)
    made(both, tmp_path, side=64, data=None)
    made(both, tmp_path, side=64, data=None)
    assert asked == [("tflite", ("fp32",)), ("tflite", ("int8",)), ("coreml", ("fp32",))]
    assert tried_in(tmp_path / "mnasnet", identity_of(first[0], 64)) == {"tflite fp32", "tflite int8", "coreml fp32"}
    asked.clear()
    made(both, tmp_path, side=96, data=None)
    assert asked == [("tflite", ("fp32", "int8")), ("coreml", ("fp32",))]
    (tmp_path / "shufflenetv2").mkdir()
    (tmp_path / "shufflenetv2" / "thesis.txt").touch()
    with pytest.raises(InputError, match="not made by"):
        made([Job("shufflenetv2", "tflite", ("fp32",), None)], tmp_path, side=64, data=None)


def test_a_model_that_lost_a_file_is_made_anew(tmp_path, monkeypatch, capsys):
    """The table would be of files that are not there, or the run would end with an error that another run repeats."""
    asked = []
    manifest = {"files": [{"file": "mnasnet-fp32.tflite", "bytes": 4, "sha256": ""}]}

    def convert(job: Job, recipes: list[str], folder: Path, **_: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / artifact.MANIFEST).touch()
        asked.append(tuple(recipes))

    monkeypatch.setattr(make, "convert", convert)
    monkeypatch.setattr(artifact, "read", lambda folder: manifest)
    jobs = [Job("mnasnet", "tflite", ("fp32",), None)]
    made(jobs, tmp_path, side=64, data=None)
    assert "mnasnet tflite: fp32, 0 s" in capsys.readouterr().out  # also where no bar shows
    made(jobs, tmp_path, side=64, data=None)
    assert asked == [("fp32",), ("fp32",)]
    assert "mnasnet is made anew" in " ".join(capsys.readouterr().out.split())


def test_a_converter_that_breaks_ends_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda *a, stdout, **k: stdout.write("error: no room\n") and subprocess.CompletedProcess(a, 2),
    )
    with pytest.raises(InputError, match="error: no room"):
        made([Job("mnasnet", "tflite", ("fp32",), None)], tmp_path, side=64, data=None)


def test_the_front_is_what_nobody_beats():
    found = [("slow", 3.0, 1.0), ("best", 1.0, 2.0), ("beaten", 2.0, 2.5), ("fast", 0.5, 4.0)]
    assert [name for name, *_ in pareto(found, "lower")] == ["fast", "best", "slow"]
    assert [name for name, *_ in pareto(found, "upper")] == ["fast"]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory) -> Path:
    """One model, one recipe and the yardstick, as the command makes them."""
    home = tmp_path_factory.mktemp("zoo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERMEDGE_CACHE", str(home / "cache"))
        patch.delenv("DERMEDGE_PHOTOS", raising=False)
        arguments = ["--models", "shufflenetv2", "--recipes", "fp32", "--side", "32", "--rounds", "3"]
        assert main([*arguments, "--out", str(home / "out"), "--docs", str(home / "docs")]) == 0
    return home


@pytest.mark.slow
def test_the_table_is_that_of_the_files(zoo):
    found = json.loads((zoo / "out" / "zoo.json").read_text())
    (model,) = found["models"]
    manifest = artifact.read(zoo / "out" / "shufflenetv2")
    assert (model["model"], model["trained"], model["side"]) == ("shufflenetv2", False, 32)
    assert model["parameters"] == manifest["parameters"] and manifest["training"]["untrained"]["seed"] == 0
    files = {(one["format"], one["recipe"]): one for one in model["files"]}
    assert files.keys() == {("tflite", "fp32"), ("coreml", "fp32")}
    path = zoo / "out" / "shufflenetv2" / "shufflenetv2-fp32.tflite"
    assert files["tflite", "fp32"]["bytes"] == path.stat().st_size
    assert files["tflite", "fp32"]["ratio"] > 0 and files["coreml", "fp32"]["ratio"] is None
    assert all(one["sqnr_db"] > 90 and not one["warnings"] for one in model["files"])


@pytest.mark.slow
def test_the_page_can_be_made_again_from_the_json(zoo):
    page = (zoo / "docs" / "zoo.md").read_text()
    found = json.loads((zoo / "out" / "zoo.json").read_text())
    assert page == markdown(found, "zoo.svg") == (zoo / "out" / "zoo.md").read_text()
    assert found["date"] in page and "--models shufflenetv2" in page and "| shufflenetv2 | random | 32 | 1.26 |" in page
    svg = (zoo / "docs" / "zoo.svg").read_text()
    assert "shufflenetv2" in svg and "MB" in svg
    write(found["models"], zoo / "again.svg")
    assert (zoo / "again.svg").read_text() == svg


def test_no_time_across_sides(monkeypatch, tmp_path):
    """A ratio of a model at 128 to the yardstick at 64 says nothing of the model."""

    def manifest(folder):
        side = 64 if folder.name == "mobilenetv2" else 128
        entry = {"file": "x.tflite", "format": "tflite", "recipe": "fp32", "bytes": 1, "parity": None}
        return {
            "family": "f", "checkpoint_sha256": "0", "input": {"side": side}, "parameters": 1, "macs": 1,
            "files": [entry],
        }  # fmt: skip

    monkeypatch.setattr(report.artifact, "read", manifest)
    planned = [Job(name, "tflite", ("fp32",), None) for name in ("mobilenetv2", "hierattn_xs")]
    times = {name: {"x.tflite": {"ms": 2.0, "ratio": 1.5}} for name in ("mobilenetv2", "hierattn_xs")}
    found = report.rows(planned, tmp_path, ["mobilenetv2", "hierattn_xs"], times)
    assert [one["files"][0]["ratio"] for one in found] == [1.5, None]
