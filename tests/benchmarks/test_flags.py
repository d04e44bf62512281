"""Numbers that no benchmark could use are refused by the name of their flag, before anything is trained or timed."""

from __future__ import annotations

import pytest

from benchmarks import coreml, decoders, diagnose, hifuse_design, ppcr, stated_colour, training


@pytest.mark.parametrize(
    ("benchmark", "flags"),
    [
        (ppcr, ["--rounds", "0"]), (ppcr, ["--images", "0"]), (ppcr, ["--side", "0"]),
        (coreml, ["--side", "0"]), (decoders, ["--images", "0"]), (stated_colour, ["--images", "0"]),
        (diagnose, ["--images", "0", "nowhere"]),
        (training, ["--rounds", "0"]), (training, ["--images", "0"]), (training, ["--side", "0"]),
        (hifuse_design, ["--rounds", "0", "--data", "nowhere"]),
        (hifuse_design, ["--threads", "0", "--data", "nowhere"]),
        (hifuse_design, ["--side", "0", "--data", "nowhere"]),
    ],
)  # fmt: skip
def test_zero_is_refused(benchmark, flags, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert benchmark.main(flags) == 2
    said = capsys.readouterr().err
    assert flags[0] in said and "nowhere" not in said
