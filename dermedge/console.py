"""What a person sees of a command: messages, progress bars with the time left, errors with their exit codes."""

from __future__ import annotations

import atexit
import io
import logging
import os
import re
import signal
import sys
import threading
import warnings
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edge.errors import BAD_INPUT, GATE_FAILED, GOOD, GateError, InputError, did_you_mean, install
from edge.progress import Progress, listening

if TYPE_CHECKING:
    import rich.progress
    from rich.console import Console

INTERRUPTED, TERMINATED = 130, 143  # 128 + SIGINT, 128 + SIGTERM, as shells report them
LOGGER = "dermedge"  # what the library has to say beside its results

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


def entry(parser: Callable[[], ArgumentParser]) -> Callable[[Main], Main]:
    """The frame of a command: bars, messages, and one line on standard error with an exit code for what goes wrong.

    The library's errors name parameters in backticks; `parser` tells which flag of this command sets each.
    """

    def decorated(main: Main) -> Main:
        @wraps(main)
        def wrapped(argv: list[str] | None = None) -> int:
            try:
                for stream in (sys.stdout, sys.stderr):
                    if isinstance(stream, io.TextIOWrapper):
                        stream.reconfigure(errors="backslashreplace")  # names of files need be no text
                with ExitStack() as frame:
                    frame.enter_context(terminated_like_interrupted())
                    frame.enter_context(messages_on_screen())
                    frame.enter_context(own_temporary_folder())
                    frame.enter_context(progress_on_screen())
                    return main(argv)
            except SystemExit as stop:  # from argparse, which has said what is wrong
                if stop.code == BAD_INPUT:
                    for line in meant_flags(sys.argv[1:] if argv is None else argv, parser()):
                        print(line, file=sys.stderr)
                raise
            except InputError as error:
                print(f"error: {in_flags(str(error), parser())}", file=sys.stderr)
                return BAD_INPUT
            except GateError as error:
                print(f"failed: {in_flags(str(error), parser())}", file=sys.stderr)
                return GATE_FAILED
            except KeyboardInterrupt as stop:
                print(str(stop) or "interrupted", file=sys.stderr)
                return INTERRUPTED
            except Terminated as stop:
                print(str(stop).replace("interrupted", "terminated") or "terminated", file=sys.stderr)
                return TERMINATED
            except BrokenPipeError:  # `dermedge ... | head`
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return GOOD
            except ModuleNotFoundError as error:
                if (error.name or "edge").split(".")[0] in {"dermedge", "edge", "train", "convert"}:
                    raise
                print(f"error: {error.name} is not installed; {install('all')}, or the extra you need", file=sys.stderr)
                return BAD_INPUT
            except OSError as error:
                print(f"error: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
                return BAD_INPUT

        return wrapped

    return decorated


def meant_flags(argv: list[str], parser: ArgumentParser) -> list[str]:
    """A line for each flag that this command does not have and that resembles one of its own."""
    flags = [flag for action in parser._actions for flag in action.option_strings]
    given = [word.partition("=")[0] for word in argv if word.startswith("--")]
    unknown = [flag for flag in given if not any(own.startswith(flag) for own in flags)]
    return [f"{flag}{meant}" for flag in unknown if (meant := did_you_mean(flag, flags))]


def in_flags(message: str, parser: ArgumentParser) -> str:
    """The message with `parameter` in backticks as the flag of this command that sets it."""
    flags = {action.dest: action.option_strings[-1] for action in parser._actions if action.option_strings}
    flags.setdefault("photos", flags.get("data", "photos"))  # what the flag of `photos` is called

    def flag(match: re.Match[str]) -> str:
        return flags.get(match[1], match[1])

    return re.sub(r"`([a-z_]+)`", flag, message)


@contextmanager
def own_temporary_folder() -> Iterator[None]:
    """Temporary files of this process, also those of converters, in a folder that goes with it.

    What was left by commands that were killed is removed. Nothing is done where there is no place for such files.
    """
    import tempfile

    from edge.files import locked_folder_in

    before = tempfile.tempdir
    with ExitStack() as stack:
        with suppress(OSError, InputError):
            work = stack.enter_context(locked_folder_in(Path(tempfile.gettempdir())))
            tempfile.tempdir = str(work)
        try:
            yield
        finally:
            tempfile.tempdir = before


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


class ScreenHandler(logging.Handler):
    """The library's messages as lines on the screen; a warning is marked as a note."""

    def emit(self, record: logging.LogRecord) -> None:
        note = "[yellow]note[/] " if record.levelno >= logging.WARNING else ""
        from rich.markup import escape

        screen().print(note + escape(record.getMessage()), soft_wrap=True)


@contextmanager
def messages_on_screen() -> Iterator[None]:
    """Show what the library logs while a command runs."""
    logger, handler = logging.getLogger(LOGGER), ScreenHandler(logging.INFO)
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


@contextmanager
def progress_on_screen() -> Iterator[None]:
    """A bar with count and time left for every task that is reported. Nothing is drawn where no terminal watches."""
    if not sys.stdout.isatty():  # rich itself is not loaded for `--help` or into a pipe
        yield
        return
    bars = Bars()
    try:
        with listening(bars.show):
            yield
    finally:
        bars.close()


class Bars:
    """Rich's progress display, started with the first task and stopped after the last, so that prompts stay clean."""

    def __init__(self) -> None:
        self.display: rich.progress.Progress | None = None
        self.tasks: dict[str, rich.progress.TaskID] = {}

    def show(self, progress: Progress) -> None:
        if progress.ended:
            task = self.tasks.pop(progress.task, None)
            if self.display and task is not None:
                self.display.remove_task(task)
            if not self.tasks:
                self.close()
            return
        if self.display is None:
            self.display = new_display()
            self.display.start()
        if progress.task not in self.tasks:
            self.tasks[progress.task] = self.display.add_task(progress.task, total=progress.total, note="")
        self.display.update(
            self.tasks[progress.task], completed=progress.done, total=progress.total, note=progress.note
        )

    def close(self) -> None:
        if self.display is not None:
            self.display.stop()
        self.display, self.tasks = None, {}


def new_display() -> rich.progress.Progress:
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
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("elapsed,"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=screen(),
        transient=True,
        redirect_stdout=False,  # what others print has its own way to go
        redirect_stderr=False,
    )


@contextmanager
def third_party_noise_into(log: Path) -> Iterator[None]:
    """Send everything that is written to standard output and error, also from C++, into `log`.

    Our own console keeps the terminal. An exception that leaves the block is not swallowed; the
    log then says what led to it.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    atexit.register(no_last_words)
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


def no_last_words() -> None:
    """LiteRT reports its own end on standard error, after that of Python; let it do so unseen."""
    if "ai_edge_litert" in sys.modules:
        sys.stderr.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
