"""One page per folder, made of the questions' JSON: order, agreement, and that hostile or damaged JSON does nothing."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from edge import artifact
from edge.errors import InputError
from edge.files import write_json
from edge.report.page import PAGE, QUESTIONS, belongs, render
from edge.report.pictures import jpeg
from tests.edge._manifests import SHA, entry, manifest
from tests.edge.report._reports import HOSTILE, REPORTS, example, put

NAMES = list(QUESTIONS)


class Sections(HTMLParser):
    """The sections of a page by question, in their order, and everything that a browser would run or fetch."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.names: list[str] = []
        self.foreign: list[str] = []
        self.text = page.read_text("utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        if tag == "section" and facts.get("class") == "part":
            self.names.append(facts["id"] or "")
        if tag in {"script", "link", "iframe", "object", "embed", "base", "form"}:
            self.foreign.append(tag)
        self.foreign += [key for key in facts if key.startswith("on")]
        self.foreign += [
            value or "" for key, value in facts.items()
            if key in {"src", "href", "xlink:href"} and not (value or "").startswith(("data:image/", "#"))
        ]  # fmt: skip


def shown(folder: Path) -> list[str]:
    sections = Sections(render(folder))
    assert not sections.foreign
    return sections.names


def test_sections_stand_in_one_order_whichever_came_first(tmp_path):
    for name in reversed(NAMES[1:]):
        put(tmp_path, name)
    page = example(NAMES[0]).write(tmp_path)
    assert Sections(page).names == NAMES
    text = page.read_text("utf-8")
    assert text.count("<!DOCTYPE html>") == 1
    assert all(text.count(f'<a href="#{name}">') == 1 for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_question_is_rendered_from_its_json_alone(name, tmp_path):
    """The page of what was measured, and the page of the files that it left, are the same to the byte."""
    page = example(name).write(tmp_path)
    before = page.read_bytes()
    page.unlink()
    assert render(tmp_path) == page and page.read_bytes() == before


def test_a_question_asked_again_replaces_itself_alone(tmp_path):
    example("decision").write(tmp_path)
    example("mistakes", model="earlier").write(tmp_path)
    text = example("mistakes", model="later").write(tmp_path).read_text("utf-8")
    assert "later" in text and "earlier" not in text and shown(tmp_path) == ["mistakes", "decision"]


@pytest.mark.parametrize(
    ("checkpoint", "digest", "stays"),
    [("b" * 64, "1", []), (SHA, "2", ["decision"]), (SHA, "1", ["mistakes", "decision"])],
)
def test_what_tells_of_other_files_or_another_checkpoint_goes(tmp_path, messages, checkpoint, digest, stays):
    file = {"form": "float", "file": "net-fp32.tflite", "sha256": "1"}
    example("mistakes", files=[file]).write(tmp_path)
    example("decision").write(tmp_path)  # it names no file
    for name in ("mistakes", "decision"):
        os.utime(tmp_path / f"{name}.json", (1, 1))
    parity = example("parity")
    files = [{**parity.report["files"][0], "file": "net-fp32.tflite", "sha256": digest}]
    example("parity", checkpoint_sha256=checkpoint, files=files).write(tmp_path)
    assert Sections(tmp_path / PAGE).names == ["parity", *stays] == shown(tmp_path)
    assert any("mistakes.json tells of other files" in line for line in messages) == ("mistakes" not in stays)


def test_the_manifest_of_the_folder_says_which_files_are_meant(tmp_path, messages):
    """A report that is newer than the folder's own files, copied in from elsewhere, does not push theirs out."""
    put(tmp_path, "decision", checkpoint_sha256=SHA)
    os.utime(tmp_path / "decision.json", (1, 1))
    put(tmp_path, "mistakes", checkpoint_sha256="b" * 64)
    assert shown(tmp_path) == ["mistakes"]
    write_json(tmp_path / artifact.MANIFEST, artifact.to_json_value(manifest(files=(entry(sha256=SHA),))))
    assert shown(tmp_path) == ["decision"] and any("mistakes.json tells of other files" in m for m in messages)
    for wrong in ({"checkpoint_sha256": "b" * 64}, {"files": [{"form": "int8", "file": entry().file, "sha256": "2"}]}):
        with pytest.raises(InputError, match="another"):
            example("mistakes", **wrong).write(tmp_path)
    (tmp_path / artifact.MANIFEST).write_text("{}")
    assert shown(tmp_path) == ["mistakes"] and any("does not heed the manifest" in m for m in messages)


def test_an_empty_folder_has_no_page(tmp_path):
    with pytest.raises(InputError, match="holds no report"):
        render(tmp_path)
    assert not list(tmp_path.iterdir())


DAMAGE = {
    "no JSON": b"{",
    "no text": b"\xff\xfe\x00",
    "no object": b"[]",
    "empty": b"",
    "deep": b"[" * 100_000,
    "deep object": b'{"a":' * 60 + b"1" + b"}" * 60,
    "no schema": b"{}",
    "another schema": b'{"schema": "dermedge/parity/9"}',
    "a schema that is none": b'{"schema": {"$ref": "#"}}',
}


@pytest.mark.parametrize("contents", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_report_is_left_out_and_said(name, contents, tmp_path, messages):
    other = next(n for n in ("decision", "mistakes") if n != name)
    put(tmp_path, other)
    (tmp_path / f"{name}.json").write_bytes(contents)
    assert shown(tmp_path) == [other]
    assert any(f"{name}.json is left out" in line for line in messages)
    example(other).write(tmp_path)  # nor does it stand in the way of a question that is asked


def damaged(value, path=()):
    """Every copy of a JSON value with one part of it taken away, or of another kind."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield {k: v for k, v in value.items() if k != key}
            for other in (None, [], {}, "<script>x</script>", -1, 1e308):
                yield value | {key: other}
            for changed in damaged(item, (*path, key)):
                yield value | {key: changed}
    elif isinstance(value, list) and value:
        yield from ([changed, *value[1:]] for changed in damaged(value[0], path))


@pytest.mark.parametrize("name", NAMES)
def test_no_part_that_is_missing_or_odd_breaks_the_page(name, tmp_path, monkeypatch):
    """A foreign report of the right schema may lack anything and hold anything."""
    monkeypatch.setattr("edge.report.plots.as_svg", lambda make, described: "<svg></svg>")  # matplotlib takes long
    put(tmp_path, "mistakes" if name == "decision" else "decision")
    copies = list(damaged(example(name).report))
    step = max(1, len(copies) // 80)
    for copy in copies[::step]:
        write_json(tmp_path / f"{name}.json", copy)
        sections = Sections(render(tmp_path))
        assert not sections.foreign and "<script" not in sections.text


def test_an_endless_report_is_left_out(tmp_path, messages, monkeypatch):
    put(tmp_path, "decision")
    parity = example("parity").report
    write_json(tmp_path / "parity.json", parity | {"files": parity["files"] * 400})
    assert shown(tmp_path) == ["decision"] and any("too large" in line for line in messages)
    write_json(tmp_path / "parity.json", parity | {"more": [0] * 30_000})
    assert shown(tmp_path) == ["decision"]
    monkeypatch.setattr("edge.files.MAX_JSON_BYTES", 100)
    with pytest.raises(InputError, match="holds no report"):
        render(tmp_path)


@pytest.mark.parametrize("evil", [HOSTILE, "../../outside", "..\\..\\outside", "/etc/passwd", "a\0b", "x" * 5000])
def test_names_from_outside_stay_names(evil, tmp_path):
    """No file is called by them, and none of them is markup, in any section."""
    home = tmp_path / "in" / "side"
    pictures = {evil: jpeg(np.zeros((8, 8, 3), np.uint8))}
    for name in set(NAMES) - {"parity", "zoo"}:
        write_json(home / f"{name}.json", everywhere(example(name).report, evil))
    for name in ("zoo", "parity"):  # these two write files beside their JSON
        report = example(name)
        page = replace(report, report=everywhere(report.report, evil), pictures=pictures).write(home)
    sections = Sections(page)
    assert sections.names == NAMES and not sections.foreign and "<script" not in sections.text
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    others = ["report.html", "parity.xml", "zoo.md", "zoo.svg"]
    others += [f"report_files/{name}.pictures.json" for name in ("parity", "zoo")]
    assert written == {f"in/side/{name}" for name in [*others, *(f"{name}.json" for name in NAMES)]}


KEPT = {
    "schema", "verdict", "unit", "sense", "status", "form", "format", "runtime", "kind", "outcome", "corruption",
    "recipe", "checkpoint_sha256", "sha256", "operator", "version", "image", "date",
}  # fmt: skip


def everywhere(value, evil, key=""):
    """The report with a text in place of every free one; words that the page knows, such as verdicts, stay."""
    if isinstance(value, dict):
        known = {"name": value["name"]} if key == "corruptions" else {}  # by which its figures are looked up
        return {k: everywhere(v, evil, k) for k, v in value.items()} | known
    if isinstance(value, list):
        return [everywhere(v, evil, key) for v in value]
    known = key in KEPT or key.endswith("_is") or key in {"failed", "rejected", "code"}
    return evil if isinstance(value, str) and not known else value


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "https://example.org/x.png",
        "data:image/svg+xml;base64,AAAA",
        "data:text/html;base64,AAAA",
        'data:image/png;base64,AAAA" onerror="alert(1)',
        "data:image/png;base64,AAAA) } body { background: url(http://example.org",
        "data:image/png;base64,AAAA\n",
        7,
    ],
)
def test_a_picture_is_a_picture(address, tmp_path):
    """Pictures lie in a file beside the JSON, which may have been changed as well."""
    folder = tmp_path / "x"
    picture = jpeg(np.zeros((8, 8, 3), np.uint8))
    replace(example("mistakes"), pictures={"right": picture, "bgr": picture}).write(folder)
    assert (folder / PAGE).read_text("utf-8").count(picture) == 2
    path = folder / "report_files" / "mistakes.pictures.json"
    kept = json.loads(path.read_text())
    kept["pictures"] = {"right": address, "bgr": address}
    write_json(path, kept)
    text = Sections(render(folder)).text
    assert str(address) not in text.replace("7", "") and "example.org" not in text and "<img" not in text


def test_pictures_of_another_report_are_not_shown(tmp_path, messages):
    picture = jpeg(np.zeros((8, 8, 3), np.uint8))
    replace(example("mistakes"), pictures={"right": picture}).write(tmp_path)
    write_json(tmp_path / "mistakes.json", example("mistakes", model="other").report)
    assert picture not in render(tmp_path).read_text("utf-8")
    assert any("are of another report" in line for line in messages)
    example("mistakes").write(tmp_path)
    assert not list((tmp_path / "report_files").iterdir())  # nor do old ones stay behind


def test_what_cannot_be_drawn_is_said(tmp_path, messages, monkeypatch):
    """A machine without matplotlib shows what needs none."""
    put(tmp_path, "layers")
    put(tmp_path, "decision")
    for module in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match="holds no report"):
        render(tmp_path)
    assert any("needs matplotlib" in line and "[report]" in line for line in messages)
    monkeypatch.undo()


def test_files_without_a_digest_are_the_float_model():
    report = {"checkpoint_sha256": SHA, "files": [{"file": "x", "sha256": None}, {"file": "y", "sha256": "1"}]}
    assert belongs(report).files == {"y": "1"}


def test_examples_are_of_every_question():
    assert list(REPORTS) == NAMES


@pytest.mark.parametrize(("synthetic", "warned"), [(False, True), (True, False)])
def test_a_page_of_photographs_says_that_it_holds_patients_data(synthetic, warned, tmp_path):
    report = example("parity")
    page = replace(report, report={**report.report, "data": {**report.report["data"], "synthetic": synthetic}}).write(
        tmp_path
    )
    assert ("pictures of patients' photographs" in " ".join(page.read_text("utf-8").split())) == warned


def test_a_report_that_replaces_one_of_more_says_so(tmp_path, messages):
    whole = example("robustness")
    whole.write(tmp_path)
    assert not [line for line in messages if "replaced" in line]
    less = {**whole.report, "data": {**whole.report["data"], "images": 1}}
    replace(whole, report=less).write(tmp_path)
    (said,) = [line for line in messages if "replaced" in line]
    assert f"{whole.report['data']['images']} photographs, now 1" in said
    whole.write(tmp_path)
    assert len([line for line in messages if "replaced" in line]) == 1
