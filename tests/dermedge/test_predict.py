"""`dermedge predict` answers what can be answered, and names the rest."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import pytest

from dermedge.commands import predict
from edge.report.words import class_title
from tests.edge.decoding._files import jpeg_of_rows


@pytest.fixture
def mixed(folder_of_photographs, tmp_path) -> Path:
    """Two photographs, one of them in a folder below, one that is none, and what a Mac leaves beside them."""
    folder = tmp_path / "mixed"
    (folder / "below").mkdir(parents=True)
    shutil.copy(folder_of_photographs / "ben" / "0.png", folder / "good.png")
    shutil.copy(folder_of_photographs / "ben" / "0.png", folder / "below" / "good.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    (folder / "._good.png").write_bytes(b"\0\5\x16\7")
    return folder


def test_one_bad_photograph_does_not_cost_the_others_their_answers(mixed, capsys):
    good, missing = mixed / "good.png", mixed / "missing.jpg"
    assert predict.main([str(good), str(missing), str(mixed / "broken.jpg"), "--json"]) == 2
    said = capsys.readouterr()
    answers = json.loads(said.out)
    assert [Path(answer["photo"]).name for answer in answers] == ["good.png", "missing.jpg", "broken.jpg"]
    assert sum(answers[0]["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert all("error" in answer and "probabilities" not in answer for answer in answers[1:])
    assert "missing.jpg" in said.err and "broken.jpg" in said.err and "2 of 3 photographs were not answered" in said.err


def test_a_folder_goes_into_a_table(mixed, tmp_path, capsys):
    table = tmp_path / "out" / "answers.csv"
    assert predict.main([str(mixed), "--csv", str(table)]) == 2
    with table.open(newline="") as file:
        rows = {Path(row["photo"]).relative_to(mixed).as_posix(): row for row in csv.DictReader(file)}
    assert set(rows) == {"good.png", "below/good.png", "broken.jpg"}
    first = rows["good.png"]
    assert first["class"] in {"ACK", "BCC", "MEL", "NEV", "SCC", "SEK"} and first["error"] == ""
    shares = {name: float(value) for name, value in first.items() if name.startswith("p_")}
    assert sum(shares.values()) == pytest.approx(1, abs=1e-4) and f"p_{first['class']}" == max(
        shares, key=shares.__getitem__
    )
    assert first["outcome"] in {"class", "uncertain", "retake"} and first["reason"]
    assert rows["broken.jpg"]["error"] and rows["broken.jpg"]["class"] == ""
    assert {**first, "photo": ""} == {**rows["below/good.png"], "photo": ""}
    assert "answers.csv: 2 answers" in capsys.readouterr().out


@pytest.mark.parametrize("target", ["mixed", "mixed/good.png/answers.csv"])
def test_a_table_that_cannot_be_written_is_known_first(mixed, target, capsys):
    assert predict.main([str(mixed), "--csv", str(mixed.parent / target)]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_a_folder_of_none_is_named(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert predict.main([str(tmp_path / "empty")]) == 2
    assert "holds no photograph" in capsys.readouterr().err


def test_an_empty_path_is_not_the_folder_here(capsys):
    with pytest.raises(SystemExit) as stopped:
        predict.main([""])
    assert stopped.value.code == 2 and "the path is empty" in capsys.readouterr().err


def test_what_is_left_out_of_a_folder_is_named(mixed, capsys):
    (mixed / "broken.jpg").unlink()
    (mixed / "scan.jfif").write_bytes(b"\xff\xd8\xff\xe0")
    (mixed / "empty.jpg").touch()
    (mixed / "gone\n.jpg").symlink_to(mixed / "nowhere.jpg")
    os.mkfifo(mixed / "pipe.jpg")
    (mixed / "album.jpg").mkdir()
    assert predict.main([str(mixed), "--json"]) == 0
    said = capsys.readouterr()
    assert len(json.loads(said.out)) == 2
    for name in ("._good.png", "scan.jfif", "empty.jpg", r"gone\x0a.jpg", "pipe.jpg", "album.jpg"):
        assert f": {name}\n" in said.err
    assert said.err.count(f"{mixed}: left out: 1 ") == 6


def test_a_class_is_not_named_twice():
    assert class_title("melanoma", "melanoma") == "melanoma"
    assert class_title("MEL", "melanoma") == "MEL melanoma"
    assert class_title("bcc", "BCC") == "bcc"


def test_large_photographs_and_names_that_are_no_text(mixed, tmp_path, capsys):
    (mixed / "large.jpg").write_bytes(jpeg_of_rows(9248, 6936))
    strange = mixed / os.fsdecode(b"caf\xe9\n[b].png")
    shutil.copy(mixed / "good.png", strange)
    paths = [str(mixed / "large.jpg"), str(strange)]
    assert predict.main([*paths, "--csv", str(tmp_path / "answers.csv")]) == 0
    assert predict.main(paths) == 0
    assert "caf\\xe9\\x0a[b].png by" in capsys.readouterr().out
    with (tmp_path / "answers.csv").open(newline="", encoding="utf-8") as file:
        assert [Path(row["photo"]).name for row in csv.DictReader(file)] == ["large.jpg", "caf\\udce9\n[b].png"]


def test_a_model_among_the_photographs_is_told(tmp_path, capsys):
    (tmp_path / "net.mlmodelc").mkdir()
    assert predict.main([str(tmp_path / "net.mlmodelc")]) == 2
    assert "net.mlmodelc is a folder, a compiled Core ML model; expected one" in capsys.readouterr().err
