"""Element by element, with broadcasting: arithmetic, comparison, logic, and functions of one number."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def add(x: Tensor, y: Tensor) -> Tensor:
    return x + y


def sub(x: Tensor, y: Tensor) -> Tensor:
    return x - y


def mul(x: Tensor, y: Tensor) -> Tensor:
    return x * y


def real_div(x: Tensor, y: Tensor) -> Tensor:
    """True division; of whole numbers the quotient is cut towards zero, without a detour by floats."""
    if x.is_floating_point() or y.is_floating_point():
        return x / y
    return torch.div(x, y, rounding_mode="trunc")


def floor_div(x: Tensor, y: Tensor) -> Tensor:
    return torch.div(x, y, rounding_mode="floor")


def mod(x: Tensor, y: Tensor) -> Tensor:
    """The rest has the sign of the divisor."""
    return torch.remainder(x, y)


def power(x: Tensor, y: Tensor) -> Tensor:
    return torch.pow(x, y)


def maximum(x: Tensor, y: Tensor) -> Tensor:
    return torch.maximum(*torch.broadcast_tensors(x, y))


def minimum(x: Tensor, y: Tensor) -> Tensor:
    return torch.minimum(*torch.broadcast_tensors(x, y))


def binary(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    def op(x: Tensor, y: Tensor) -> Tensor:
        return function(x, y)

    return op


def unary(function: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    def op(x: Tensor) -> Tensor:
        return function(x)

    return op


def clip(x: Tensor, alpha: float, beta: float) -> Tensor:
    return x.clamp(alpha, beta)


def inverse(x: Tensor, epsilon: float = 1e-4) -> Tensor:
    return 1 / (x + epsilon)


def log(x: Tensor, epsilon: float = 1e-45) -> Tensor:
    return torch.log(x + epsilon)


def rsqrt(x: Tensor, epsilon: float = 1e-12) -> Tensor:
    return torch.rsqrt(x + epsilon)


def threshold(x: Tensor, alpha: float) -> Tensor:
    """Not below alpha."""
    return x.clamp(min=alpha)


def square(x: Tensor) -> Tensor:
    return x * x


def select(cond: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """a where the condition holds, else b."""
    return torch.where(cond.bool(), a, b)


TABLE = {
    "add": add, "sub": sub, "mul": mul, "real_div": real_div, "floor_div": floor_div, "mod": mod, "pow": power,
    "maximum": maximum, "minimum": minimum, "clip": clip, "inverse": inverse, "log": log, "rsqrt": rsqrt,
    "threshold": threshold, "square": square, "select": select,
    "equal": binary(torch.eq), "not_equal": binary(torch.ne), "greater": binary(torch.gt), "less": binary(torch.lt),
    "greater_equal": binary(torch.ge), "less_equal": binary(torch.le), "logical_and": binary(torch.logical_and),
    "logical_or": binary(torch.logical_or), "logical_xor": binary(torch.logical_xor),
    "logical_not": unary(torch.logical_not), "abs": unary(torch.abs), "acos": unary(torch.acos),
    "asin": unary(torch.asin), "atan": unary(torch.atan), "atanh": unary(torch.atanh), "ceil": unary(torch.ceil),
    "cos": unary(torch.cos), "cosh": unary(torch.cosh), "erf": unary(torch.erf), "exp": unary(torch.exp),
    "exp2": unary(torch.exp2), "floor": unary(torch.floor), "round": unary(torch.round), "sign": unary(torch.sign),
    "sin": unary(torch.sin), "sinh": unary(torch.sinh), "sqrt": unary(torch.sqrt), "tan": unary(torch.tan),
    "tanh": unary(torch.tanh),
}  # fmt: skip
EXACT = frozenset({"select", "maximum", "minimum", "abs"})
