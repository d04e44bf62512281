"""Locks between processes that the system frees when a process ends, however it ends.

An exclusive transaction of SQLite on an empty file: it uses what each system has for this, so that nothing outside the
standard library is needed, and nothing stays locked by a process that was killed.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from logging import INFO, WARNING
from pathlib import Path

from edge.errors import InputError
from edge.write_errors import cannot_write

NAME = ".lock"  # of the lock's file, in the folder that it is for
WAIT_S = 0.2  # between two tries

log = logging.getLogger("dermedge")


class Lock:
    """The lock of one folder. Its file is there while somebody holds it, or was killed while holding it."""

    def __init__(self, folder: Path, name: str = NAME) -> None:
        self.path = folder / name
        self.held: sqlite3.Connection | None = None

    def take(self) -> bool:
        """Whether the lock is ours now; False if it is another's. Raises OSError where no file can be made."""
        self.path.touch()
        before = self.identity()
        try:
            connection = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise OSError(f"{self.path} cannot be locked ({error})") from error
        ours = self.identity() == before  # it is this file that is open, so that nothing else gets its number
        try:
            connection.execute("PRAGMA journal_mode=OFF")  # nothing is ever written
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            connection.close()
            if "locked" in str(error):
                return False
            raise OSError(f"{self.path} cannot be locked ({error})") from error
        if not ours or self.identity() != before:  # whoever held the file has removed it
            connection.close()
            return self.take()
        self.held = connection
        return True

    def identity(self) -> tuple[int, int] | None:
        """Device and number of the file that is there now; None if none is."""
        with suppress(FileNotFoundError):
            there = self.path.stat()
            return there.st_dev, there.st_ino
        return None

    def free(self) -> None:
        """Let the next one in."""
        if self.held is not None:
            with suppress(OSError):  # Windows removes no file that is open; then it stays, empty
                self.path.unlink()
            self.held.close()
            self.held = None


@contextmanager
def alone_in(folder: Path, *, name: str = NAME) -> Iterator[None]:
    """Nobody else writes into `folder` in this block; who comes later waits, and says so.

    The lock is the file `name` there. The folder is made if need be. Raises InputError where it cannot be written.
    """
    lock = Lock(folder, name)
    take_in_turn(lock, folder, f"another process is writing into {folder}; waiting until it has finished", WARNING)
    try:
        yield
    finally:
        lock.free()


@contextmanager
def alone_at_first(folder: Path, *, name: str, waiting: str) -> Iterator[None]:
    """Who comes first is alone in this block; who comes meanwhile waits for it, and is then in it beside the others.

    The lock is the file `name` in `folder`, which is made if need be. Who waits says `waiting`. Raises InputError
    where the folder cannot be written.
    """
    lock = Lock(folder, name)
    if not take_in_turn(lock, folder, waiting, INFO):
        lock.free()
    try:
        yield
    finally:
        lock.free()


def take_in_turn(lock: Lock, folder: Path, waiting: str, level: int) -> bool:
    """Take the lock of `folder`; if it is another's, say `waiting` and take it then. Whether it was free at once."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if lock.take():
            return True
        log.log(level, "%s", waiting)
        while not lock.take():
            time.sleep(WAIT_S)
    except OSError as error:
        raise InputError(cannot_write(folder, error)) from error
    return False


@contextmanager
def refused_company(folder: Path, doing: str) -> Iterator[None]:
    """Nobody else does the same in `folder` in this block; InputError that says what for who comes later.

    The folder is made if need be. On a file system without locks nothing is refused.
    """
    lock = Lock(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(cannot_write(folder, error)) from error
    free = True
    with suppress(OSError):  # whoever writes there says so
        free = lock.take()
    if not free:
        raise InputError(f"another process is {doing} in {folder}; wait until it has finished, or give another `out`")
    try:
        yield
    finally:
        lock.free()
