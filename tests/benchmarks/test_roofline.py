"""The benchmark of the roofline: work is counted as formulas say, and shares come from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks import roofline
from benchmarks._work import Work, counted


def test_a_convolution_and_its_gradients_are_counted_as_formulas_say() -> None:
    """Two operations for each product of a weight; gradients of weights and of the input cost as much again each."""
    layer = nn.Conv2d(3, 8, 3, padding=1, bias=False)
    image = torch.rand(2, 3, 10, 10, requires_grad=True)
    forward = 2 * (2 * 8 * 10 * 10) * (3 * 3 * 3)
    with counted() as work:
        y = layer(image)
    assert work.operations == forward
    assert work.bytes == 4 * (image.numel() + layer.weight.numel() + y.numel())
    with counted() as work:
        layer(image).sum().backward()
    assert work.operations == 3 * forward and work.dtypes == [torch.float32]


def test_views_move_nothing_and_sums_compute_nothing_by_products() -> None:
    x = torch.rand(4, 6)
    with counted() as work:
        x.reshape(6, 4).t()
    assert work.rows == []
    with counted() as work:
        x.add(1.0)
    assert work.operations == 0 and work.bytes == 2 * 4 * 24


def test_the_slower_of_products_and_bytes_counts() -> None:
    work = Work([("torch.float32", 100, 10), ("torch.float32", 0, 30), ("torch.bfloat16", 100, 1)], {})
    assert work.least_seconds({"torch.float32": 50.0, "torch.bfloat16": 100.0}, 10.0) == 2.0 + 3.0 + 1.0


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_run(tmp_path: Path, capsys, precision: str) -> None:
    flags = ["--model", "shufflenetv2", "--side", "32", "--batch", "2", "--rounds", "1", "--precision", precision]
    assert roofline.main([*flags, "--out", str(tmp_path)]) == 0
    figures = json.loads((tmp_path / "roofline.json").read_text())
    assert "of the roofline" in capsys.readouterr().out
    assert figures["precision"] == precision and 0 < figures["share_of_time_in_steps"] < 1
    assert ("torch.bfloat16" in figures["product_rate"]) == (precision == "bf16-mixed")
    assert figures["roofline_share"] > 0 and figures["operations_per_step"] > 1e6


def test_a_network_with_masks_is_refused(tmp_path: Path, capsys) -> None:
    assert roofline.main(["--model", "resformer_lite", "--out", str(tmp_path)]) == 2
    assert "mask" in capsys.readouterr().err
