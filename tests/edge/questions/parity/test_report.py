"""The pages: strict JSON, a page that lets nothing foreign in, JUnit that counts right."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from edge.metrics.gates import Observations, judge
from edge.questions.parity import tables
from edge.questions.parity.measure import ParityReport
from edge.questions.parity.report import Entry, build_report
from edge.report.page import render
from edge.report.pictures import jpeg
from edge.report.strict import plain
from edge.report.words import in_words, small
from edge.scheme import Layer, Scheme

HOSTILE = '<script>alert("1")</script>&\x00$x^2$\u202e'
ROOT = Path(__file__).resolve().parents[4]


def refuse_constant(name: str) -> float:
    raise AssertionError(f"not strict JSON: {name}")


@pytest.fixture(scope="module")
def report() -> dict:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    reference = np.full((60, 3), 0.1)
    reference[np.arange(60), labels] = 0.8
    labels[50:] = -1
    seen = Observations(
        image_ids=(HOSTILE, *(f"image {i}" for i in range(1, 60))),
        groups=tuple(f"patient {i // 2}" for i in range(60)),
        domains=(HOSTILE,) * 60,
        labels=labels,
        class_codes=("NEV", "MEL", HOSTILE),
        class_names=("nevus", "melanoma", HOSTILE),
        malignant=(False, True, False),
        reference=reference,
    )
    flipped = reference.copy()
    flipped[0] = flipped[0, ::-1]
    broken = np.full_like(reference, math.nan)
    shaky = reference + rng.uniform(-1e-6, 1e-6, (60, 1)) * np.array([1, -1, 0])
    candidates = [reference, shaky, flipped, broken, flipped]
    recipes = ["fp32", "fp16", "int8", "int8-dynamic", "palette4"]
    entries = [
        Entry(
            f"m-{recipe}{HOSTILE}.tflite", "0" * 64, 1_234_567, "tflite", recipe, HOSTILE, judge(recipe, seen, values)
        )
        for recipe, values in zip(recipes, candidates, strict=True)
    ]
    data = {"name": HOSTILE, "images": 60, "patients": 30, "synthetic": True, "note": HOSTILE}
    return build_report("m" + HOSTILE, "f" * 64, data, entries, seen, candidates)


@pytest.fixture(scope="module")
def folder(report, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("parity") / "new"
    picture = jpeg(np.random.default_rng(1).integers(0, 256, (300, 200, 3), np.uint8))
    ParityReport(report, {HOSTILE: picture, "image 59": picture}).write(target)
    return target


def write(report: dict, folder: Path) -> Path:
    return ParityReport(report).write(folder)


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_json_is_strict_and_says_what_null_is(folder, report):
    found = json.loads((folder / "parity.json").read_text("utf-8"), parse_constant=refuse_constant)
    assert found == report
    assert found["schema"] == "dermedge/parity/1" and found["verdict"] == "fail"
    same = found["files"][0]["statistics"]
    assert same["sqnr_db"]["value"] is None and same["sqnr_db"]["value_is"] == "infinite"
    assert found["files"][3]["statistics"] is None and found["files"][3]["worst"] == []
    assert sum(found["files"][0]["delta_p"]["same_class"]) == 60


def test_worst_images_show_both_answers(report):
    first = report["files"][2]["worst"][0]
    assert first["image"] == HOSTILE and first["label"] == "NEV" and not first["same_class"]
    assert first["before"][0] == {"code": "NEV", "name": "nevus", "malignant": False, "probability": 0.8}
    assert first["after"][0]["code"] == HOSTILE and first["largest_delta_p"] == pytest.approx(0.7)
    assert report["files"][1]["worst"] == []  # nothing moved that one could see


def test_page_lets_nothing_foreign_in(folder):
    text = (folder / "report.html").read_text("utf-8")
    page = Page(text)
    tags = {tag for tag, _ in page.tags}
    assert "script" not in tags and {"table", "svg", "img"} <= tags
    assert not [value for _, attrs in page.tags for key, value in attrs.items() if key.startswith("on")]
    outside = [
        value for _, attrs in page.tags for key, value in attrs.items()
        if key in {"src", "href", "xlink:href"} and not re.match("data:image/jpeg;base64,|#", value or "")
    ]  # fmt: skip
    assert outside == [] and "@import" not in text and "url(http" not in text


def test_page_says_what_it_must(folder, report):
    page = Page((folder / "report.html").read_text("utf-8"))
    words = " ".join(" ".join(page.words).split())
    assert "not a medical device" in words and "Synthetic data." in words
    for verdict in ("pass", "fail", "reported"):
        assert re.search(rf"\d {verdict}", words)
    assert "NaN or infinite on 60 of 60 images" in words and "p = 1.000" in words and "1.23 MB" in words
    assert sum(tag == "section" for tag, _ in page.tags) == 1 + len(report["files"])
    assert sum(tag == "img" for tag, _ in page.tags) == 2  # int8 and palette4 both show the flipped image


def scheme(kinds: tuple[str, str], **point: float) -> Scheme:
    curve = {"macs_static": 0.25, "macs_8bit": 0.75, "sqnr_db": 38.25, "sqnr_db_p5": 30.0, "agreement": 0.99} | point
    layers = (
        Layer("t0", "conv", kinds[0], 2_500_000, HOSTILE, alone_db={kinds[0]: 41.5, "static": 12.5}),
        Layer("t1", "linear", kinds[1], 100, alone_db={}),
    )
    return Scheme("m", "f" * 64, "g", HOSTILE, 128, 38.0, layers, (curve, curve | {"sqnr_db": 20.0}), 0)


def test_page_shows_how_8_bits_were_chosen_for_each_format(report, tmp_path):
    """A Core ML package has no time on this host: its curve is over the share of 8-bit products."""
    schemes = {
        "tflite": scheme(("dynamic", "float"), bytes=1_234_567, host_ms=4.25),
        "mlpackage": scheme(("input", "float")),
    }
    write(report | {"schemes": {form: plain(one) for form, one in schemes.items()}}, tmp_path)
    text = (tmp_path / "report.html").read_text("utf-8")
    page = Page(text)
    words = " ".join(" ".join(page.words).split())
    assert "int8 files (.tflite) were chosen" in words and "int8 package (Core ML) were chosen" in words
    assert "SQNR if dynamic" in words and "SQNR if input" in words and words.count("38.2 dB") == 2
    assert words.count("Host ms") == 1 and "4.25" in words and "41.5 dB" in words and "12.5 dB" in words
    assert "1 dynamic, 1 float" in words and "1 input, 1 float" in words
    assert "Share of MACs in 8 bits against SQNR" in text and "Time against SQNR" in text
    assert "script" not in {tag for tag, _ in page.tags}


def test_page_says_how_long_a_chain_took_by_the_file_without_where_that_was_measured(report, tmp_path):
    """Whoever converts elsewhere sees from the ratio whether the choice would be the same there."""
    plain_one = scheme(("dynamic", "float"), bytes=1_234_567, host_ms=4.25)
    timed = replace(plain_one, curve=(plain_one.curve[0], plain_one.curve[1] | {"time_ratio": 0.8125}), chosen=1)
    head = "Time by that without a chain"
    words = {}
    for name, one in (("chain", timed), ("none", plain_one)):
        write(report | {"schemes": {"tflite": plain(one)}}, tmp_path / name)
        words[name] = Page((tmp_path / name / "report.html").read_text("utf-8"))
    rows = " ".join(" ".join(words["chain"].words).split())
    assert rows.count(head) == 1 and rows.count("0.81") == 1 and "took turns" in rows
    cells = [attrs.get("data-label") for tag, attrs in words["chain"].tags if tag == "td"]
    assert cells.count(head) == 2  # the other point has its place, with a dash
    assert head not in " ".join(words["none"].words)


def test_page_of_real_photographs_does_not_say_synthetic(report, tmp_path):
    data = report["data"] | {"synthetic": False}
    write(report | {"data": data, "files": report["files"][:1]}, tmp_path)
    assert "Synthetic data." not in (tmp_path / "report.html").read_text("utf-8")


def test_junit_counts_what_it_holds(folder, report):
    root = ElementTree.parse(folder / "parity.xml").getroot()
    suites = root.findall("testsuite")
    assert root.tag == "testsuites" and len(suites) == len(report["files"])
    for suite, file in zip(suites, report["files"], strict=True):
        cases = suite.findall("testcase")
        verdicts = [check["verdict"] for check in file["checks"]]
        assert len(cases) == len(verdicts) == int(suite.attrib["tests"])
        assert len(suite.findall("testcase/failure")) == verdicts.count("fail") == int(suite.attrib["failures"])
        skipped = sum(verdict in {"inconclusive", "not judged", "reported"} for verdict in verdicts)
        assert len(suite.findall("testcase/skipped")) == skipped == int(suite.attrib["skipped"])
        assert all(item.attrib["message"] for item in suite.findall("testcase/*[@message]"))
    for key in ("tests", "failures", "skipped", "errors"):
        assert int(root.attrib[key]) == sum(int(suite.attrib[key]) for suite in suites)


def test_a_report_is_rendered_again_from_its_json_alone(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "again")
    (tmp_path / "again" / "report.html").unlink()
    page = render(tmp_path / "again")
    assert page.read_bytes() == (folder / "report.html").read_bytes()
    (tmp_path / "bare").mkdir()
    shutil.copy(folder / "parity.json", tmp_path / "bare")
    text = render(tmp_path / "bare").read_text("utf-8")
    assert "<svg" in text and "<img" not in text  # its pictures lie beside it
    write(json.loads((folder / "parity.json").read_text("utf-8")), tmp_path / "written")
    assert (tmp_path / "written" / "parity.json").read_bytes() == (folder / "parity.json").read_bytes()
    assert (tmp_path / "written" / "parity.xml").read_bytes() == (folder / "parity.xml").read_bytes()
    names = sorted(p.name for p in (tmp_path / "written").iterdir())
    assert names == ["parity.json", "parity.xml", "report.html"]


def test_a_page_that_cannot_be_made_leaves_the_old_one(report, tmp_path):
    write(report, tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(KeyError, match="very good"):
        write(report | {"verdict": "very good"}, tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    with pytest.raises(ValueError, match=r"expected uint8 \(height, width, 3\)"):
        jpeg(np.zeros((4, 4)))


def test_what_fails_the_command(report):
    """Of this report int8 and int8-dynamic fail, and one more entry whose gate does not bind."""
    failing = [file["file"] for file in report["files"] if file["verdict"] == "fail"]
    assert len(failing) == 2
    whole = ParityReport(report)
    assert [line.partition(" on ")[0] for line in whole.failed] == failing and whole.verdict == "fail"
    loose = ParityReport(report | {"files": [file | {"binding": False} for file in report["files"]]})
    assert loose.failed == [] and len(loose.failing(strict=True)) == 2


def test_the_table_is_that_of_the_json(report):
    """Nothing but the JSON is needed to print it; names from outside are no markup."""
    from rich.console import Console

    table, *_ = ParityReport(report | {"model": "[bold]m"}).tables()
    console = Console(width=400, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    with console.file:
        console.print(table)
    text = console.export_text()
    assert "[bold]m: 60 synthetic images" in text and "equal" in text and text.count("fail") == 2


@pytest.mark.parametrize(
    ("flags", "there", "gone"),
    [
        ((False, True, False), ["called malignant"], ["unknown"]),
        ((False, True, None), ["called malignant", "malignancy unknown", "not counted"], []),
        ((None, None, None), ["malignancy unknown", "left out"], ["called malignant", "called benign"]),
        ((False, False, None), ["malignancy unknown", "left out"], ["called malignant", "called benign"]),
    ],
)
def test_malignancy_that_is_unknown_is_said_and_not_counted(flags, there, gone, tmp_path):
    rng = np.random.default_rng(0)
    reference = rng.dirichlet((0.3, 0.3, 0.3), 40)
    seen = Observations(
        image_ids=tuple(map(str, range(40))),
        groups=tuple(map(str, range(40))),
        domains=("set",) * 40,
        labels=rng.integers(0, 3, 40),
        class_codes=("A", "B", "C"),
        class_names=("a", "b", "c"),
        malignant=flags,
        reference=reference,
    )
    swapped = reference[:, ::-1]
    entry = Entry("m.tflite", "0" * 64, 1, "tflite", "fp16", "xnnpack", judge("fp16", seen, swapped))
    data = {"name": "set", "images": 40, "patients": 40, "synthetic": False, "note": ""}
    report = build_report("m", "0" * 64, data, [entry], seen, [swapped])
    assert [label["malignant"] for label in report["classes"]] == list(flags)
    text = " ".join(write(report, tmp_path).read_text("utf-8").split())
    assert all(words in text for words in there) and not any(words in text for words in gone)
    assert (" ?</span>" in text) == (None in flags)  # beside an answer of a worst image


def test_words():
    words = in_words(
        {
            "name": "Top-1 agreement", "verdict": "inconclusive", "unit": "share", "value": 0.99, "low": 0.971,
            "high": 1.0, "limit": 0.98, "sense": "at least", "patients_needed": 1523, "note": "",
        }
    )  # fmt: skip
    assert words == "inconclusive: 99.0 % [97.1, 100.0], wanted at least 98 %"
    assert [small(x) for x in (0, 0.5, 0.0042, 3.1e-7)] == ["0", "0.500", "0.0042", "3.1e-07"]


def test_numbers_and_verdicts_need_neither_torch_nor_pages():
    code = (
        "import sys, edge.metrics.gates, edge.questions.parity.report;"
        "print([m for m in ('torch', 'matplotlib', 'jinja2', 'scipy', 'PIL', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_terminal_says_why_a_file_did_not_pass():
    check = {
        "name": "Top-1 agreement", "verdict": "inconclusive", "unit": "share", "value": 1.0, "low": 0.9, "high": 1.0,
        "limit": 0.98, "sense": "at least", "patients_needed": 190, "note": "",
    }  # fmt: skip
    classes = [{"code": "mel", "images": 0}, {"code": "[nv]", "images": 9}]
    file = {
        "file": "a-int8.tflite", "checks": [check, check | {"verdict": "pass"}], "runtime": "xnnpack", "binding": True,
        "verdict": "inconclusive",
    }  # fmt: skip
    report = {
        "data": {"patients": 51},
        "files": [
            file | {"statistics": {"labelled": {"classes": classes}}},
            file | {"statistics": None, "checks": [], "file": "b.tflite"},
        ],
    }
    why, settled, absent = tables.reasons(report)
    assert why == "a-int8.tflite, Top-1 agreement: inconclusive: 100.0 % [90.0, 100.0], wanted at least 98 %"
    assert settled == ("too few patients to decide top-1 agreement: 51 were seen; about 190 like them would decide")
    two_ways = report | {
        "files": [report["files"][0], report["files"][0] | {"runtime": "xnnpack-fp16", "binding": False}]
    }
    first, second, _, _ = tables.reasons(two_ways)
    assert first.startswith("a-int8.tflite by xnnpack, Top-1")
    assert second.startswith("a-int8.tflite by xnnpack-fp16 (not binding), Top-1")
    assert absent.startswith("No photograph of mel")
