"""Words and exit codes of `dermedge join-sets`."""

from __future__ import annotations

from pathlib import Path

import pytest

from dermedge.cli import main


def test_what_is_lost_is_on_the_screen(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = tmp_path / "clinic"
    for name in ("SEK/1.png", "MEL/2.png", "wart/3.png"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(name)
    arguments = ["join-sets", "--data", str(folder), "--classes", "isic_2019", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "left out: 1 wart of clinic: no class is called wart; rename the folder, or name it in labels.json" in said
    assert "loses: which" in said and "same" in said
    assert main([*arguments[:4], "pad", *arguments[5:]]) == 2
    drawn = tmp_path / "drawn"
    drawn.mkdir()
    (drawn / "SYNTHETIC.txt").write_text("drawn by computer")
    (drawn / "PAT_1_1_1.png").write_text("a picture")
    (drawn / "metadata.csv").write_text("patient_id,lesion_id,diagnostic,img_id\nPAT_1,1,NEV,PAT_1_1_1.png\n")
    assert main([*arguments, "--data", str(drawn)]) == 2
    assert "drawn images are not joined with photographs" in capsys.readouterr().err


def test_an_altered_copy_is_refused_where_that_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = tmp_path / "ham"
    folder.mkdir()
    (folder / "table.csv").write_text("image_id,dx\nISIC_0000001,nv\nISIC_0000002,mel\n")
    for number in (1, 2):
        (folder / f"ISIC_000000{number}.jpg").write_text(str(number))
    arguments = ["join-sets", "--data", str(folder), "--classes", "malignant", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert "altered copy, or a part: 2 of the 10,015 rows" in " ".join(capsys.readouterr().out.split())
    assert main([*arguments, "--official"]) == 2
    assert "--official" in capsys.readouterr().err
