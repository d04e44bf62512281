"""How long the fuzzing tests go on: bounded in the suite, `make fuzz` for as many times as many examples."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

TIMES = int(os.environ.get("DERMEDGE_FUZZ", "1"))


def fuzzed(examples: int):
    """A hypothesis test with so many examples; under `make fuzz` with other ones every time."""

    def decorate(test):
        limits = settings(
            max_examples=examples * TIMES, deadline=None, derandomize=TIMES == 1,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )  # fmt: skip
        return pytest.mark.fuzz(limits(test))

    return decorate
