"""Folds as processes of their own: those of one folder, shared among the jobs of a machine and among machines.

Who trains a fold holds a lock beside its folder. The system frees it when its holder ends, however it ends, so that
nothing has to be told that a machine is gone: another one goes on from the fold's last state.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from threading import Lock as ThreadLock

import edge
from edge.errors import InputError
from edge.locks import Lock
from edge.progress import track
from edge.write_errors import cannot_write

from ._fold_log import code_under_torchrun
from ._folder import STATE
from ._parent import ending_with_parent

log = logging.getLogger("dermedge")

GRACE_S = 5.0  # for processes that were told to stop with this one
LOOK_S = 2.0  # between two looks at what others train
SKIPPED = 0  # what a fold counts as that nobody has to train


@dataclass(frozen=True)
class FoldRun:
    """A fold that `dermedge train` shall train."""

    name: str  # in messages
    flags: tuple[str, ...]  # of `dermedge train`
    folder: Path  # where its files go; what it says goes beside it
    processes: int = 1  # of torchrun, each with a batch and, where there are some, a GPU of its own

    @property
    def log(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.log")

    @property
    def finished(self) -> bool:
        """A run that was killed while it wrote its figures has its state still, and goes on from there."""
        return (self.folder / "checkpoint.json").is_file() and not (self.folder / STATE).is_file()


Ended = Callable[[FoldRun, int], None]  # told of a fold that this process has trained, and its exit code


def train_folds(
    runs: Sequence[FoldRun],
    environments: Sequence[Mapping[str, str]],
    *,
    force: bool = False,
    unwanted: Callable[[FoldRun], bool] = lambda run: False,
    check: Callable[[FoldRun], None] = lambda run: None,
    on_end: Ended = lambda run, code: None,
) -> dict[int, int]:
    """Train what is not finished, one at a time in each environment; exit codes by place in `runs`, of this process.

    What other processes train is waited for, and taken over where they end without having finished it. `unwanted`
    folds count as over. `check` sees each fold that others have finished, and may refuse it with an InputError.
    Interrupted, it stops the folds that train.
    """
    work = Work(runs, force=force, unwanted=unwanted, check=check, on_end=on_end)
    threads = [Thread(target=work.go_through, args=(own,), daemon=True) for own in environments]
    for thread in threads:
        thread.start()
    try:
        return dict(track(work.ended(), "training folds", len(runs)))
    except BaseException:
        work.over.set()
        stop(work.children)
        for thread in threads:  # the folds save their state
            thread.join()
        raise


class Work:
    """The folds of a folder, as this process knows them; its threads go through them at the same time."""

    def __init__(
        self,
        runs: Sequence[FoldRun],
        *,
        force: bool,
        unwanted: Callable[[FoldRun], bool],
        check: Callable[[FoldRun], None],
        on_end: Ended,
    ) -> None:
        self.runs, self.force, self.unwanted, self.check, self.on_end = runs, force, unwanted, check, on_end
        self.open = dict(enumerate(runs))  # neither over nor being trained by a thread of this process
        self.one_looks = ThreadLock()
        self.over = Event()
        self.told: SimpleQueue[tuple[int, int] | BaseException] = SimpleQueue()
        self.children: list[subprocess.Popen[bytes]] = []
        self.waited = False

    def ended(self) -> Iterator[tuple[int, int]]:
        """Place and exit code of each fold as it ends; raises what a thread has raised."""
        for _ in self.runs:
            ended = self.told.get()
            if isinstance(ended, BaseException):
                raise ended
            yield ended
        self.over.set()

    def go_through(self, environment: Mapping[str, str]) -> None:
        """Train one fold after the other until none is open."""
        try:
            while self.open and not self.over.is_set():
                with self.chosen() as place:
                    if place is not None:
                        self.train(place, environment)
                if place is None and self.open:
                    self.over.wait(LOOK_S)
        except BaseException as error:
            self.told.put(error)

    @contextmanager
    def chosen(self) -> Iterator[int | None]:
        """The first open fold that nobody trains, held against others in this block; None if there is none now."""
        held: Lock | None = None
        place = None
        try:
            with self.one_looks:
                for place, run in list(self.open.items()):
                    if self.is_over(run):
                        del self.open[place]
                        self.told.put((place, SKIPPED))
                        continue
                    held = claim(run)
                    if held is None:
                        continue
                    if self.is_over(run):  # its holder has just finished it
                        held.free()
                        held = None
                        del self.open[place]
                        self.told.put((place, SKIPPED))
                        continue
                    del self.open[place]
                    break
                else:
                    place = None
                    if self.open and not self.waited:
                        self.waited = True
                        log.info("%d fold(s) are trained by other processes; waiting for them", len(self.open))
            yield place
        finally:
            if held is not None:
                held.free()

    def is_over(self, run: FoldRun) -> bool:
        if self.unwanted(run):
            return True
        if self.force or not run.finished:
            return False
        self.check(run)
        return True

    def train(self, place: int, environment: Mapping[str, str]) -> None:
        run = self.runs[place]
        code = train_fold(run, environment, force=self.force, children=self.children)
        if code and run.finished and not self.force:
            code = SKIPPED  # on a shared disk it came into sight late
        if code and not self.force and not self.over.is_set() and is_trained(run):
            with self.one_looks:  # by one whose parent was killed as it started; it is waited for
                self.open = dict(sorted({**self.open, place: run}.items()))
            return
        if not self.over.is_set():
            self.on_end(run, code)
        self.told.put((place, code))


def claim(run: FoldRun) -> Lock | None:
    """The lock on a fold, ours until freed; None if another process trains it, be it one whose parent was killed."""
    lock, training = Lock(run.folder.parent, f".{run.folder.name}.claim"), Lock(run.folder)
    try:
        run.folder.mkdir(parents=True, exist_ok=True)
        if lock.take():
            if training.take():
                training.free()
                return lock
            lock.free()
        return None
    except OSError as error:
        lock.free()
        if error.errno is not None:
            raise InputError(cannot_write(run.folder, error)) from error
        log.warning("%s; nobody else may train in %s", error, run.folder.parent)  # a file system without locks
        return lock


def is_trained(run: FoldRun) -> bool:
    """Whether a process trains in the fold's folder now, whoever started it."""
    training = Lock(run.folder)
    try:
        free = training.take()
    except OSError:  # a file system without locks
        return False
    training.free()
    return not free


def train_fold(
    run: FoldRun, environment: Mapping[str, str], *, force: bool, children: list[subprocess.Popen[bytes]]
) -> int:
    """Train one fold in a process of its own; its exit code, or minus the signal that ended it."""
    flags = list(run.flags)
    if force:
        flags += ["--force"]
    elif (run.folder / STATE).is_file():
        flags += ["--resume"]
    log.info("%s: training, see %s", run.name, run.log)
    starter = [sys.executable, "-m"]
    if run.processes > 1:
        starter += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(run.processes), "-m"]
    command = [*starter, "dermedge.cli", "train", *flags]
    # safe path: whatever lies in the current folder, the command is ours
    surroundings = {**own_environment(), **environment, "PYTHONSAFEPATH": "1"}
    with run.log.open("a") as said:
        start = os.fstat(said.fileno()).st_size
        child = subprocess.Popen(ending_with_parent(command), stdout=said, stderr=subprocess.STDOUT, env=surroundings)
        children.append(child)
        code = child.wait()
    if code and run.processes > 1:
        code = code_under_torchrun(run.log, code, start=start)
    log.info("%s: %s", run.name, "finished" if code == 0 else f"stopped with exit code {code}")
    return code


def stop(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """Have processes save their state and end: after a while, since a terminal's Ctrl-C has told them already."""
    deadline = time.monotonic() + GRACE_S
    while any(child.poll() is None for child in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    for child in children:
        if child.poll() is None:
            child.terminate()


def own_environment() -> dict[str, str]:
    """That of this process, in which a clone's packages are found first; installed ones are found without."""
    own = Path(edge.__file__).resolve().parents[1]
    if own.name in {"site-packages", "dist-packages"}:
        return dict(os.environ)
    paths = [str(own), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
