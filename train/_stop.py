"""How a run is interrupted: the step under way ends, the state is saved, and the same options go on from there."""

from __future__ import annotations

import signal
import threading


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM, after the state was saved. `number`: of the signal."""

    def __init__(self, words: str, number: int = signal.SIGINT) -> None:
        super().__init__(words)
        self.number = int(number)


class Abandoned(KeyboardInterrupt):
    """A second Ctrl-C or SIGTERM, with nothing saved since the last finished epoch."""


class StopRequest:
    """Notes Ctrl-C or SIGTERM, so that the step under way ends before the state is saved.

    A second one raises `Abandoned` at once; the state of the last finished epoch then stands. Off the main thread,
    where Python lets nobody handle signals, nothing is noted.
    """

    asked = False
    number: int = signal.SIGINT  # of the signal

    def __enter__(self) -> StopRequest:
        signals = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
        self.before = {number: signal.signal(number, self.note) for number in signals}
        return self

    def note(self, number: int, frame: object) -> None:
        if self.asked:
            raise Abandoned
        self.asked, self.number = True, number

    def __exit__(self, *exception: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
