"""How long an image takes: not how long other programs had the processor."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest

from edge.runtimes import Outputs, timing
from edge.runtimes.timing import ratio_in_turn, timed_run


class Runtime:
    def run(self, images_u8: np.ndarray, answers: np.ndarray | None = None) -> Outputs:
        return Outputs(np.full((len(images_u8), 2), 0.5, np.float32), None)


def test_a_busy_machine_does_not_make_a_file_of_this_process_slow(monkeypatch: pytest.MonkeyPatch):
    by_the_clock, of_the_processor = (count(0.0, step) for step in (0.5, 0.25))  # seconds: half went to other programs
    monkeypatch.setattr(
        timing,
        "time",
        SimpleNamespace(
            perf_counter=lambda: next(by_the_clock),
            process_time=lambda: next(of_the_processor),
        ),
    )
    images = np.zeros((5, 8, 8, 3), np.uint8)
    outputs, milliseconds = timed_run(Runtime(), images, task="judging", own_process=True)
    assert milliseconds == 250.0 and len(outputs.probabilities) == 5
    # another process computes: its processor time is not this one's
    assert timed_run(Runtime(), images, task="judging")[1] == 500.0


def test_two_files_take_turns_so_that_a_machine_that_slows_down_slows_both(monkeypatch: pytest.MonkeyPatch):
    """One takes twice as long as the other while the machine gets slower by a hundredth with every call."""
    now, pace = 0.0, 1.0
    order = []

    def call(name: str, seconds: float) -> None:
        nonlocal now, pace
        order.append(name)
        now += seconds * pace
        pace *= 1.01

    stopped_clock = SimpleNamespace(perf_counter=lambda: now, process_time=lambda: now)
    monkeypatch.setattr(timing, "time", stopped_clock)
    monkeypatch.setattr(timing, "ENOUGH_S", 1000.0)
    ratio = ratio_in_turn(lambda _: call("slow", 2.0), lambda _: call("fast", 1.0))
    assert ratio == pytest.approx(2.0 / 1.01, rel=1e-6)
    assert order == ["slow", "fast"] * (timing.ROUNDS + 1)  # and once before it counts
    order.clear()
    monkeypatch.setattr(timing, "ENOUGH_S", 1.0)
    ratio_in_turn(lambda _: call("slow", 2.0), lambda _: call("fast", 1.0))
    assert len(order) == 2 * (timing.FEWEST_ROUNDS + 1)
