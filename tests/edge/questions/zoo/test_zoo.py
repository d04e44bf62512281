"""The zoo: what is planned, what is not made twice, and that its page says what its JSON holds."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dermedge.commands.zoo import Converter, main
from edge import artifact
from edge.errors import InputError
from edge.files import write_json
from edge.manifest import FileEntry
from edge.questions.zoo.document import markdown
from edge.questions.zoo.make import TRIED, identity_of, make_missing, tried_in
from edge.questions.zoo.measure import measure
from edge.questions.zoo.plan import FORMATS, RECIPES, Job, checkpoint_for, jobs
from edge.questions.zoo.plot import pareto, write
from edge.questions.zoo.rows import rows
from edge.questions.zoo.tables import DRAWN, judged_on
from edge.recipes import COREML, TFLITE
from tests.edge._manifests import entry, manifest

SIZES = {"mobilenetv2": 2_000_000, "mnasnet": 3_000_000, "hierattn_m": 7_000_000}


def planned(models: list[str], recipes: list[str], *, large: bool = False) -> dict[tuple[str, str], tuple[str, ...]]:
    found = jobs(models, recipes, parameters=SIZES, limit=6e6, large=large, checkpoints=None)
    return {(job.model, job.format): job.recipes for job in found}


def test_formats_are_the_converters():
    usual = tuple(name for name in TFLITE if name != "int8-full")  # which most networks have not
    assert {"tflite": usual, "coreml": tuple(COREML)} == FORMATS


def test_the_yardstick_comes_along():
    assert planned(["mnasnet"], ["int8"]) == {
        ("mobilenetv2", "tflite"): ("fp32",),
        ("mnasnet", "tflite"): ("int8",),
        ("mnasnet", "coreml"): ("int8",),
    }
    assert planned(["mobilenetv2"], ["int8"])["mobilenetv2", "tflite"] == ("fp32", "int8")


def test_large_models_only_when_asked_and_only_in_float():
    recipes = list(RECIPES)
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


def never(job: Job, recipes: Sequence[str], folder: Path) -> None:
    raise AssertionError("nothing is to be converted")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"models": ["mnasnet", "alexnet"]}, "unknown model 'alexnet'"),
        ({"recipes": ["fp32", "int4"]}, "`recipes`: unknown int4"),
        ({"formats": ["tflite", "onnx"]}, "`formats`: unknown onnx"),
        ({"rounds": 0}, "`rounds` is at least 1"),
        ({"limit": 0}, "`limit` is a number"),
        ({"side": 30}, "`side`"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(wrong, words, tmp_path):
    with pytest.raises(InputError, match=words):
        measure(wrong.pop("models", None), out=tmp_path, convert=never, **wrong)
    assert not list(tmp_path.iterdir())


def test_the_command_says_it_by_its_flags(tmp_path, capsys):
    for flags in (["--rounds", "0"], ["--recipes", "fp32,int4"], ["--limit", "0"]):
        assert main([*flags, "--out", str(tmp_path)]) == 2
        assert flags[0] in capsys.readouterr().err


@dataclass
class Asked:
    """In place of a converter: a manifest, and a memory of what was asked."""

    files: tuple[FileEntry, ...] = ()
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def __call__(self, job: Job, recipes: Sequence[str], folder: Path) -> None:
        assert (folder / TRIED).is_file()  # whose folder this is, also if it is stopped here
        write_json(folder / artifact.MANIFEST, artifact.to_json_value(manifest(files=self.files)))
        self.asked.append((job.format, tuple(recipes)))


def test_a_stopped_run_goes_on(tmp_path):
    """What was tried is not tried again; other weights or another side start over; a foreign folder is left alone."""
    convert = Asked()
    first = [Job("mnasnet", "tflite", ("fp32",), None)]
    both = [Job("mnasnet", "tflite", ("fp32", "int8"), None), Job("mnasnet", "coreml", ("fp32",), None)]
    for planned_jobs in (first, both, both):
        make_missing(planned_jobs, tmp_path, side=64, convert=convert)
    assert convert.asked == [("tflite", ("fp32",)), ("tflite", ("int8",)), ("coreml", ("fp32",))]
    assert tried_in(tmp_path / "mnasnet", identity_of(first[0], 64)) == {"tflite fp32", "tflite int8", "coreml fp32"}
    convert.asked.clear()
    make_missing(both, tmp_path, side=96, convert=convert)
    assert convert.asked == [("tflite", ("fp32", "int8")), ("coreml", ("fp32",))]
    (tmp_path / "shufflenetv2").mkdir()
    (tmp_path / "shufflenetv2" / "thesis.txt").touch()
    with pytest.raises(InputError, match="not made by"):
        make_missing([Job("shufflenetv2", "tflite", ("fp32",), None)], tmp_path, side=64, convert=convert)


def test_a_model_that_lost_a_file_is_made_anew(tmp_path, messages):
    """The table would be of files that are not there, or the run would end with an error that another run repeats."""
    convert = Asked((entry("mnasnet-fp32.tflite"),))
    planned_jobs = [Job("mnasnet", "tflite", ("fp32",), None)]
    make_missing(planned_jobs, tmp_path, side=64, convert=convert)
    assert "mnasnet tflite: fp32, 0 s" in messages  # also where no bar shows
    make_missing(planned_jobs, tmp_path, side=64, convert=convert)
    assert convert.asked == [("tflite", ("fp32",))] * 2
    assert any("mnasnet is made anew" in line for line in messages)


def test_a_converter_that_breaks_ends_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda *a, stdout, **k: stdout.write("error: no room\n") and subprocess.CompletedProcess(a, 2),
    )
    with pytest.raises(InputError, match="error: no room"):
        make_missing(
            [Job("mnasnet", "tflite", ("fp32",), None)], tmp_path, side=64, convert=Converter(side=64, data=None)
        )


def test_the_converter_is_asked_for_what_the_plan_says(tmp_path):
    convert = Converter(side=64, data=Path("photos"))
    random = convert.arguments(Job("mnasnet", "tflite", ("fp32",), None), ["fp32", "int8"], tmp_path)
    assert " ".join(random) == (
        f"--model mnasnet --untrained --side 64 --out {tmp_path} --force --recipe fp32 --recipe int8 --data photos"
    )
    trained = Converter(side=64, data=None).arguments(Job("mnasnet", "tflite", (), Path("m.safetensors")), [], tmp_path)
    assert " ".join(trained) == f"--model mnasnet --checkpoint m.safetensors --out {tmp_path} --force"


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


@pytest.mark.slow(reason="converts two models to two formats")
def test_the_table_is_that_of_the_files(zoo):
    found = json.loads((zoo / "out" / "zoo.json").read_text())
    (model,) = found["models"]
    described = artifact.read(zoo / "out" / "shufflenetv2")
    assert (model["model"], model["trained"], model["side"]) == ("shufflenetv2", False, 32)
    assert model["parameters"] == described.parameters and described.training.untrained.seed == 0
    files = {(one["format"], one["recipe"]): one for one in model["files"]}
    assert files.keys() == {("tflite", "fp32"), ("coreml", "fp32")}
    path = zoo / "out" / "shufflenetv2" / "shufflenetv2-fp32.tflite"
    assert files["tflite", "fp32"]["bytes"] == path.stat().st_size
    assert files["tflite", "fp32"]["ratio"] > 0 and files["coreml", "fp32"]["ratio"] is None
    assert all(one["sqnr_db"] > 90 and not one["warnings"] for one in model["files"])


@pytest.mark.slow(reason="needs the zoo of two models")
def test_the_page_can_be_made_again_from_the_json(zoo):
    page = (zoo / "docs" / "zoo.md").read_text()
    found = json.loads((zoo / "out" / "zoo.json").read_text())
    assert page == markdown(found, "zoo.svg") == (zoo / "out" / "zoo.md").read_text()
    assert found["date"] in page and "--models shufflenetv2" in page and "| shufflenetv2 | random | 32 | 1.26 |" in page
    svg = (zoo / "docs" / "zoo.svg").read_text()
    assert "shufflenetv2" in svg and "MB" in svg
    write(found["models"], zoo / "again.svg")
    assert (zoo / "again.svg").read_text() == svg
    html = (zoo / "out" / "report.html").read_text()
    assert "shufflenetv2" in html and html.count("<svg") == 1 and "1.26" in html


def test_the_page_says_what_was_judged_on():
    """Drawn pictures give other SQNR than photographs: whoever compares two pages has to know."""

    def report(*judged: dict) -> dict:
        return {"models": [{"files": [{"judged_on": on} for on in judged]}]}

    photographs = {"images": 253, "data": "PAD-UFES-20 + ISIC", "synthetic": False}
    drawn = {"images": 24, "data": "synthetic sample", "synthetic": True}
    nothing = {"images": None, "data": None, "synthetic": None}
    assert judged_on(report(photographs, photographs, nothing)) == "Judged on 253 photographs (PAD-UFES-20 + ISIC)."
    assert "24 computer-drawn pictures" in judged_on(report(drawn)) and DRAWN in judged_on(report(photographs, drawn))
    assert judged_on(report(nothing)) == "" == judged_on({"models": [{"files": [{}]}]})


def test_no_time_across_sides(monkeypatch, tmp_path):
    """A ratio of a model at 128 to the yardstick at 64 says nothing of the model."""

    file = entry("x.tflite", recipe="fp32")
    sides = {"mobilenetv2": 64, "hierattn_xs": 128}
    monkeypatch.setattr(artifact, "read", lambda folder: manifest(side=sides[folder.name], files=(file,)))
    planned = [Job(name, "tflite", ("fp32",), None) for name in ("mobilenetv2", "hierattn_xs")]
    times = {name: {"x.tflite": {"ms": 2.0, "ratio": 1.5}} for name in ("mobilenetv2", "hierattn_xs")}
    found = rows(planned, tmp_path, ["mobilenetv2", "hierattn_xs"], times)
    assert [one["files"][0]["ratio"] for one in found] == [1.5, None]
