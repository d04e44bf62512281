"""One report per folder: every command adds its section, and none stays that tells of other files."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.report.page import Belongs, belongs, place, sections_of

SHA = "a" * 64
BODY = "<h2>Is <i>this</i> it?</h2><p>{}</p>"


def about(checkpoint: str = SHA, **files: str) -> Belongs:
    return Belongs("m", checkpoint, {f"{name}.tflite": digest for name, digest in files.items()})


def order(page: Path) -> list[str]:
    return list(sections_of(page))


def test_sections_stand_in_one_order_whichever_came_first(tmp_path):
    for name in ("robustness", "mistakes", "parity"):
        page = place(tmp_path, name, BODY.format(name), about(int8="1"))
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert order(page) == ["parity", "mistakes", "robustness"]
    text = page.read_text("utf-8")
    assert text.count("<p>mistakes</p>") == 1 and text.count('<a href="#mistakes">Is <i>this</i> it?</a>') == 1
    assert text.count("<!DOCTYPE html>") == 1


def test_a_section_made_again_replaces_itself_alone(tmp_path):
    place(tmp_path, "parity", BODY.format("earlier"), about(int8="1"))
    place(tmp_path, "mistakes", BODY.format("kept"), about(int8="1"))
    text = place(tmp_path, "parity", BODY.format("second"), about(int8="1")).read_text("utf-8")
    assert "second" in text and "kept" in text and "earlier" not in text


@pytest.mark.parametrize("later", [about("b" * 64, int8="1"), about(int8="2"), about(fp32="3", int8="2")])
def test_what_was_found_on_other_files_or_another_checkpoint_goes(tmp_path, capsys, later):
    place(tmp_path, "mistakes", BODY.format("old"), about(int8="1"))
    place(tmp_path, "decision", BODY.format("of the float model"), about("a" * 64))
    page = place(tmp_path, "parity", BODY.format("new"), later)
    assert "mistakes" not in order(page) and "old" not in page.read_text("utf-8")
    assert "told of other files in mistakes" in capsys.readouterr().out
    assert ("decision" in order(page)) == (later.checkpoint_sha256 == SHA)  # it names no file


def test_files_that_only_one_looked_at_part_nothing(tmp_path):
    place(tmp_path, "layers", BODY.format("x"), about(fp16="7"))
    assert order(place(tmp_path, "parity", BODY.format("y"), about(int8="1"))) == ["parity", "layers"]


def test_a_foreign_or_damaged_page_is_made_anew(tmp_path, capsys):
    page = tmp_path / "report.html"
    for was in (
        b"\xff\xfe",
        b"<html>mine</html>",
        b'<section class="part" id="parity" data-belongs="[">\nx\n</section>',
    ):
        page.write_bytes(was)
        place(tmp_path, "mistakes", BODY.format("x"), about(int8="1"))
        assert order(page) == ["mistakes"] and "made anew" in capsys.readouterr().out
    text = page.read_text("utf-8").replace(' id="mistakes"', ' id="intruder"').replace("of mistakes", "of intruder")
    page.write_text(text, "utf-8")
    assert order(place(tmp_path, "parity", BODY.format("x"), about(int8="1"))) == ["parity"]


def test_names_from_outside_stay_inside_their_attribute(tmp_path):
    hostile = Belongs('m"><script>', SHA, {'"></section><!-- end of parity -->.tflite': "1"})
    page = place(tmp_path, "parity", BODY.format("x"), hostile)
    assert "<script" not in page.read_text("utf-8") and sections_of(page)["parity"][0] == hostile


def test_files_without_a_digest_are_the_float_model():
    report = {
        "model": "m",
        "checkpoint_sha256": SHA,
        "files": [{"file": "x", "sha256": None}, {"file": "y", "sha256": "1"}],
    }
    assert belongs(report).files == {"y": "1"}
