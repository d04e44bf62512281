"""How a set is cut and what a run may use of the machine, typed and checked before any photograph is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge.errors import InputError

SEEDS = (0, 2**32 - 1)
HELD_BACK = (0.02, 0.5)
PRECISIONS = ("auto", "32-true", "bf16-mixed", "64-true")


@dataclass(frozen=True)
class Split:
    """Which patients stay unseen and which set the temperature. The same numbers cut the same set alike."""

    folds: int = 5
    fold: int = 0  # the one that stays unseen
    held_back: float = 0.1  # share of the other patients
    seed: int = 0

    def check(self) -> None:
        """InputError for numbers that cut no set, whatever is in it."""
        check_ranges({"split_seed": self.seed}, {"split_seed": SEEDS})
        if self.folds < 2:
            raise InputError(f"`folds` is at least 2, got {self.folds}")
        if not 0 <= self.fold < self.folds:
            raise InputError(f"`fold` is 0 to {self.folds - 1}, got {self.fold}")
        if not HELD_BACK[0] <= self.held_back <= HELD_BACK[1]:
            raise InputError(f"`held_back` is a share between 0.02 and 0.5, got {self.held_back}")


@dataclass(frozen=True)
class Machine:
    """What a run may use. Precision and the number of processes are part of a run's identity, the rest is speed."""

    precision: str = "auto"  # of PRECISIONS; auto: bfloat16 where the processor multiplies it in hardware
    workers: int = 0  # processes that prepare batches; 0: the one that trains
    threads: int | None = None  # of the CPU; None: as many as torch takes

    def check(self) -> None:
        check_ranges({"threads": self.threads, "workers": self.workers}, {"threads": (1, 1024), "workers": (0, 1024)})
        if self.precision not in PRECISIONS:
            raise InputError(f"`precision` is one of {', '.join(PRECISIONS)}, got {self.precision!r}")


def check_ranges(values: Mapping[str, float | None], ranges: Mapping[str, tuple[float, float]]) -> None:
    """InputError that names the first value outside its range, ends included; None passes, NaN does not."""
    for name, (low, high) in ranges.items():
        value = values[name]
        if value is not None and not low <= value <= high:
            raise InputError(f"`{name}` is between {low} and {high}, got {value}")
