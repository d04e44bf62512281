"""The ops, small tables by theme. An entry is a function, or op set -> function where an op changed its meaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from . import (
    activation,
    basic,
    classify,
    constexpr,
    conv,
    elementwise,
    gather,
    linear,
    lists,
    making,
    normalization,
    pool,
    quantize,
    recurrent,
    reduction,
    resize,
    shape,
    slicing,
    states,
)

Versions = Callable[..., Any] | Mapping[str, Callable[..., Any]]
THEMES = (
    activation,
    basic,
    classify,
    constexpr,
    conv,
    elementwise,
    gather,
    linear,
    lists,
    making,
    normalization,
    pool,
    quantize,
    recurrent,
    reduction,
    resize,
    shape,
    slicing,
    states,
)
TABLE: dict[str, Versions] = {kind: versions for theme in THEMES for kind, versions in theme.TABLE.items()}
# Ops that give back values that they were given, in other places: there is nothing to round.
EXACT: frozenset[str] = frozenset().union(*(getattr(theme, "EXACT", frozenset()) for theme in THEMES))
