"""Strict JSON values from what Python and NumPy compute."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import numpy as np

LEFT_OUT = {"sqnr_by_image", "dice_by_image"}  # one number per image is no summary


def plain(value: Any) -> Any:
    """Strict JSON from dataclasses, arrays and enums; a float that is not finite becomes null and says which it was."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain({f.name: getattr(value, f.name) for f in fields(value) if f.name not in LEFT_OUT})
    if isinstance(value, Mapping):
        out: dict[str, Any] = {}
        for key, item in value.items():
            out[str(key)] = plain(item)
            if isinstance(item, float) and not math.isfinite(item):
                out[f"{key}_is"] = "not defined" if math.isnan(item) else "infinite" if item > 0 else "minus infinite"
        return out
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
