"""A small training, alone or as one of several processes: `python -m tests.train._processes FOLDER BATCH`.

The network has what may depend on the process: batch norm, dropout of values, maps and residuals, a shuffle, a mask.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from edge.checkpoint import Preprocess
from edge.models.layers import StochasticDepth
from train._augment import MARGIN
from train._batches import Squares
from train._options import Machine
from train._recipe import Recipe
from train._trainer import Fitted, Trainer
from train._training_data import TrainingData

ROOT = Path(__file__).resolve().parents[2]
SIDE, CLASSES = 32, 3
# three epochs of 15 steps of 8 views of 4 photographs; all that may be learned is
RECIPE = Recipe(
    stages=((SIDE, 3),),
    ema=0.9,
    learning_rate=1e-3,
    mixup=0.2,
    descriptors=1.0,
    guide=1.0,
    contrast=0.5,
    deep_supervision=0.3,
    batch_norm="frozen",
)


class Net(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout2d(0.2))
        self.block, self.depth = nn.Conv2d(8, 8, 3, 1, 1), StochasticDepth(0.3)
        self.outline = nn.ConvTranspose2d(8, 1, 2, 2)
        self.eighth, self.sixteenth = nn.Conv2d(8, 12, 4, 4), nn.Sequential(nn.ReLU(), nn.Conv2d(12, 8, 2, 2))
        self.dropout, self.classifier = nn.Dropout(0.3), nn.Linear(8, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(x)
        x = x + self.depth(self.block(x))
        if self.training:
            x = x[:, torch.randperm(x.shape[1])]
        outline = self.outline(x)
        x = x + nn.functional.interpolate(self.sixteenth(self.eighth(x)), scale_factor=8)
        return self.classifier(self.dropout(x.mean(dim=(2, 3)))), outline


def data() -> TrainingData:
    """60 photographs of two sets, a third without class, a third without mask; 7 held back, which no two share."""
    rng, wide = np.random.default_rng(5), round(SIDE * MARGIN)
    targets = np.where(np.arange(60) % 3 == 1, -1, np.arange(60) % CLASSES)
    masks = np.where(rng.random((60, wide, wide)) < 0.5, 255, 0).astype(np.uint8)
    squares = Squares(
        rng.integers(0, 256, (60, wide, wide, 3), np.uint8), targets, np.arange(60) // 40, masks, np.arange(60) % 3 != 2
    )
    images, drawn = rng.integers(0, 256, (7, SIDE, SIDE, 3), np.uint8), masks[:7, :SIDE, :SIDE]
    return TrainingData(CLASSES, lambda _: squares, lambda _: (images, np.arange(7) % 3), lambda _: (images, drawn))


def fit(folder: Path, batch: int, *, resume: bool = False) -> Fitted:
    recipe = Recipe(**{**vars(RECIPE), "batch": batch})
    trainer = Trainer(
        recipe, Preprocess("v", SIDE), data(), folder=folder, create=Net, machine=Machine(precision="64-true")
    )  # fmt: skip
    fitted = trainer.fit(resume=resume)
    if fitted.leads:
        weights = {**trainer.averaged.module.state_dict(), **trainer.net.state_dict(prefix="net.")}
        save_file({name: value.contiguous() for name, value in weights.items()}, folder / "weights")
    return fitted


@contextmanager
def started(number: int, command: Sequence[str]) -> Iterator[list[subprocess.Popen]]:
    """So many processes of one run on this machine, as torchrun starts them; none outlives the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        "TORCHELASTIC_RUN_ID": "test", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "WORLD_SIZE": str(number), "LOCAL_WORLD_SIZE": str(number), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    processes = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, **shared, "RANK": str(own), "LOCAL_RANK": str(own), "GROUP_RANK": "0"},
        )
        for own in range(number)
    ]  # fmt: skip
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


def command(folder: Path, batch: int) -> list[str]:
    return [sys.executable, "-m", "tests.train._processes", str(folder), str(batch)]


if __name__ == "__main__":
    fit(Path(sys.argv[1]), int(sys.argv[2]))
