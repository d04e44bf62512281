"""`dermedge diagnose` finds what was planted; `dermedge mistakes` writes its page; what is no answer is bad input."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import diagnose as benchmark
from convert import to_tflite
from dermedge.commands import diagnose as command
from dermedge.commands import mistakes, parity, predict
from dermedge.commands._mistakes_docs import markdown
from dermedge.console import screen
from edge.checkpoint import load, shipped
from edge.data.synthetic import write_sample
from edge.errors import InputError
from edge.questions.mistakes import diagnosis, pairs
from edge.questions.mistakes.catalogue import MISTAKES
from edge.questions.mistakes.cost import Answers, compare
from edge.questions.mistakes.diagnosis import BY_CAMERA, NOISE, RIGHT, TOLERANCE, Diagnosis, diagnose, paths, softmax
from edge.questions.mistakes.model import Model, target_of
from edge.questions.mistakes.phone_output import PhoneOutput, read_output
from edge.questions.mistakes.scene import Scene, Target, photographed, remarks
from edge.questions.mistakes.section import SCHEMA, section
from edge.questions.mistakes.words import as_json, sentences
from edge.report.pictures import png
from edge.report.strict import plain
from edge.runtimes.reference import Reference
from tests.edge._manifests import manifest

CODES = ("ACK", "BCC", "MEL", "NEV", "SCC", "SEK")


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("mistakes")


@pytest.fixture(scope="module", autouse=True)
def own_cache(home: Path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERMEDGE_CACHE", str(home / "cache"))
        patch.delenv("DERMEDGE_PHOTOS", raising=False)
        yield


@pytest.fixture(scope="module")
def sample(home: Path) -> Path:
    return write_sample(home / "sample", seed=5, patients=6)


@pytest.fixture(scope="module")
def photo(sample: Path) -> Path:
    """Not square, and turned by EXIF."""
    for path in sorted(sample.rglob("*.jpg")):
        upright, orientation = photographed(path, Target(8))
        if orientation == 8 and upright.upright.shape[0] != upright.upright.shape[1]:
            return path
    raise AssertionError("the sample has no such photograph")


@pytest.fixture(scope="module")
def scene(photo: Path) -> Scene:
    return photographed(photo, Target(128, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))[0]


@pytest.fixture(scope="module")
def model() -> Model:
    return Model("float", "torch", Reference(load(shipped("hierattn_xs"))))


@pytest.fixture(scope="module")
def hypotheses(scene: Scene, model: Model):
    return paths([scene], [model])


@pytest.fixture
def known(hypotheses, monkeypatch):
    """The wrong paths are taken once for all tests of this file."""
    monkeypatch.setattr(diagnosis, "paths", lambda scenes, models: list(hypotheses))
    return {one.code: one.answers["float"][0] for one in hypotheses}


def asked(scene: Scene, values: np.ndarray, *, logits: bool = False, temperature: float = 0.5) -> Diagnosis:
    return diagnose([scene], [PhoneOutput(values, logits)], [], temperature=temperature)


@pytest.mark.parametrize("one", MISTAKES, ids=lambda one: one.code)
def test_every_planted_mistake_is_found(one, scene, model, known) -> None:
    answer = model.ask(one.wrong(scene)) + np.array([1, -1, 0, 0, 0, 0]) * 2e-5  # another processor
    found = asked(scene, answer)
    assert (found.verdict, found.explained_by[0].hypothesis.code) == ("mistake", one.code)
    said = sentences(found, CODES)
    assert said[0].startswith(f"mistake: {one.name} ({one.code})")
    assert any(one.mend in sentence for sentence in said)


@pytest.mark.parametrize("noise", [0, 1e-4, 0.003])
def test_nothing_wrong(noise, scene, known) -> None:
    found = asked(scene, known[RIGHT] + noise * np.array([1, -1, 1, -1, 1, -1]))
    assert found.verdict == "right"
    assert found.explained_by[0].hypothesis.code in (RIGHT, BY_CAMERA)
    assert sentences(found, CODES)[0].startswith("right")


def test_none_of_them(scene, known) -> None:
    found = asked(scene, np.array([0, 0, 1.0, 0, 0, 0]))
    assert found.verdict == "none" and not found.explained_by
    assert found.findings[0].largest_delta_p > TOLERANCE
    assert sentences(found, CODES)[0].startswith("none")


def test_between_two_mistakes_it_is_ambiguous(scene, known) -> None:
    near = (known["bilinear"] + known["nearest"]) / 2
    assert np.abs(near - known["nearest"]).max() < TOLERANCE  # else the photograph is no test
    found = asked(scene, near)
    assert found.verdict == "ambiguous"
    assert {"bilinear", "nearest"} <= {one.hypothesis.code for one in found.explained_by}
    assert "more photographs" in " ".join(sentences(found, CODES))


def test_a_square_photograph_does_not_exclude_stretching(scene, model) -> None:
    """What answers alike is named beside the verdict."""
    begun = Scene(np.ascontiguousarray(scene.upright[:300, :300]), scene.target)
    found = diagnose([begun], [PhoneOutput(model.ask(begun.right), False)], [model], temperature=0.5)
    assert found.verdict == "right"
    assert {"stretch", "letterbox"} <= {one.hypothesis.code for one in found.explained_by}
    assert "stretch" in " ".join(sentences(found, CODES))


@pytest.mark.parametrize(("temperature", "reading"), [(1.0, "logits"), (0.5, "logits"), (0.5, "logits / temperature")])
def test_logits(temperature, reading, scene, known) -> None:
    logits = np.log(known[RIGHT]) * (temperature if "/" in reading else 1) + 3
    found = asked(scene, logits, logits=True, temperature=temperature)
    first = found.explained_by[0]
    assert (found.verdict, first.hypothesis.code, first.reading) == ("mistake", RIGHT, reading)
    assert "softmax is missing" in sentences(found, CODES)[0]


def test_logits_of_a_wrong_path(scene, known) -> None:
    found = asked(scene, np.log(known["bgr"]) - 1, logits=True)
    assert (found.verdict, found.explained_by[0].hypothesis.code) == ("mistake", "bgr")
    assert "softmax is missing" in " ".join(sentences(found, CODES))


def test_softmax_twice_and_no_temperature(scene, known) -> None:
    found = asked(scene, np.exp(known[RIGHT]) / np.exp(known[RIGHT]).sum())
    assert (found.verdict, found.explained_by[0].hypothesis.code) == ("mistake", "softmax-twice")
    bare = known[RIGHT] ** 0.5  # softmax(logits / T) ** T, scaled, is softmax(logits)
    found = asked(scene, bare / bare.sum())
    assert (found.verdict, found.explained_by[0].hypothesis.code) == ("mistake", "no-temperature")


def test_another_order_of_classes(scene, known) -> None:
    found = asked(scene, known[RIGHT][::-1])
    assert (found.verdict, found.explained_by[0].hypothesis.code) == ("mistake", "class-order")
    best = int(known[RIGHT].argmax())
    assert f"{CODES[best]}'s stands at {CODES[5 - best]}" in " ".join(sentences(found, CODES))
    assert as_json(found, CODES)["paths"][0]["order"] == list(CODES[::-1])


def test_another_order_on_two_photographs(scene, model) -> None:
    scenes = [scene, Scene(np.ascontiguousarray(scene.upright[:, ::-1, ::-1]), scene.target)]
    places = [2, 0, 1, 5, 3, 4]
    outputs = [PhoneOutput(model.ask(one.right)[places], False) for one in scenes]
    found = diagnose(scenes, outputs, [model], temperature=1.0)
    assert found.explained_by[0].hypothesis.order == tuple(places)


def test_which_file_the_app_runs(hypotheses, scene, monkeypatch) -> None:
    shift = 0.01 * np.array([[1, -1, 0, 0, 0, 0]])
    both = [replace(h, answers={"float": h.answers["float"], "int8": h.answers["float"] + shift}) for h in hypotheses]
    monkeypatch.setattr(diagnosis, "paths", lambda scenes, models: list(both))
    found = asked(scene, both[0].answers["int8"][0])
    assert (found.verdict, found.form) == ("right", "int8")
    assert "int8" in " ".join(sentences(found, CODES))
    assert diagnosis.clearly_farther(0) == NOISE
    assert softmax(np.array([0.0, math.log(3)])).tolist() == pytest.approx([0.25, 0.75])


# What apps hand over.


@pytest.mark.parametrize(
    "text",
    [
        "[0.1, 0.2, 0.3, 0.2, 0.1, 0.1]",
        "0.1,0.2,0.3,0.2,0.1,0.1",
        ".1 .2 +.3 2e-1 .1; 0.1",
        '{"SEK": 0.1, "SCC": 0.1, "NEV": 0.2, "MEL": 0.3, "BCC": 0.2, "ACK": 0.1}',
        '{"probabilities": [0.1, 0.2, 0.3, 0.2, 0.1, 0.1], "ms": 12}',
        '[{"photo": "p", "probabilities": {"SEK": 0.1, "SCC": 0.1, "NEV": 0.2, "MEL": 0.3, "BCC": 0.2, "ACK": 0.1}}]',
        '{"probabilities": [[0.1, 0.2, 0.3, 0.2, 0.1, 0.1]]}',
    ],
)
def test_forms_of_an_answer(text, tmp_path) -> None:
    found = read_output(text, CODES)
    assert found.values.tolist() == [0.1, 0.2, 0.3, 0.2, 0.1, 0.1] and not found.logits
    if text[0] in "[{":
        (tmp_path / "a.json").write_text("\ufeff" + text, encoding="utf-8")
        assert read_output(str(tmp_path / "a.json"), CODES).values.tolist() == found.values.tolist()


def test_what_may_be_logits() -> None:
    assert read_output("-1.5,2,3,4,0,0", CODES).logits
    assert read_output('{"logits": [0.1, 0.2, 0.3, 0.2, 0.1, 0.1]}', CODES).logits
    assert not read_output("-0.001,1.001,0,0,0,0", CODES).logits  # what float16 does to a softmax


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[0.1, 0.2", "is not JSON"),
        ("nothing.json", "there is no file"),
        ("", "holds|not JSON|numbers"),
        ("0.5,0.5", "has 2 numbers, the manifest 6 classes"),
        ("[0.5, 0.5, NaN, 0, 0, 0]", "NaN or infinity"),
        ("[1e999, 0, 0, 0, 0, 0]", "NaN or infinity"),
        ("[1" + 400 * "0" + ", 0, 0, 0, 0, 0]", "beyond all floats"),
        ("[0.5, 0.5, 0.5, 0.5, 0.5, 0.5]", "sum to 3; expected probabilities"),
        ("[0, 0, 0, 0, 0, 0]", "sum to 0"),
        ("[10, 20, 30, 20, 10, 10]", "per cent"),
        ("[26, 51, 77, 51, 26, 25]", "bytes of a quantised output"),
        ("[true, false, 0, 0, 0, 0]", "no number"),
        ('["0.5", 0.5, 0, 0, 0, 0]', "no number"),
        ("[null, 1, 0, 0, 0, 0]", "no number"),
        ("[[0.5, 0.5], 0, 0, 0, 0, 0]", "no number"),
        ('{"MEL": 1}', "ACK, BCC, NEV, SCC, SEK missing"),
        ('{"ACK":1,"BCC":0,"MEL":0,"NEV":0,"SCC":0,"SEK":0,"\\u001b[31m":0}', "unknown"),
        ('{"ACK":1,"ACK":0}', "twice"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_what_is_no_answer(text, words, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=words) as raised:
        read_output(text, CODES)
    assert "\x1b" not in str(raised.value)


def test_a_file_may_be_called_like_a_number(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "1.2").write_text("[0, 1, 0, 0, 0, 0]")
    assert read_output("1.2", CODES).values.argmax() == 1


def test_files_that_are_no_answer(tmp_path) -> None:
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00\x01")
    (tmp_path / "huge.json").write_bytes(b" " * (2**20 + 1))
    (tmp_path / "text.json").write_text('"hello"')
    for name, words in (("binary", "no text"), ("huge", "more than"), ("text", "holds str")):
        with pytest.raises(InputError, match=words):
            read_output(str(tmp_path / f"{name}.json"), CODES)


# The commands.


@pytest.fixture(scope="module")
def build(home: Path, sample: Path) -> Path:
    folder = home / "build"
    assert to_tflite.main(["--data", str(sample), "--out", str(folder), "--recipe", "fp32", "--recipe", "int8"]) == 0
    return folder


@pytest.fixture(scope="module")
def pages(build: Path, sample: Path, home: Path) -> Path:
    arguments = [str(build), "--data", str(sample), "--images", "7", "--out", str(home / "pages"), "--docs"]
    assert mistakes.main(arguments) == 0
    return home / "pages"


class Outside(HTMLParser):
    """Everything that a browser would fetch, and every script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag in {"script", "link", "iframe", "object", "embed"}:
            self.found.append(tag)
        for name, value in attrs:
            if name == "style" and "url(" in (value or ""):
                self.found.append(value)
            if name in {"src", "href", "xlink:href"} and not (value or "").startswith(("data:image/png;base64,", "#")):
                self.found.append(f"{tag} {name}={value}")


@pytest.mark.slow(reason="every mistake on every photograph")
def test_the_page(pages: Path) -> None:
    text = (pages / "report.html").read_text("utf-8")
    report = json.loads((pages / "mistakes.json").read_text("utf-8"))
    assert not Outside(text).found
    assert "Synthetic data." in text and "not a medical device" in text
    assert {one["code"] for one in report["mistakes"]} >= {one.code for one in MISTAKES}
    assert report["data"]["images"] == 7
    for one in report["mistakes"]:
        assert one["code"] in text and set(one["forms"]) == {"float", "int8"}
        for found in one["forms"].values():
            assert found["agreement"]["low"] <= found["agreement"]["value"] <= found["agreement"]["high"]
            assert 0 <= found["median_delta_p"] <= found["largest_delta_p"] <= 1
            accuracy = found["balanced_accuracy"]
            assert accuracy["change"]["value"] == pytest.approx(accuracy["after"] - accuracy["before"])
    shares = [one["forms"]["float"]["agreement"]["value"] for one in report["mistakes"]]
    assert shares == sorted(shares)
    assert report["data"]["turned"] > 0
    own = next(one for one in report["mistakes"] if one["code"] == "exif-own")
    assert own["images"] == report["data"]["turned"] == own["forms"]["float"]["changed"]
    lines = markdown(report).splitlines()
    assert len(lines) == 2 + len(report["mistakes"]) and len({line.count(" | ") for line in lines[2:]}) == 1


def by_hand() -> dict:
    """A report of one mistake, without running anything."""
    answers = Answers(np.array([[0.6, 0.4], [0.2, 0.8], [0.9, 0.1]]), np.array([[0.5, 0.5], [0.7, 0.3], [0.9, 0.1]]))
    return {
        "schema": SCHEMA, "dermedge": "0", "notice": "not a medical device", "model": "m", "checkpoint_sha256": "0",
        "preprocess": "area-2", "shown": "s/1", "files": [{"form": "float", "file": "m.tflite"}],
        "data": {
            "name": "set", "images": 4, "patients": 2, "synthetic": False, "note": "", "not_square": 3, "turned": 0,
        },
        "mistakes": [
            {
                "code": "stretch", "name": "stretched", "did": "D.", "mend": "M.", "simulated": "", "images": 3,
                "forms": {"float": plain(compare(answers, np.array([0, 1, -1]), ["a", "b", "b"]))},
            }
        ],
    }  # fmt: skip


def test_what_a_mistake_costs() -> None:
    found = by_hand()["mistakes"][0]["forms"]["float"]
    assert found["agreement"]["value"] == pytest.approx(2 / 3)
    assert (found["images"], found["changed"]) == (3, 2)
    assert (found["largest_delta_p"], found["median_delta_p"]) == pytest.approx((0.5, 0.1))
    accuracy = found["balanced_accuracy"]  # of the two whose diagnosis is known
    assert (accuracy["before"], accuracy["after"], accuracy["change"]["value"]) == (1, 0.5, -0.5)


def test_what_comes_from_outside_is_escaped() -> None:
    bad = "<script>alert(1)</script>"
    report = by_hand()
    report |= {"model": bad, "shown": bad, "data": report["data"] | {"name": bad, "note": bad}}
    text = section(report, {"right": png(np.zeros((4, 4, 3), np.uint8))})
    assert bad not in text and text.count("&lt;script&gt;") >= 4
    assert not Outside(text).found
    assert "stretched, 3 photographs" in text and "stretched, 3 photographs" in markdown(report)


def test_no_diagnoses_no_accuracy() -> None:
    report = by_hand()
    report["mistakes"][0]["forms"]["float"]["balanced_accuracy"] = None
    assert section(report, {"right": png(np.zeros((4, 4, 3), np.uint8))}).count("<svg") == 1
    assert markdown(report)


@pytest.mark.slow(reason="every mistake on every photograph")
def test_figures_for_a_document(pages: Path) -> None:
    assert "<svg" in (pages / "mistakes.svg").read_text("utf-8")
    with Image.open(pages / "mistakes.jpg") as picture:
        assert picture.size[0] > 700


@pytest.mark.slow(reason="converts the shipped network at its own side")
def test_diagnosis_of_the_int8_file_by_command(build: Path, photo: Path, tmp_path: Path, capsys) -> None:
    """From what `predict` says of the photograph, and of one whose colours were swapped before."""
    file = str(build / "hierattn_xs-int8.tflite")
    assert predict.main([str(photo), "--with", file, "--json"]) == 0
    (tmp_path / "right.json").write_text(capsys.readouterr().out)
    upright = photographed(photo, Target(8))[0].upright
    Image.fromarray(upright[:, :, ::-1]).save(tmp_path / "swapped.png")
    assert predict.main([str(tmp_path / "swapped.png"), "--with", file, "--json"]) == 0
    (tmp_path / "bgr.json").write_text(capsys.readouterr().out)
    for name, verdict, code in (("right", "right", RIGHT), ("bgr", "mistake", "bgr")):
        arguments = ["--model", str(build), "--photo", str(photo), "--phone-output", str(tmp_path / f"{name}.json")]
        assert command.main([*arguments, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["verdict"], found["explained_by"][0], found["file"]) == (verdict, code, "int8")
        assert command.main(arguments) == 0
        shown = capsys.readouterr().out
        assert shown.startswith(verdict) and "EXIF orientation 8" in shown
    arguments = ["--model", file, "--photo", str(photo), "--phone-output", str(tmp_path / "right.json"), "--json"]
    assert command.main(arguments) == 0
    assert set(json.loads(capsys.readouterr().out)["paths"][0]["by_file"]) == {"int8"}


@pytest.mark.slow(reason="converts the shipped network at its own side")
def test_how_often_it_is_right(build: Path, sample: Path, capsys) -> None:
    """The benchmark that docs/mistakes.md quotes; drawn photographs, so only that it counts and mostly names."""
    assert benchmark.main([str(build), "--data", str(sample), "--images", "3"]) == 0
    said = capsys.readouterr().out
    assert "1 photograph(s) at a time, 3 times, 25 mistakes each" in said
    assert "3 photograph(s) at a time, 1 times" in said
    assert float(said.split("mistakes: named ")[1].split("%")[0]) > 60


@pytest.mark.slow(reason="converts the shipped network at its own side")
def test_bad_input_is_2(build: Path, photo: Path, tmp_path: Path, capsys) -> None:
    answer = "0.1,0.2,0.3,0.2,0.1,0.1"
    (tmp_path / "empty").mkdir()
    for arguments, words in (
        (["--model", str(tmp_path / "empty"), "--photo", str(photo), "--phone-output", answer], "manifest"),
        (["--model", str(build), "--photo", str(tmp_path / "no.jpg"), "--phone-output", answer], "no.jpg"),
        (["--model", str(build), "--photo", str(photo), "--phone-output", "1,2"], "2 numbers"),
        (
            ["--model", str(build), "--photo", str(photo), "--phone-output", answer, "--phone-output", answer],
            "1 photographs and 2 answers",
        ),
        (
            ["--model", str(build / "self_test.tflite"), "--photo", str(photo), "--phone-output", answer],
            "no .tflite file at",
        ),
    ):
        assert command.main(arguments) == 2
        assert words in capsys.readouterr().err
    assert mistakes.main([str(tmp_path / "empty")]) == 2
    assert mistakes.main([str(build), "--images", "0"]) == 2
    assert "--images is at least 1" in capsys.readouterr().err


@pytest.mark.slow(reason="converts the shipped network at its own side")
def test_a_photograph_that_breaks(build: Path, sample: Path, tmp_path: Path, capsys) -> None:
    import shutil

    copy = tmp_path / "sample"
    shutil.copytree(sample, copy)
    for path in sorted(copy.rglob("*.jpg"))[:1]:
        path.write_bytes(path.read_bytes()[:500])
    screen()
    broken = sorted(copy.rglob("*.jpg"))[0].name
    assert mistakes.main([str(build), "--data", str(copy), "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert broken in said and "--skip-unreadable" in said


def test_mean_and_std_come_from_the_description(tmp_path: Path) -> None:
    digest = load(shipped("hierattn_xs")).sha256
    described = manifest(model="hierattn_xs", side=128, checkpoint_sha256=digest)
    assert target_of(described) == Target(128, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    other = replace(described, checkpoint_sha256="0" * 64)
    assert target_of(other) == Target(128)
    with pytest.raises(InputError, match="another checkpoint"):
        target_of(other, shipped("hierattn_xs"))
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(InputError, match="describes no checkpoint"):
        target_of(described, tmp_path / "x.safetensors")


def test_the_places_of_pairs_are_those_of_the_table() -> None:
    assert set(pairs.PLACES) == {mistake.code for mistake in MISTAKES}


PLANTED = ["exif-6+bgr", "exif-3+stretch", "bilinear+unit", "letterbox+bgr", "bgr+symmetric", "vu-swapped+signed-bytes"]


@pytest.fixture(scope="module")
def planted(scene: Scene) -> dict[str, np.ndarray]:
    """The model's input after two mistakes, spelled out here once more."""
    by_code = {mistake.code: mistake for mistake in MISTAKES}
    upright, target = scene.upright, scene.target
    turned = Scene(np.ascontiguousarray(np.rot90(upright)), target)
    over = Scene(np.ascontiguousarray(upright[::-1, ::-1]), target)
    swapped = by_code["vu-swapped"].wrong(scene)
    return {
        "exif-6+bgr": turned.right[:, :, ::-1],
        "exif-3+stretch": by_code["stretch"].wrong(over),
        "bilinear+unit": by_code["bilinear"].wrong(scene) / np.float32(255),
        "letterbox+bgr": by_code["letterbox"].wrong(scene)[:, :, ::-1],
        "bgr+symmetric": scene.right[:, :, ::-1] / np.float32(127.5) - 1,
        "vu-swapped+signed-bytes": np.where(swapped > 127, swapped.astype(np.float32) - 256, swapped),
    }


@pytest.mark.parametrize("code", PLANTED)
def test_a_pair_makes_of_a_photograph_what_both_mistakes_do(code, scene, planted) -> None:
    pair = {pair.code: pair for pair in pairs.pairs_for(scene.target)}[code]
    assert np.allclose(pair.wrong(scene), planted[code], atol=1e-6)


def test_two_mistakes_at_once_are_found(scene, model, known, planted, monkeypatch) -> None:
    few = [pair for pair in pairs.pairs_for(scene.target) if pair.code in {"exif-6+bgr", "letterbox+bgr", "bgr+unit"}]
    monkeypatch.setattr(diagnosis, "pairs_for", lambda target: few)
    for code in ("exif-6+bgr", "letterbox+bgr"):
        answer = PhoneOutput(model.ask(np.ascontiguousarray(planted[code])), False)
        found = diagnose([scene], [answer], [model], temperature=0.5)
        assert (found.verdict, found.explained_by[0].hypothesis.code) == ("mistake", code)
        assert ", and BGR instead of RGB" in sentences(found, CODES)[0]
    twice = PhoneOutput(softmax(known["bgr"]), False)
    found = diagnose([scene], [twice], [model], temperature=0.5)
    assert "bgr+softmax-twice" in [finding.hypothesis.code for finding in found.explained_by]
    alien = diagnose([scene], [PhoneOutput(np.array([0, 0, 1.0, 0, 0, 0]), False)], [model], temperature=0.5)
    assert alien.verdict == "none" and "pairs of those were tried" in " ".join(sentences(alien, CODES))


@pytest.mark.parametrize(
    ("name", "words"),
    [("x.mlpackage", "is no .tflite"), ("x.aimodel", "is no .tflite"), ("x.tflite", "no .tflite file at")],
)
def test_a_file_that_cannot_be_diagnosed_is_named(name, words, photo, tmp_path, capsys) -> None:
    assert command.main(["--model", str(tmp_path / name), "--photo", str(photo), "--phone-output", "1,0"]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("name", ["x.tflite", "x.mlpackage"])
def test_one_file_is_no_build_folder(name, tmp_path, capsys) -> None:
    (tmp_path / "x.tflite").write_bytes(b"\0")
    assert parity.main([str(tmp_path / name)]) == 2
    assert f"give the folder that it lies in: {tmp_path}" in capsys.readouterr().err


@pytest.mark.parametrize(("alpha", "said"), [(255, False), (254, True)])
def test_an_opaque_picture_is_not_called_translucent(alpha, said, tmp_path) -> None:
    pixels = np.full((8, 8, 4), 255, np.uint8)
    pixels[3, 4, 3] = alpha
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert any("translucent" in remark for remark in remarks(tmp_path / "a.png")) == said


@pytest.mark.parametrize("mode", ["L", "I;16", "RGB"])
@pytest.mark.parametrize("said", [True, False])
def test_a_transparent_colour_is_called_translucent(mode, said, tmp_path) -> None:
    level = 0x1234 if mode == "I;16" else 7
    picture = Image.fromarray(np.full((8, 8), level + (not said), np.uint16 if mode == "I;16" else np.uint8))
    if mode == "RGB":
        picture = picture.convert("RGB")
    picture.save(tmp_path / "a.png", transparency=(level,) * 3 if mode == "RGB" else level)
    assert any("translucent" in remark for remark in remarks(tmp_path / "a.png")) == said
