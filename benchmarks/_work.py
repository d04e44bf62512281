"""What PyTorch's operations compute and move: floating-point operations and bytes, counted as they are started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry


@dataclass
class Work:
    """Of every operation its data type, floating-point operations, and bytes read and written."""

    rows: list[tuple[str, int, int]] = field(default_factory=list)
    by_name: dict[str, torch.dtype] = field(default_factory=dict)

    @property
    def operations(self) -> int:
        return sum(operations for _, operations, _ in self.rows)

    @property
    def bytes(self) -> int:
        return sum(moved for _, _, moved in self.rows)

    @property
    def dtypes(self) -> list[torch.dtype]:
        """Those in which something is multiplied."""
        return [self.by_name[name] for name in dict.fromkeys(name for name, operations, _ in self.rows if operations)]

    def least_seconds(self, product_rates: Mapping[str, float], copy_rate: float) -> float:
        """The sum of each operation's max(operations / rate, bytes / rate); rates by data type, a second."""
        return sum(
            max(operations / product_rates[name] if operations else 0.0, moved / copy_rate)
            for name, operations, moved in self.rows
        )


class Counter(TorchDispatchMode):
    def __init__(self, work: Work) -> None:
        super().__init__()
        self.work = work

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if func.is_view:
            return out
        operands = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        tensors = operands + [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        formula = flop_registry.get(func._overloadpacket)
        operations = int(formula(*args, **kwargs, out_val=out)) if formula else 0
        computed = next((tensor.dtype for tensor in operands if tensor.is_floating_point()), torch.float32)
        self.work.by_name[str(computed)] = computed
        self.work.rows.append((str(computed), operations, sum(t.numel() * t.element_size() for t in tensors)))
        return out


@contextmanager
def counted() -> Iterator[Work]:
    """Counts what is started in this block, backward passes too."""
    work = Work()
    with Counter(work):
        yield work
