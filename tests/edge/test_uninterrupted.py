"""Signals that come while files move."""

from __future__ import annotations

import signal
import threading

import pytest

from edge.uninterrupted import uninterrupted


class Stopped(BaseException):
    pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_counts_afterwards_and_once(number: int) -> None:
    def stop(_number: int, _frame: object) -> None:
        raise Stopped

    before, done = signal.signal(number, stop), []
    try:
        with pytest.raises(Stopped), uninterrupted():
            signal.raise_signal(number)
            signal.raise_signal(number)
            done.append("all of it")
        assert done and signal.getsignal(number) is stop
    finally:
        signal.signal(number, before)


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_error_is_the_one_that_counts() -> None:
    with pytest.raises(ValueError, match="broke"), uninterrupted():
        signal.raise_signal(signal.SIGINT)
        raise ValueError("broke")


def test_off_the_main_thread() -> None:
    done = []

    def work() -> None:
        with uninterrupted():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done
