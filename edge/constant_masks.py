"""Boolean masks that are the same for every picture, as numbers of places, so that torch.export can follow their use.

`x[:, :, torch.arange(H) % 3 != 0]` keeps as many places as the mask has ones. Under torch.export a mask has no values,
and the shape of the result is open although it is the same for every picture. So the network runs once before, on real
numbers, and every index with masks that nothing of the picture reached is kept; while it is exported, these indices
are given as numbers of places. An index that depends on the picture stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

INDEXED = {Tensor.__getitem__, Tensor.__setitem__}
SELECTED = {torch.masked_select, Tensor.masked_select}
PLACES_OF = {torch.nonzero, Tensor.nonzero, torch.argwhere, Tensor.argwhere}
UNSEEN = {Tensor.numpy, Tensor.tolist, Tensor.__array__}  # give Python values without an operation that a mode sees
Places = list[list[int]]  # of one mask: for each of its axes, where it is one
Masks = list[Places]  # of one index, in order


def masks_of(module: nn.Module, example: Tensor) -> list[Masks | None]:
    """For each index with masks, in the order of the run, where its masks are one; None where the picture decides.

    `module` is in evaluation mode. Empty also where numbers of the picture reach Python, which may make masks of them.
    """
    spread = Spread(example)
    seen = Recorded(spread)
    with torch.no_grad(), spread, seen:
        module(example)
    return [] if spread.leaked else seen.masks


class Spread(TorchDispatchMode):
    """Which memory holds values that depend on the picture."""

    def __init__(self, example: Tensor) -> None:
        super().__init__()
        self.reached = {memory_of(example)}
        self.leaked = False  # to Python, as a number or as the length of an axis

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        operands = tensors_in((args, kwargs))
        depends = any(map(self.depends, operands))
        result = func(*args, **(kwargs or {}))
        if not depends:
            self.reached -= {memory_of(tensor) for tensor in tensors_in(result)}  # memory that is used again
            return result
        if func is torch.ops.aten.index.Tensor:
            self.leaked |= any(self.depends(mask) for mask in tensors_in(args[1]) if is_mask(mask))
        else:
            tags = {torch.Tag.dynamic_output_shape, torch.Tag.data_dependent_output}
            self.leaked |= not tags.isdisjoint(func.tags)
        self.reached |= {memory_of(tensor) for tensor in tensors_in(result)}
        self.reached |= {
            memory_of(operand)
            for argument, value in zip(func._schema.arguments, args, strict=False)
            if argument.alias_info is not None and argument.alias_info.is_write
            for operand in tensors_in(value)
        }
        return result

    def depends(self, tensor: Tensor) -> bool:
        return tensor.numel() > 0 and memory_of(tensor) in self.reached


class Masked(TorchFunctionMode):
    """Every index with masks goes through `index`; what chooses by a mask alone becomes one."""

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func in SELECTED and not kwargs:
            x, mask = torch.broadcast_tensors(*args)
            return self.index(Tensor.__getitem__, x, mask)
        if func in PLACES_OF or (func is torch.where and len(args) == 1):
            return self.places(func, args[0], **(kwargs or {}))
        if func in INDEXED and any(is_mask(part) for part in parts_of(args[1])):
            return self.index(func, *args)
        return func(*args, **(kwargs or {}))

    def index(self, func: Callable, x: Tensor, places: Any, *value: Any) -> Any:
        raise NotImplementedError

    def places(self, func: Callable, mask: Tensor, **options: Any) -> Any:
        raise NotImplementedError


class Recorded(Masked):
    """Keeps where masks are one."""

    def __init__(self, spread: Spread) -> None:
        super().__init__()
        self.spread = spread
        self.masks: list[Masks | None] = []

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func in UNSEEN:
            self.spread.leaked |= any(map(self.spread.depends, tensors_in(args)))
        return super().__torch_function__(func, types, args, kwargs)

    def index(self, func: Callable, x: Tensor, places: Any, *value: Any) -> Any:
        masks = [torch.as_tensor(part) for part in parts_of(places) if is_mask(part)]
        known = not any(map(self.spread.depends, masks))
        self.masks.append([mask.nonzero().T.tolist() for mask in masks] if known else None)
        return func(x, places, *value)

    def places(self, func: Callable, mask: Tensor, **options: Any) -> Any:
        self.masks.append(None if self.spread.depends(mask) else [mask.nonzero().T.tolist()])
        return func(mask, **options)


class Placed(Masked):
    """Gives an index that was seen before as numbers of places; one run only."""

    def __init__(self, masks: Sequence[Masks | None]) -> None:
        super().__init__()
        self.remaining = iter(masks)

    def index(self, func: Callable, x: Tensor, places: Any, *value: Any) -> Any:
        masks = next(self.remaining, None)
        if masks is None:
            return func(x, places, *value)
        of_mask = iter(masks)
        new: list[Any] = []
        for part in parts_of(places):
            new += [torch.tensor(axis, dtype=torch.int64) for axis in next(of_mask)] if is_mask(part) else [part]
        return func(x, tuple(new), *value)

    def places(self, func: Callable, mask: Tensor, **options: Any) -> Any:
        masks = next(self.remaining, None)
        if masks is None:
            return func(mask, **options)
        axes = [torch.tensor(axis, dtype=torch.int64) for axis in masks[0]]
        return tuple(axes) if func is torch.where or options.get("as_tuple") else torch.stack(axes, 1)


def tensors_in(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def memory_of(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def parts_of(places: Any) -> tuple[Any, ...]:
    return places if isinstance(places, tuple) else (places,)


def is_mask(part: Any) -> bool:
    """Whether a part of an index chooses by true and false: a tensor, an array or a list of them."""
    if isinstance(part, list):
        return bool(part) and all(
            isinstance(value, bool) or (isinstance(value, list) and is_mask(value)) for value in part
        )
    return str(getattr(part, "dtype", "")) in {"torch.bool", "torch.uint8", "bool"} and part.ndim > 0
