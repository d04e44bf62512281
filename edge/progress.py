"""How far long work is, told to whoever listens. The library prints nothing; a command or a notebook draws the bar."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """One report of one piece of work."""

    task: str  # what is being done: "reading PAD-UFES-20", "training"
    done: int  # units finished so far
    total: int | None  # units in all; None: work of unknown length
    note: str = ""  # figures to show beside the bar, such as the loss
    ended: bool = False  # the last report of this task, also where it was interrupted


Listener = Callable[[Progress], None]

_listener: ContextVar[Listener | None] = ContextVar("dermedge_progress_listener", default=None)


@contextmanager
def listening(listener: Listener | None) -> Iterator[None]:
    """Send the reports of everything that runs in this block, on this thread, to `listener`.

    None leaves whoever listened before in place, so that a function can hand its own `on_progress=None` through.
    """
    if listener is None:
        yield
        return
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def report(task: str, done: int, total: int | None, note: str = "", *, ended: bool = False) -> None:
    """Tell the listener, if there is one."""
    listener = _listener.get()
    if listener is not None:
        listener(Progress(task, done, total, note, ended))


def track(items: Iterable[T], task: str, total: int) -> Iterator[T]:
    """Iterate over `items`, reporting after each."""
    done = 0
    report(task, done, total)
    try:
        for item in items:
            yield item
            done += 1
            report(task, done, total)
    finally:
        report(task, done, total, ended=True)


@contextmanager
def busy(task: str) -> Iterator[None]:
    """Report the begin and the end of work of unknown length."""
    report(task, 0, None)
    try:
        yield
    finally:
        report(task, 1, None, ended=True)


@contextmanager
def counting(task: str) -> Iterator[Callable[[int, int], None]]:
    """A function to call with (done, total) while the work goes on."""
    report(task, 0, None)
    try:
        yield lambda done, total: report(task, done, total)
    finally:
        report(task, 0, None, ended=True)
