"""`MLState`: what a stateful model keeps between predictions, with the interface of coremltools' class of that name."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from edge.errors import InputError

from .bind import DTYPES, widened
from .program import Output


class MLState:
    """The values of all states of one model, zero at first. `make_state` of a model makes it, `predict` changes it."""

    def __init__(self, model: object, kinds: tuple[Output, ...]) -> None:
        self.model = model  # that it belongs to
        self.kinds = {kind.name: kind for kind in kinds}
        self.values: dict[str, Tensor] = {
            kind.name: widened(torch.zeros(kind.shape or (), dtype=DTYPES[kind.element])) for kind in kinds
        }

    def read_state(self, name: str) -> np.ndarray:
        """A copy of a state's value, in the state's shape and type. InputError for a name that the model lacks."""
        kind = self.kind(name)
        return np.array(self.values[name].to(DTYPES[kind.element]).numpy())

    def write_state(self, name: str, value: Any) -> None:
        """Sets a state to a copy of `value`, an array of the state's shape that its type can hold.

        InputError for a name that the model lacks, and for another shape.
        """
        kind = self.kind(name)
        array = np.asarray(value)
        if array.dtype.kind not in "fiub" or array.shape != (kind.shape or ()):
            raise InputError(
                f"the state {name} takes numbers of shape {kind.shape}, got {array.dtype} of shape {array.shape}"
            )
        self.values[name] = widened(torch.from_numpy(np.array(array)).to(DTYPES[kind.element]))

    def kind(self, name: str) -> Output:
        if name not in self.kinds:
            raise InputError(f"the model has no state {name}; its states are {', '.join(self.kinds) or 'none'}")
        return self.kinds[name]


def check_own(state: object, model: object) -> None:
    """InputError for a state that the model has not made."""
    if not isinstance(state, MLState) or state.model is not model:
        raise InputError("the state is not of this model: take what its own make_state gives")
