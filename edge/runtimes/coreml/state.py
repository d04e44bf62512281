"""`MLState`: what a stateful model keeps between predictions, with the interface of coremltools' class of that name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edge.errors import InputError

from .bind import widened
from .program import Output
from .stated import DTYPES


class MLState:
    """The values of all states of a model, zero at first. `make_state` of a model makes it, `predict` changes it.

    Another model takes it too if its states have the same names, shapes and types, such as another function of the
    package: language models read a prompt with one and go on with the other.
    """

    def __init__(self, kinds: tuple[Output, ...]) -> None:
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


def check_fits(state: object, kinds: tuple[Output, ...]) -> None:
    """InputError for what is no state, and for one whose values are not those that a model of such states keeps."""
    if not isinstance(state, MLState):
        raise InputError(f"a state is what make_state gives, got {type(state).__name__}")
    if state.kinds != {kind.name: kind for kind in kinds}:
        raise InputError(
            f"the state is not of this model: it holds {listed(state.kinds.values())}, the model keeps "
            f"{listed(kinds)}; take what its own make_state gives"
        )


def listed(kinds: Iterable[Output]) -> str:
    return ", ".join(f"{kind.name} ({kind.element.lower()}, {kind.shape})" for kind in kinds) or "nothing"
