"""`dermedge robustness`: every file sees the same pictures, the page lets nothing foreign in, exit codes."""

from __future__ import annotations

import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from dermedge.commands import robustness
from edge import checkpoint
from edge.build import Build
from edge.data.readers import open_photos
from edge.data.synthetic import write_sample
from edge.errors import InputError
from edge.labels import PAD_UFES_20
from edge.preprocess import PREPROCESS_VERSION
from edge.questions.robustness import measure as robustness_measure
from edge.questions.robustness.corruptions import conditions_of
from edge.questions.robustness.figures import FLOAT
from edge.questions.robustness.section import section
from edge.runtimes import Outputs
from tests.edge._manifests import entry, manifest

HOSTILE = '<script>alert("1")</script>&$x^2$'
SIDE = 32  # pixels
RECIPES = ("fp32", "int8-dynamic", "int8")


class Fake:
    """In place of LiteRT: answers by the mean colour, a little off for 8-bit files, and remembers what it was shown."""

    seen: dict[str, str]

    def __init__(self, path: Path, form: str = "tflite", *, threads: int = 1) -> None:
        self.name = Path(path).name
        self.digest = hashlib.sha256()

    def run(self, images_u8: np.ndarray, answers: np.ndarray | None = None) -> Outputs:
        self.digest.update(images_u8.tobytes())
        Fake.seen[self.name] = self.digest.hexdigest()
        with pytest.raises(ValueError, match="read-only"):
            images_u8[:] = 0
        logits = images_u8.reshape(len(images_u8), -1, 6).mean(axis=1) / (20 if "fp32" in self.name else 21)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return Outputs(odds / odds.sum(axis=1, keepdims=True), None)

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "sample"
    write_sample(folder, seed=5, patients=6)
    return folder


@pytest.fixture
def build(tmp_path, monkeypatch) -> Build:
    """A build folder whose files are fakes; fast, and nothing of torch."""
    monkeypatch.setattr(robustness_measure, "open_file", Fake)
    monkeypatch.delenv("DERMEDGE_PHOTOS", raising=False)
    Fake.seen = {}
    held = checkpoint.Checkpoint(
        model="m", labels=PAD_UFES_20, preprocess=checkpoint.Preprocess(PREPROCESS_VERSION, SIDE), state={}
    )
    names = [*(f"m-{recipe}.tflite" for recipe in RECIPES), "m-int8.mlpackage"]
    opened = Build(tmp_path / "build", manifest(model="m", files=tuple(map(entry, names))), held)
    monkeypatch.setattr("edge.build.open_build", lambda folder, checkpoint: opened)
    return opened


def test_every_file_sees_the_same_pictures(build, sample):
    found = robustness_measure.measure(build, sample, images=3, corruptions=["noise", "hair"], severities=[3])
    assert set(Fake.seen) == {f"m-{recipe}.tflite" for recipe in RECIPES}
    assert set(Fake.seen.values()) == {found.report["data"]["pictures_sha256"]}
    assert [one["name"] for one in found.report["files"]] == [FLOAT, "int8-dynamic", "int8"]
    again = robustness_measure.measure(
        build, sample, images=3, files=["int8"], corruptions=["noise", "hair"], severities=[3]
    )
    assert again.report["data"]["pictures_sha256"] == found.report["data"]["pictures_sha256"]
    assert again.report["files"][1] == found.report["files"][2]
    other = robustness_measure.measure(build, sample, images=3, corruptions=["noise"], severities=[3], seed=1)
    assert other.report["data"]["pictures_sha256"] != found.report["data"]["pictures_sha256"]


def test_the_command_writes_a_page_and_strict_json(build, sample, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = [str(build.folder), "--data", str(sample), "--images", "4", "--out", str(out)]
    assert robustness.main([*arguments, "--corruption", "jpeg", "--corruption", "pen", "--severities", "1", "5"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "4 synthetic images" in said and "each also bad in 4 ways" in said and "int8-dynamic gives another" in said
    report = json.loads((out / "robustness.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert report["schema"] == "dermedge/robustness/1"
    assert [one["values"] for one in report["corruptions"]] == [[60, 8], [30, 330]]
    for one in report["files"]:
        assert [(c["corruption"], c["severity"]) for c in one["conditions"]] == [
            ("clean", 0), ("jpeg", 1), ("jpeg", 5), ("pen", 1), ("pen", 5)
        ]  # fmt: skip
    text = (out / "report.html").read_text()
    assert "Synthetic data." in text and "not a medical device" in text
    assert text.count("<svg") == 4 * 2 and text.count("<img") == 2 * 3
    assert all(one["sentence"] in text for one in report["files"][1:])


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_page_lets_nothing_foreign_in(build, sample):
    found = robustness_measure.measure(build, sample, images=3, corruptions=["noise"], severities=[1])
    report = found.report
    report["model"] = report["data"]["name"] = report["data"]["note"] = report["data"]["shown"] = HOSTILE
    for one in report["files"]:
        one["name"] = one["file"] = one["sentence"] = one["detail"] = HOSTILE
    text = section(report, found.pictures)
    tags = Page(text).tags
    assert "script" not in {tag for tag, _ in tags} and HOSTILE not in text
    addresses = [value for _, attrs in tags for key, value in attrs.items() if key in {"src", "href", "xlink:href"}]
    assert addresses and not [a for a in addresses if not re.match("data:image/jpeg;base64,|#", a or "")]
    assert "@import" not in text and "url(http" not in text


def test_all_takes_every_photograph(build, sample, tmp_path):
    arguments = ["--images", "all", "--corruption", "jpeg", "--severities", "1", "--out", str(tmp_path)]
    assert robustness.main([str(build.folder), "--data", str(sample), *arguments]) == 0
    report = json.loads((tmp_path / "robustness.json").read_text())
    assert report["data"]["images"] == len(open_photos(sample))


def test_float_alone_still_has_curves(build, sample):
    found = robustness_measure.measure(build, sample, images=3, files=["fp32"], corruptions=["jpeg"], severities=[2])
    assert [one["name"] for one in found.report["files"]] == [FLOAT]
    assert section(found.report, found.pictures).count("<svg") == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "0"], "--images is at least 1"),
        (["--images", "-3"], "--images is at least 1"),
        (["--seed", "-1"], "--seed is a whole number"),
        (["--file", "int4"], "no file or recipe int4"),
        (["--file", "m-int8.mlpackage"], "runs .tflite files"),
    ],
)
def test_bad_input_is_two(build, sample, capsys, arguments, message):
    assert robustness.main([str(build.folder), "--data", str(sample), *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--corruption", "fog"], ["--severities", "6"]])
def test_wrong_flags_are_two(build, arguments):
    with pytest.raises(SystemExit) as stop:
        robustness.main([str(build.folder), *arguments])
    assert stop.value.code == 2


def test_no_build_folder_is_two(tmp_path, capsys):
    assert robustness.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_unreadable_photographs(build, sample, tmp_path, messages):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(sample, copy)
    photos = open_photos(copy)
    photos.photos[0].path.write_bytes(b"no picture")
    runs = {FLOAT: Fake(Path("fp32")).run}
    with pytest.raises(InputError, match="`skip_unreadable`"):
        robustness_measure.answer(photos, conditions_of(["jpeg"], [1]), runs, SIDE)
    kept, answers, shown, _ = robustness_measure.answer(
        photos, conditions_of(["jpeg"], [1]), runs, SIDE, skip_unreadable=True
    )
    assert len(kept) == len(photos) - 1 == len(answers[FLOAT]) and shown.shape == (2, SIDE, SIDE, 3)
    assert "cannot be read" in kept.notes[-1] and any("skipped" in line for line in messages)
