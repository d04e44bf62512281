"""`dermedge decide` from photographs to a page, and what predict and manifests make of its thresholds."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from convert._facts import with_decision
from dermedge.commands import decide, predict
from edge import artifact, checkpoint, thresholds
from edge.data import selection
from edge.data.readers import open_photos
from edge.files import write_json
from edge.labels import Label
from edge.models import create_model
from edge.preprocess import PREPROCESS_VERSION
from edge.questions.decision import choose, tables
from edge.questions.decision import section as sections
from edge.questions.decision.section import MEANINGS, section
from edge.questions.decision.thresholds import measure_thresholds
from edge.report.pictures import jpeg
from tests.edge._manifests import entry, manifest

SIDE = 32


def part(people: range) -> dict[str, dict[str, list[str]]]:
    images = [f"{('ben', 'mal')[i % 2]}/{i}.png" for i in range(24) if i // 2 in people]
    return {"set": {"patients": [f"person{p}" for p in people], "images": images}}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    held = checkpoint.Checkpoint(
        model="hierattn_xs",
        labels=(Label("ben", "benign", False), Label("mal", "malignant", True)),
        preprocess=checkpoint.Preprocess(PREPROCESS_VERSION, SIDE),
        state=create_model("hierattn_xs", 2).state_dict(),
        trained=part(range(5)),
        held_back=part(range(5, 9)),
        unseen=part(range(9, 12)),
    )
    checkpoint.save(held, tmp_path / "net")
    return tmp_path / "net.safetensors"


@pytest.fixture
def few(monkeypatch) -> None:
    """Let ten photographs do; fewer variations of drawings."""
    monkeypatch.setattr(choose, "fewest_for", lambda share: 10)
    monkeypatch.setattr(choose, "FEWEST_ANSWERS", 2)
    monkeypatch.setattr("edge.questions.decision.pictures.DRAWN_EACH", 2)


def run(weights: Path, data: Path, *more: str) -> int:
    out = str(weights.parent / "page")
    return decide.main(["--checkpoint", str(weights), "--data", str(data), "--out", out, *more])


def test_measured_kept_judged_and_shown(weights, folder_of_photographs, few, capsys):
    data = folder_of_photographs
    assert run(weights, data, "--measure", "--alarm-limit", "0.99") == 0
    said = capsys.readouterr().out
    assert "net.decision.json" in said and "report.html" in said
    section = json.loads(thresholds.beside(weights).read_text())["decision"]
    assert section["measured"]["quality_from"] == {"name": "set", "images": 10, "patients": 5}
    assert section["measured"]["abstain_from"]["patients"] <= 4
    (alarms,) = section["measured"]["false_alarms"]
    assert alarms["images"] == 6 and alarms["low"] <= alarms["share"] <= alarms["high"]

    assert run(weights, data, "--alarm-limit", "0.99") == 0  # judged again with what was kept
    folder = weights.parent / "page"
    report = json.loads((folder / "decision.json").read_text())
    assert report["decision"] == section
    (good,) = report["sets"]
    assert sum(good["outcomes"].values()) == 6 == good["images"]
    text = (folder / "report.html").read_text()
    assert "http:" not in text.replace("http://www.w3.org", "") and "https:" not in text and "<script" not in text
    assert "not a medical device" in text
    assert text.count("data:image/jpeg") == len(report["alarms"])

    share = {"value": 0.875, "low": 0.5, "high": 0.99}
    own = dict.fromkeys(("coverage", "risk", "sensitivity"), share) | {"specificity": None}
    case = {"answered": "all", "images": 7, "patients": 6, "own": own, "of_nothing_answered": own}
    assert "With answers" not in text  # of a network that takes none
    text = sections.section(report | {"by_answers": [case]}, {})
    assert "With answers beside the picture" in text and text.count("87.5% [50.0, 99.0]") == 6
    assert len(tables.tables(report | {"by_answers": [case]})) == 1 + len(tables.tables(report))

    photo = str(data / "ben" / "0.png")
    capsys.readouterr()
    assert predict.main([photo, "--with", str(weights), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)[0]["decision"]
    assert found["outcome"] in {"class", "uncertain", "retake"} and len(found["measurements"]) == 9

    held = checkpoint.load(weights)
    source = SimpleNamespace(checkpoint=held, path=weights)
    described = with_decision(manifest(), source)
    assert described.decision == section
    assert described.output.abstain_threshold == section["abstain_threshold"]


def test_predict_says_retake_and_names_no_class(weights, folder_of_photographs, few, capsys):
    assert run(weights, folder_of_photographs, "--measure", "--alarm-limit", "0.99") == 0
    kept = thresholds.beside(weights)
    stored = json.loads(kept.read_text())
    photo = str(folder_of_photographs / "ben" / "0.png")
    for limits, threshold, word in ((255, 0, "retake too dark"), (0, 1, "uncertain not sure"), (0, 0, "class ")):
        for name in stored["decision"]["quality"]:
            most = {"clipped": 1000, "busy": 9999, "green": 1000}
            stored["decision"]["quality"][name] = most.get(name, 0)
        stored["decision"]["quality"]["light"] = limits
        stored["decision"]["abstain_threshold"] = threshold
        kept.write_text(json.dumps(stored))
        capsys.readouterr()
        assert predict.main([photo, "--with", str(weights)]) == 0
        said = capsys.readouterr().out
        assert word in said and ("malignant" in said) == (limits == 0)


def test_predict_without_thresholds_is_as_before(weights, folder_of_photographs, capsys):
    photo = str(folder_of_photographs / "ben" / "0.png")
    assert predict.main([photo, "--with", str(weights), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["decision"] is None
    assert predict.main([photo, "--with", str(weights)]) == 0
    assert "retake" not in capsys.readouterr().out
    source = SimpleNamespace(checkpoint=checkpoint.load(weights), path=weights)
    assert with_decision(manifest(), source).decision is None


def test_too_many_false_alarms_fail(weights, folder_of_photographs, few, capsys):
    """A gate that sends every photograph back detects everything and serves nobody."""
    assert run(weights, folder_of_photographs, "--measure", "--alarm-limit", "0.99") == 0
    kept = thresholds.beside(weights)
    stored = json.loads(kept.read_text())
    stored["decision"]["quality"]["light"] = 255
    kept.write_text(json.dumps(stored))
    assert run(weights, folder_of_photographs) == 1
    assert "more than 5.0% sent back: set" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        ([], "add --measure"),
        (["--coverage", "0.8"], "they go with --measure"),
        (["--measure"], "at least 200 photographs of training patients, got 10"),
        (["--measure", "--alarm-share", "0.7"], "between 0 and 0.5"),
        (["--measure", "--alarm-limit", "7"], "between 0 and 1"),
    ],
)
def test_what_cannot_be_done_is_said(weights, folder_of_photographs, flags, word, capsys):
    assert run(weights, folder_of_photographs, *flags) == 2
    assert word in capsys.readouterr().err
    assert not thresholds.beside(weights).exists()


def test_thresholds_are_not_measured_on_drawings(weights, tmp_path, few, monkeypatch, capsys):
    """Limits of computer-drawn skin would send real photographs back, or none."""
    monkeypatch.delenv("DERMEDGE_PHOTOS", raising=False)
    monkeypatch.setattr(selection, "SYNTHETIC_PATIENTS", 6)
    names = [photo.image_id for photo in open_photos(selection.synthetic_sample()).photos]
    listed = {"synthetic": {"patients": [], "images": names}}
    checkpoint.save(replace(checkpoint.load(weights), trained=listed, held_back=listed), tmp_path / "net")
    assert selection.role_sets(checkpoint.load(weights), "trained", None)  # there are some to be refused
    assert decide.main(["--checkpoint", str(weights), "--measure", "--out", str(tmp_path)]) == 2
    assert "thresholds are measured on real ones" in capsys.readouterr().err
    assert not thresholds.beside(weights).exists()


def test_foreign_text_on_the_page_is_text(weights, folder_of_photographs, few):
    assert run(weights, folder_of_photographs, "--measure", "--alarm-limit", "0.99") == 0
    report = json.loads((weights.parent / "page" / "decision.json").read_text())
    evil = "<script>alert(1)</script>"
    report["sets"][0]["name"] = report["photographs"] = report["worse"][0]["photographs"] = evil
    numbers = dict.fromkeys(MEANINGS, 1)
    report["alarms"] = [{"image": evil, "set": evil, "reason": evil, "failed": ["fine"], "measurements": numbers}]
    text = section(report, {evil: jpeg(np.zeros((8, 8, 3), np.uint8))})
    assert "<script" not in text and "&lt;script&gt;" in text and "data:image/jpeg" in text
    assert "None." in section(report | {"alarms": []}, {})


@pytest.mark.slow(reason="hundreds of photographs through the shipped network")
@pytest.mark.photos
@pytest.mark.skipif("DERMEDGE_PHOTOS" not in os.environ, reason="DERMEDGE_PHOTOS names no folder of real photographs")
def test_the_shipped_thresholds_can_be_measured_again():
    """Limits that nobody can reproduce are numbers from nowhere."""
    path = checkpoint.shipped("hierattn_xs")
    held = checkpoint.load(path)
    kept = thresholds.load(thresholds.beside(path), checkpoint_sha256=held.sha256, side=held.preprocess.side)
    found = measure_thresholds(held, None)
    assert found["quality"] == kept["quality"]
    assert found["abstain_threshold"] == pytest.approx(
        kept["abstain_threshold"], abs=2e-4
    )  # float32 of another machine
    assert found["measured"]["quality_from"] == kept["measured"]["quality_from"]
    assert found["measured"]["abstain_from"] == kept["measured"]["abstain_from"]


def test_a_folder_of_another_checkpoint_keeps_its_report(weights, folder_of_photographs, few, capsys):
    """Its sections tell of other files; they would be gone."""
    assert run(weights, folder_of_photographs, "--measure", "--alarm-limit", "0.99") == 0
    folder = weights.parent / "page"
    before = (folder / "report.html").read_bytes()
    write_json(folder / artifact.MANIFEST, artifact.to_json_value(manifest()))
    assert run(weights, folder_of_photographs, "--alarm-limit", "0.99") == 2
    assert "another checkpoint" in " ".join(capsys.readouterr().err.split())
    assert (folder / "report.html").read_bytes() == before


def test_a_folder_is_no_file_to_predict_with(tmp_path, capsys):
    described = manifest(files=(entry("m-fp32.tflite"),))
    write_json(tmp_path / artifact.MANIFEST, artifact.to_json_value(described))
    for given in (tmp_path, tmp_path / artifact.MANIFEST):
        assert predict.main(["x.jpg", "--with", str(given)]) == 2
        assert "name one of them: m-fp32.tflite" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("flags", "there", "gone"),
    [
        ((False, True), ["Called benign"], ["unknown"]),
        ((None, True), ["left out"], ["Called benign"]),
        ((None, None), ["left out"], ["Called benign"]),
    ],
)
def test_malignancy_that_is_unknown_is_said(weights, folder_of_photographs, few, flags, there, gone, tmp_path, capsys):
    """Neither the page nor `predict` calls a lesion benign because nobody said what it is."""
    held = checkpoint.load(weights)
    labels = tuple(replace(label, malignant=flag) for label, flag in zip(held.labels, flags, strict=True))
    checkpoint.save(replace(held, labels=labels), tmp_path / "own" / "net")
    own = tmp_path / "own" / "net.safetensors"
    assert run(own, folder_of_photographs, "--measure", "--alarm-limit", "0.99") == 0
    text = (own.parent / "page" / "report.html").read_text()
    assert all(words in text for words in there) and not any(words in text for words in gone)
    thresholds.beside(own).unlink()
    capsys.readouterr()
    photo = str(folder_of_photographs / "ben" / "0.png")
    assert predict.main([photo, "--with", str(own)]) == 0
    assert capsys.readouterr().out.count("(malignancy unknown)") == flags.count(None)
    assert predict.main([photo, "--with", str(own), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["malignant"] == dict(zip(("ben", "mal"), flags, strict=True))
