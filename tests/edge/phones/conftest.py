"""A small network for phones' libraries, and a machine on which none of them is set up."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def nothing_set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DERMEDGE_PHONES", str(tmp_path / "none"))


@pytest.fixture(scope="session")
def fp32_file(tmp_path_factory) -> Path:
    import torch
    from torch import nn

    from convert._tflite.file import lower

    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.head = nn.Conv2d(3, 8, 3, 2), nn.Linear(8, 3)

        def forward(self, x):
            x = torch.nn.functional.gelu(self.stem(x.permute(0, 3, 1, 2) / 255))
            return torch.softmax(self.head(x.mean((2, 3))), -1)

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("phones") / "small.tflite"
    path.write_bytes(lower(Small().eval(), torch.zeros(1, 16, 16, 3)).content)
    return path
