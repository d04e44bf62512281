"""Exit codes and words of `dermedge check-split`."""

from __future__ import annotations

from pathlib import Path

import pytest

import dermedge
from dermedge.cli import main
from edge.files import read_json


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    (tmp_path / "table.csv").write_text("image,patient_id\na,P1\nb,P1\nc,P2\n")
    (tmp_path / "split.csv").write_text("image,split\na,train\nb,test\nc,test\n")
    return ["check-split", "--table", str(tmp_path / "table.csv"), "--split", str(tmp_path / "split.csv")]


def test_a_leak_is_exit_code_1_unless_allowed(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(files) == 1
    assert "patient: 1 in train and test (images: 1 of train, 1 of test)\n  P1" in capsys.readouterr().out
    assert main([*files, "--allow-leaks", "--out", str(tmp_path / "out")]) == 0
    written = read_json(tmp_path / "out" / "split_check.json", expected="what was written")
    assert written["clean"] == {"train": 0, "test": 1}
    (tmp_path / "split.csv").write_text("image,split\na,train\nb,train\nc,test\n")
    assert main(files) == 0
    assert "nothing that is known is in two parts" in capsys.readouterr().out


def test_the_function_gives_what_the_command_writes(files: list[str], tmp_path: Path) -> None:
    table, split = tmp_path / "table.csv", tmp_path / "split.csv"
    checked = dermedge.check_split(split, [table])
    assert [(leak.kind, leak.name, dict(leak.images)) for leak in checked.leaks] == [
        ("patient", "P1", {"train": ("a",), "test": ("b",)})
    ]
    assert main([*files, "--allow-leaks", "--out", str(tmp_path / "out")]) == 0
    assert checked.as_json() == read_json(tmp_path / "out" / "split_check.json", expected="what was written")
    with pytest.raises(dermedge.InputError, match="give `split`, or `predictions`"):
        dermedge.check_split(tables=table)


def test_a_part_may_have_any_name(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "split.csv").write_text("image,split\na,[/x]\nb,[bold]\nc,[bold]\n")
    assert main([*files, "--allow-leaks", "--out", str(tmp_path / "[red]")]) == 0
    said = capsys.readouterr().out
    assert "[/x]" in said and "[bold]" in said and said.rstrip().endswith("[red]")


def test_a_slip_names_its_flag(files: list[str], capsys: pytest.CaptureFixture) -> None:
    assert main([*files, "--part", "cv"]) == 2
    assert "has no column cv; it has image, split" in capsys.readouterr().err
    assert main(files[:3]) == 2
    assert "give --split, or --predictions" in capsys.readouterr().err
