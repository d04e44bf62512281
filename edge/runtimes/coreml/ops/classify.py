"""The class label and its probabilities."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

TABLE: dict[str, Callable[..., Any] | Mapping[str, Callable[..., Any]]] = {}
EXACT: frozenset[str] = frozenset()
