"""The audit of a package: figures counted by hand, and each rule of the Neural Engine broken once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from coremltools.converters.mil import Builder as mb
from torch import nn

from convert._coreml.audit import audit, modules_of
from convert._coreml.program import exported_as_it_is, float_program
from convert._graph.graph import trace
from edge.models.deployed import Deployed
from edge.runtimes.coreml import RuntimeDependentWarning, load
from tests.edge.runtimes.coreml._programs import saved

X = np.zeros((1, 4, 8, 6), np.float32)
KERNEL = np.ones((8, 4, 3, 3), np.float32)


def found(build, tmp_path: Path, x: np.ndarray = X, **options) -> dict:
    return audit(saved(build, {"x": x}, tmp_path, **options))


def test_figures_counted_by_hand(tmp_path: Path) -> None:
    def build(x):
        x = mb.relu(x=mb.conv(x=x, weight=KERNEL, pad_type="same"))
        x = mb.reshape(x=x, shape=[1, 8, 48])
        both = mb.matmul(x=mb.identity(x=x), y=x, transpose_y=True)
        return mb.linear(x=both, weight=np.ones((3, 8), np.float32))

    a = found(build, tmp_path)
    convolution, attention, linear = 8 * 8 * 6 * 4 * 9, 8 * 8 * 48, 8 * 3 * 8
    assert a.macs == convolution + attention + linear
    assert a.macs_weights == convolution + linear and a.macs_8bit == 0
    assert a.operators == {"conv": 1, "linear": 1, "identity": 1, "matmul": 1, "relu": 1, "reshape": 1}
    assert (a.layout_operators, a.layout_bytes, a.largest_rank) == (1, 8 * 48 * 4, 4)
    assert a.peak_activation_bytes == 2 * 8 * 48 * 4 + 8 * 8 * 4  # what the matmul takes, and what it gives
    assert [line.split(":")[0] for line in a.warnings] == ["ane-float32"]


def test_float16_breaks_no_rule_and_halves_the_bytes(tmp_path: Path) -> None:
    a = found(lambda x: mb.relu(x=mb.conv(x=x, weight=KERNEL, pad_type="same")), tmp_path, half=True)
    assert a.warnings == () and a.operators["conv"] == 1


def test_what_reads_a_dequantize_is_an_8_bit_product(tmp_path: Path) -> None:
    def build(x):
        q = mb.quantize(input=x, scale=np.float32(0.1), output_dtype="int8")
        return mb.conv(x=mb.dequantize(input=q, scale=np.float32(0.1)), weight=KERNEL, pad_type="same")

    a = found(build, tmp_path, ios=17)
    assert a.macs_8bit == a.macs_weights == a.macs > 0


BROKEN = {
    "dilation": lambda x: mb.conv(x=x, weight=KERNEL, pad_type="same", dilations=[2, 2]),
    "window": lambda x: mb.max_pool(x=x, kernel_sizes=[14, 1], strides=[1, 1], pad_type="same"),
    "stride": lambda x: mb.avg_pool(x=x, kernel_sizes=[3, 3], strides=[3, 3], pad_type="same"),
    "gather": lambda x: mb.gather(x=x, indices=np.array([0, 2], np.int32), axis=1),
    "topk": lambda x: mb.topk(x=x, k=2, axis=1)[0],
}


@pytest.mark.parametrize("word", BROKEN)
def test_a_broken_rule_is_named(word: str, tmp_path: Path) -> None:
    lines = [line for line in found(BROKEN[word], tmp_path).warnings if line.startswith("ane-operator")]
    assert len(lines) == 1 and word in lines[0]


def test_an_open_shape_is_named(tmp_path: Path) -> None:
    lines = found(lambda x: mb.non_zero(x=x), tmp_path).warnings
    assert any(line.startswith("static-shapes") for line in lines)


POOLS = {
    "coremltools#2772": {"kernel_sizes": [2, 2], "strides": [3, 3], "ceil_mode": True},
    "coremltools#1901": {"kernel_sizes": [5, 5], "strides": [1, 1], "pad_type": "custom", "pad": [2, 2, 2, 2]},
}


@pytest.mark.parametrize("fault", POOLS)
def test_a_pool_that_apples_runtime_gets_wrong_is_named(fault: str, tmp_path: Path) -> None:
    """In the audit, and by the interpreter when a package is opened; neither of a pool that excludes padding."""
    options = {"pad_type": "valid", **POOLS[fault]}
    x = np.zeros((1, 4, 7, 7), np.float32)
    path = saved(lambda x: mb.avg_pool(x=x, name="mean", **options), {"x": x}, tmp_path)
    (line,) = [line for line in audit(path).warnings if line.startswith("known-fault")]
    assert "1 avg_pool (mean)" in line and fault in line and "https://github.com/apple/coremltools/issues/" in line
    with pytest.warns(RuntimeDependentWarning, match=f"the answer depends on the runtime: .*{fault}"):
        assert load(path).notices == [line]
    fair = {**options, "exclude_padding_from_average": True}
    path = saved(lambda x: mb.avg_pool(x=x, **fair), {"x": x}, tmp_path / "fair")
    assert load(path).notices == [] and not [line for line in audit(path).warnings if "known-fault" in line]


def test_whole_windows_with_ceil_mode_are_the_same_everywhere(tmp_path: Path) -> None:
    x = np.zeros((1, 4, 8, 6), np.float32)
    path = saved(
        lambda x: mb.avg_pool(x=x, kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid", ceil_mode=True),
        {"x": x}, tmp_path,
    )  # fmt: skip
    assert load(path).notices == []


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.act = nn.Softplus()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(x)


class Planted(nn.Module):
    """What the Neural Engine leaves to the CPU in its stem, what it gets wrong in half precision in its block."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block, self.head = nn.Conv2d(3, 8, 3, 2, dilation=2), Gated(), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.block(self.stem(x)).mean((2, 3)))


@pytest.mark.filterwarnings("ignore:Function _TORCH_OPS_REGISTRY:DeprecationWarning")
def test_the_module_of_the_network_is_named_in_both_precisions(tmp_path: Path) -> None:
    """As those of a .tflite are. The rewrites, which would take both away, are left out."""
    net = Deployed(Planted(), mean=(0.5,) * 3, std=(0.5,) * 3, temperature=1.0, layout="NCHW").eval()
    labels = [SimpleNamespace(code=code) for code in ("A", "B")]
    like: Any = SimpleNamespace(labels=labels, preprocess=SimpleNamespace(side=32))
    program = exported_as_it_is(like, trace(net, torch.zeros(1, 3, 32, 32)))
    for precision in ("fp32", "fp16"):
        path = tmp_path / f"{precision}.mlpackage"
        float_program(like, program, precision).save(str(path))
        lines = audit(path, modules_of(program)).warnings
        assert any(
            line.startswith("ane-operator: conv (") and " in stem) has a dilation of 2" in line for line in lines
        )
        faults = [line for line in lines if line.startswith("known-fault")]
        assert len(faults) == (precision == "fp16") and all(" in block.act), " in line for line in faults)


@pytest.mark.parametrize("half", [True, False])
def test_softplus_in_float16_is_named(half: bool, tmp_path: Path) -> None:
    lines = [line for line in found(lambda x: mb.softplus(x=x), tmp_path, half=half).warnings if "known-fault" in line]
    assert len(lines) == half and all("1 softplus" in line and "coremltools#2687" in line for line in lines)
