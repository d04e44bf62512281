"""Lightning Fabric: devices, precision, processes and the TensorBoard log are its business."""

from __future__ import annotations

import logging
import os
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import DoublePrecision
from lightning_fabric.strategies import DDPStrategy
from torch import distributed

from ._folder import was_restarted

MOST_WITHOUT_ORDER = 2  # processes: a sum of two is the same either way round
# for how long a process waits for another: each machine reads the photographs first, and not all are equally fast
PATIENCE = timedelta(hours=6)

log = logging.getLogger("dermedge")


def make_fabric(*, precision: str, folder: Path) -> Fabric:
    from lightning_fabric.loggers import TensorBoardLogger

    if precision == "auto":
        precision = "bf16-mixed" if bf16_pays() else "32-true"
    logger = TensorBoardLogger(root_dir=folder, name="tensorboard", version="")
    computes = {"plugins": InDouble()} if precision == "64-true" else {"precision": precision}
    fabric = Fabric(accelerator="auto", loggers=logger, **computes, **processes())
    if was_restarted():
        meet_again()
    fabric.launch()
    return fabric


class InDouble(DoublePrecision):
    """Float64 throughout: Lightning's own gives what a network answers back in float32."""

    def convert_output(self, data: Any) -> Any:
        return data


def processes() -> dict[str, Any]:
    """Under torchrun as many processes as it has started; else this one, on one device.

    Fabric would start processes of its own for all GPUs, which would find the folder of the run taken by this one.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        if torch.cuda.device_count() > 1:
            log.info("training on one of %d GPUs; start it with torchrun to use more", torch.cuda.device_count())
        return {"devices": 1}
    here, all_of_them = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    strategy: Any = "auto"
    if all_of_them > 1:
        # With more than two, the order in which gradients are added up would change after a process's first step, and
        # a resumed run with it; who looks for unused weights keeps the order.
        strategy = DDPStrategy(find_unused_parameters=all_of_them > MOST_WITHOUT_ORDER, timeout=PATIENCE)
        warnings.filterwarnings("ignore", message="find_unused_parameters=True was specified")  # there are none
    return {"devices": here, "num_nodes": all_of_them // here, "strategy": strategy}


def meet_again() -> None:
    """Join the other processes after a restart by torchrun, where the store still has the addresses of lost ones.

    PyTorch 2.13.0 gives workers the agent's store under the same names in every attempt, and gloo then calls at ports
    that nobody listens at any more. Here every attempt has names of its own. Fabric takes the group that is there.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":  # every attempt has a new one
        return
    shared = distributed.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
    own = distributed.PrefixStore(f"dermedge/{os.environ['TORCHELASTIC_RESTART_COUNT']}", shared)
    distributed.init_process_group(
        "nccl" if torch.cuda.is_available() else "gloo", store=own, timeout=PATIENCE,
        rank=int(os.environ["RANK"]), world_size=int(os.environ["WORLD_SIZE"]),
    )  # fmt: skip


def bf16_pays() -> bool:
    """Whether this machine multiplies bfloat16 in hardware; on others autocast is slower than float32."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
