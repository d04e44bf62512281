"""What a person sees: messages, a progress bar with the time left, errors with their exit codes."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from edge.errors import BAD_INPUT, GATE_FAILED, GOOD, GateError, InputError, install

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

T = TypeVar("T")
INTERRUPTED, TERMINATED = 130, 143  # 128 + SIGINT, 128 + SIGTERM, as shells report them

_screen: Console | None = None


def screen() -> Console:
    """The one console. It keeps writing to the real standard output while `third_party_noise_into` diverts it."""
    global _screen
    if _screen is None:
        from rich.console import Console

        # Wide where nobody is watching, so that tables in log files and pipes are not cut.
        _screen = Console(highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else 140)
    return _screen


class Main(Protocol):
    def __call__(self, argv: list[str] | None = None) -> int: ...


def entry(main: Main) -> Main:
    """Turn the errors that a user can cause into one line on standard error and an exit code."""

    @wraps(main)
    def wrapped(argv: list[str] | None = None) -> int:
        try:
            with terminated_like_interrupted():
                return main(argv)
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            return BAD_INPUT
        except GateError as error:
            print(f"failed: {error}", file=sys.stderr)
            return GATE_FAILED
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return INTERRUPTED
        except Terminated:
            print("terminated", file=sys.stderr)
            return TERMINATED
        except BrokenPipeError:  # `dermedge ... | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return GOOD
        except ModuleNotFoundError as error:
            if (error.name or "edge").split(".")[0] in {"edge", "train", "convert"}:
                raise
            print(
                f"error: {error.name} is not installed; {install('all')}, or the extra you need",
                file=sys.stderr,
            )
            return BAD_INPUT
        except OSError as error:
            print(f"error: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
            return BAD_INPUT

    return wrapped


class Terminated(BaseException):
    """SIGTERM: what is unfinished is cleared away, as after Ctrl-C."""


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """Turn SIGTERM into an exception while a command runs. Only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def progress(*extra: str) -> Progress:
    """A bar with count, time left and the named fields. Nothing is drawn where no terminal watches."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        *(TextColumn("{task.fields[" + name + "]}") for name in extra),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=screen(),
        transient=True,
        disable=not screen().is_terminal,
        redirect_stdout=False,  # what others print has its own way to go
        redirect_stderr=False,
    )


@contextmanager
def busy(what: str) -> Iterator[None]:
    """A turning wheel and a word while something of unknown length goes on. Nothing where no terminal watches."""
    if not screen().is_terminal:
        yield
        return
    from rich.live import Live
    from rich.spinner import Spinner

    with Live(Spinner("dots", what), console=screen(), transient=True, redirect_stdout=False, redirect_stderr=False):
        yield


def track(items: Iterable[T], what: str, total: int) -> Iterator[T]:
    """Iterate with a progress bar."""
    with progress() as bar:
        yield from bar.track(items, total=total, description=what)


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar for work that reports `(done, total)`."""
    with progress() as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def third_party_noise_into(log: Path) -> Iterator[None]:
    """Send everything that is written to standard output and error, also from C++, into `log`.

    Our own console keeps the terminal. An exception that leaves the block is not swallowed; the
    log then says what led to it.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    console = screen()
    sys.stdout.flush()
    sys.stderr.flush()
    kept_out, kept_err = os.dup(1), os.dup(2)
    with log.open("a", encoding="utf-8") as sink, os.fdopen(os.dup(kept_out), "w", encoding="utf-8") as terminal:
        os.dup2(sink.fileno(), 1)
        os.dup2(sink.fileno(), 2)
        console.file = terminal
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("default")  # to the log, also where ours are errors
                yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            console._file = None  # whatever standard output is by then
            os.dup2(kept_out, 1)
            os.dup2(kept_err, 2)
            os.close(kept_out)
            os.close(kept_err)
