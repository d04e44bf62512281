"""What is foretold of a phone's time: with its error, and nothing where that is too large."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from dermedge.commands import latency as command
from edge.latency import FIGURES, Figure, arithmetic_of, figures, foretell, in_setting, left_out_error
from edge.manifest import Audit
from edge.phones.legacy import PROBE

# As the float32 file of MobileNetV3-Large 1.0 at 224, which is published.
MOBILENET_V3 = Audit(
    operators={"CONV_2D": 47, "DEPTHWISE_CONV_2D": 15, "HARD_SWISH": 20, "ADD": 10, "FULLY_CONNECTED": 17, "MEAN": 9},
    largest_rank=4, layout_operators=0, layout_bytes=0, macs=217_000_000, macs_8bit=0, macs_weights=217_000_000,
    peak_activation_bytes=0,
)  # fmt: skip


def test_every_figure_has_its_source_and_day() -> None:
    known = figures()
    assert len(known) >= 30
    for figure in known:
        assert figure.source.startswith("https://") and 2015 < figure.published <= date.fromisoformat(figure.read).year
        assert figure.milliseconds > 0 and figure.macs_million > 0 and figure.device and figure.runtime
    keys = [(figure.model, figure.setting) for figure in known]
    assert len(set(keys)) == len(keys)
    assert FIGURES.stat().st_size < 2**20


def measured(network: str, milliseconds: float, macs_million: float = 100) -> Figure:
    return replace(figures()[0], network=network, macs_million=macs_million, milliseconds=milliseconds)


def test_the_error_is_that_on_a_network_which_was_left_out_whole() -> None:
    assert left_out_error([measured("a", 10), measured("b", 20)]) is None
    three = [measured("a", 10), measured("b", 20), measured("c", 40)]
    assert left_out_error(three) == pytest.approx(8**0.5)  # sqrt(10 * 20) against 40, and sqrt(20 * 40) against 10
    # a second width of c goes with it, and does not make c known
    assert left_out_error([*three, measured("c", 80, 200)]) == pytest.approx(10 * 4 ** (2 / 3) * 2 ** (1 / 3) / 10)


def test_a_number_stands_with_an_interval_that_holds_what_was_published() -> None:
    rows = {row.device: row for row in foretell(MOBILENET_V3)}
    for device, published in (("Pixel 2", 61), ("Pixel 3", 44)):
        row = rows[device]
        assert row.milliseconds and row.lowest and row.highest and row.off and row.off <= 1.5 and not row.reason
        assert row.lowest < published < row.highest
        assert row.highest / row.milliseconds == pytest.approx(row.off)
    assert {row.arithmetic for row in rows.values()} == {"float32"}


def test_no_number_where_the_rule_is_too_far_off_or_cannot_be_tried() -> None:
    rows = {(row.device, row.processor): row for row in foretell(MOBILENET_V3)}
    assert rows["Pixel 1", "one large core"].milliseconds is None
    assert "missed by up to a factor of 1.7" in rows["Pixel 1", "one large core"].reason
    assert "efficientnet_lite alone" in rows["Pixel 4", "CPU"].reason and rows["Pixel 4", "CPU"].off is None
    known = [measured(name, time) for name, time in (("a", 10), ("b", 11), ("c", 12))]
    assert in_setting(100, known).milliseconds == pytest.approx((10 * 11 * 12) ** (1 / 3))
    assert "it has 200 million" in in_setting(200, known).reason
    assert in_setting(200, known).milliseconds is None


def test_a_network_unlike_the_published_ones_gets_none_and_the_operators_are_named() -> None:
    attention = replace(MOBILENET_V3, operators={**MOBILENET_V3.operators, "BATCH_MATMUL": 18, "GELU": 9})
    rows = foretell(attention)
    assert rows and all(row.milliseconds is None for row in rows)
    assert {row.reason for row in rows} == {"none of the published networks has 18 BATCH_MATMUL, 9 GELU"}


@pytest.mark.parametrize(
    ("share", "operators", "arithmetic"),
    [(0, {}, "float32"), (1, {"QUANTIZE": 1}, "int8"), (0.5, {"QUANTIZE": 9}, None), (1, {}, None)],
)
def test_which_figures_count_for_a_file(share: float, operators: dict, arithmetic: str | None) -> None:
    audit = replace(MOBILENET_V3, macs_8bit=int(share * 217e6), operators={**MOBILENET_V3.operators, **operators})
    assert arithmetic_of(audit) == arithmetic
    told = foretell(audit)
    assert all(row.arithmetic == arithmetic for row in told) == (arithmetic is not None)
    assert any(row.milliseconds for row in told) == (arithmetic is not None)


def test_the_command_says_why_in_words_and_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(PROBE)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "no number, because it has 0 million multiply-accumulates" in said and "source: https://" in said
    (tmp_path / "net[bold].tflite").write_bytes(PROBE.read_bytes())  # no markup, but a name
    assert command.main([str(tmp_path / "net[bold].tflite")]) == 0
    assert "net[bold].tflite: foretold" in " ".join(capsys.readouterr().out.split())
    assert command.main([str(PROBE), "--json"]) == 0
    assert all(row["milliseconds"] is None and row["reason"] for row in json.loads(capsys.readouterr().out))
    (tmp_path / "x.tflite").write_bytes(PROBE.read_bytes()[:200])
    assert command.main([str(tmp_path / "x.tflite")]) == 2
    assert "is it whole?" in " ".join(capsys.readouterr().err.split())
