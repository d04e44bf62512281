"""The values that the passes are tried on; float64, from a seed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.convert._rewriting import D


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 4, 9, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def tokens() -> Tensor:
    return torch.randn(2, 6, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def picture() -> Tensor:
    return torch.randn(2, 4, 8, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
