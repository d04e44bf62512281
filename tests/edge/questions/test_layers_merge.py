"""`parity --layers --file` adds to what the folder says of its other files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.questions.layers import merge
from edge.questions.layers.merge import with_other_files


def report(*names: str, images: int = 4, digest: str = "0") -> dict:
    return {
        "schema": "dermedge/layers/1",
        "checkpoint_sha256": "c",
        "dermedge": "1",
        "data": {"name": "set", "images": images},
        "files": [{"file": name, "sha256": digest + name, "note": ""} for name in names],
    }


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Of three files, all of which were looked into."""
    monkeypatch.setattr(merge, "current", lambda _folder: {name: "0" + name for name in ("a", "b", "c")})
    (tmp_path / "layers.json").write_text(json.dumps(report("a", "b", "c")))
    return tmp_path


def names(value: dict) -> list[str]:
    return [file["file"] for file in value["files"]]


def test_files_that_were_not_looked_into_are_kept_in_order(folder):
    new = report("b")
    new["files"][0]["note"] = "new"
    merged = with_other_files(new, folder)
    assert names(merged) == ["a", "b", "c"] and merged["files"][1]["note"] == "new"
    assert names(new) == ["b"]


def test_a_file_that_was_converted_anew_is_not_kept(folder):
    (folder / "layers.json").write_text(json.dumps(report("a", "b", "c", digest="old ")))
    assert names(with_other_files(report("b"), folder)) == ["b"]


def test_other_photographs_replace_the_section_and_say_so(folder, messages):
    assert names(with_other_files(report("b", images=9), folder)) == ["b"]
    assert "told of 2 other files" in messages[-1]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"files": [1]}', '{"files": [{"file": "x"}]}'])
def test_a_damaged_report_is_left_alone(folder, content):
    (folder / "layers.json").write_text(content)
    assert names(with_other_files(report("b"), folder)) == ["b"]
