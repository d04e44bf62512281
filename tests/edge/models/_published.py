"""The networks of torchvision and timm that dermedge has: their tensors by name, and their answers."""

from __future__ import annotations

import gzip
import importlib.util
import json
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
spec = importlib.util.spec_from_file_location("upstream_rule", GOLDEN / "upstream_rule.py")
rule = importlib.util.module_from_spec(spec)
spec.loader.exec_module(rule)


@cache
def published() -> dict[str, dict]:
    """Like `timm mobilenetv2` -> its case, as tests/golden/make_published.py writes it."""
    cases = json.loads(gzip.decompress((GOLDEN / "published.json.gz").read_bytes()))["cases"]
    return {f"{case['package']} {case['model']}": case for case in cases}


def state_of(case: dict) -> dict[str, Tensor]:
    """The tensors in float64, filled by the rule."""
    return {key: filled(key, tuple(shape)) for key, shape in case["tensors"].items()}


@cache
def filled(key: str, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(rule.fill(key, shape))


def file_of(case: dict) -> dict[str, Tensor]:
    """The same as a file has them: float32, counts as whole numbers."""
    counts = {key for key in case["tensors"] if key.endswith("num_batches_tracked")}
    return {key: value.to(torch.int64 if key in counts else torch.float32) for key, value in state_of(case).items()}


def pixels(case: dict) -> Tensor:
    side = case["side"]
    return (torch.from_numpy(rule.image(0, (1, 3, side, side))) - 0.5) * 4
