"""Devices of a run: what its processes exchange, without torchrun, without float64, and who reads photographs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.accelerators import CPUAccelerator
from torch import Tensor, distributed, nn
from torch.overrides import TorchFunctionMode

from edge.checkpoint import Preprocess
from train import _together
from train._fabric import make_fabric
from train._folder import one_reads_first
from train._predict import predict, predict_together

PHOTOGRAPHS = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
PREPROCESS = Preprocess("v", 8)


class Net(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(3), nn.Linear(3, 2))


@pytest.fixture
def group(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A group of one process that exchanges tensors of the device of the parameter alone, and counts as several."""
    store = distributed.FileStore(str(tmp_path / "store"), 1)
    distributed.init_process_group(request.param, store=store, rank=0, world_size=1)
    monkeypatch.setattr(_together, "are_several", lambda: True)
    try:
        yield
    finally:
        distributed.destroy_process_group()


@pytest.mark.parametrize("group", ["meta:gloo"], indirect=True)
@pytest.mark.usefixtures("group")
def test_tensors_go_to_where_the_processes_exchange_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with NCCL, which takes none of the CPU's; the device without memory stands for a GPU."""
    sent: list[str] = []
    for name in ("all_gather", "all_reduce", "broadcast"):
        monkeypatch.setattr(
            distributed, name, lambda *values: sent.extend(v.device.type for v in values if isinstance(v, Tensor))
        )
    for exchange in (
        lambda: predict_together(Net(), PHOTOGRAPHS, PREPROCESS),
        lambda: _together.any_asks(True, torch.device("cpu")),
        lambda: _together.take_buffers_of_first(Net()),
    ):
        with pytest.raises((NotImplementedError, RuntimeError), match="meta"):  # of which nothing comes back
            exchange()
    assert sent == ["meta"] * 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU of NVIDIA, for NCCL")
@pytest.mark.parametrize("group", ["nccl"], indirect=True)
@pytest.mark.usefixtures("group")
def test_a_network_on_the_cpu_is_judged_by_processes_on_gpus() -> None:
    net = Net()
    alone = predict(net, PHOTOGRAPHS, PREPROCESS)
    np.testing.assert_array_equal(predict_together(net, PHOTOGRAPHS, PREPROCESS), alone)
    assert _together.any_asks(True, torch.device("cpu"))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    _together.take_buffers_of_first(net)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_without_torchrun_a_run_is_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there are two devices, for both of which Fabric would start a process by itself."""
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setattr(CPUAccelerator, "auto_device_count", staticmethod(lambda: 2))
    monkeypatch.setattr(Fabric, "launch", lambda self: None)
    assert make_fabric(precision="32-true", folder=tmp_path).world_size == 1


class NoDoubles(TorchFunctionMode):
    """A device that has no float64, as Apple's GPUs: only what is on the CPU becomes one."""

    on_device = True

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        self.on_device = self.on_device and func is not Tensor.cpu
        if self.on_device and (func is Tensor.double or torch.float64 in args):
            raise TypeError("the MPS framework doesn't support float64")
        return func(*args, **(kwargs or {}))


def test_devices_without_float64_answer() -> None:
    with NoDoubles():
        logits = predict_together(Net(), PHOTOGRAPHS, PREPROCESS)
    assert logits.dtype == np.float64 and logits.shape == (3, 2)


def test_runs_do_not_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def waits(_seconds: float) -> None:
        raise RuntimeError("the other run is waited for")

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("DERMEDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("edge.locks.time.sleep", waits)
    with one_reads_first(tmp_path / "one"):
        with one_reads_first(tmp_path / "other"):
            pass
        with pytest.raises(RuntimeError, match="waited for"), one_reads_first(tmp_path / "one"):
            pass
    assert not list((tmp_path / "cache" / "reading").iterdir())
