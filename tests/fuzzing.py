"""How long the fuzzing tests go on: bounded in the suite, `make fuzz` for as many times as many examples."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

# What a caller may give by mistake in place of a number, a text or a list.
ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.sampled_from([10**400, -(2**63)]), st.floats(), st.text(max_size=3),
    st.binary(max_size=3), st.lists(st.integers(0, 3) | st.floats(), max_size=4), st.complex_numbers(),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2), st.just({1, 2}), st.just(object()),
)  # fmt: skip

TIMES = int(os.environ.get("DERMEDGE_FUZZ", "1"))


def mostly(good: Any) -> st.SearchStrategy[Any]:
    """A good value, and one time in ten anything else."""
    return st.integers(0, 9).flatmap(lambda n: ANYTHING if n == 0 else st.just(good))


def fuzzed(examples: int, *, seconds_each: float = 0.1):
    """A hypothesis test with so many examples; under `make fuzz` with other ones every time.

    `seconds_each`: how long an example takes, about; of those above a second `make fuzz` draws a tenth as many more.
    """
    times = TIMES if seconds_each < 1 else max(1, TIMES // 10)

    def decorate(test):
        limits = settings(
            max_examples=examples * times, deadline=None, derandomize=TIMES == 1,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            # a failure is made smaller under `make fuzz` only, because that takes minutes
            phases=[Phase.explicit, Phase.generate] if TIMES == 1 else tuple(Phase),
        )  # fmt: skip
        return pytest.mark.fuzz(limits(test))

    return decorate
