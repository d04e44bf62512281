"""States: values that a program keeps from one prediction to the next (iOS 18)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass
class State:
    """What a state holds while a program runs. Operations never write into a tensor, so reading needs no copy."""

    value: Tensor


def read_state(input: State) -> Tensor:
    return input.value


def write_state(input: State, data: Tensor) -> tuple[()]:
    """ValueError for data of another shape or type: a state never changes either."""
    if data.shape != input.value.shape or data.dtype != input.value.dtype:
        raise ValueError(
            f"the state holds {input.value.dtype} of shape {tuple(input.value.shape)}, "
            f"not {data.dtype} of {tuple(data.shape)}"
        )
    input.value = data
    return ()


def coreml_update_state(state: State, value: Tensor) -> Tensor:
    """Writes, then gives what was written; coremltools saves it as the two operations above."""
    write_state(state, value)
    return value


TABLE = {
    "read_state": {"CoreML8": read_state},
    "write_state": {"CoreML8": write_state},
    "coreml_update_state": {"CoreML8": coreml_update_state},
}
EXACT: frozenset[str] = frozenset(TABLE)
