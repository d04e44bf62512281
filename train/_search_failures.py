"""Which folds of a search failed: kept beside their folders for every process, once it is known whose fault it is."""

from __future__ import annotations

import logging
from pathlib import Path
from threading import Lock as ThreadLock

from edge.errors import InputError
from edge.files import read_json, write_json

from ._fold_log import last_words
from ._fold_runs import FoldRun, claim
from ._folds import fold_folder

log = logging.getLogger("dermedge")

INTERRUPTED = (130, 143)  # exit codes of a fold that was told to stop, and goes on another time
MARK = ".failed.json"  # end of the name of the file beside a fold's folder
MOST_FAILURES = 3  # of a process that has finished no fold


class Failures:
    """The failures that one process sees.

    Where every fold fails it may be the machine: a full disk, a package that lacks. Until this process has finished a
    fold its failures are not kept, so that others try these folds; after those of `most` trials it gives up.
    """

    def __init__(self, most: int = MOST_FAILURES) -> None:
        self.most = most
        self.finished = False
        self.unsure: dict[FoldRun, int] = {}  # exit codes
        self.one_tells = ThreadLock()

    def is_unwanted(self, run: FoldRun) -> bool:
        """Whether this fold or an earlier one of its trial failed.

        Folds begin in their order, so that the first one that fails is the same, however many processes there are.
        """
        folder, fold = run.folder.parent, int(run.folder.name.rpartition("-")[2])
        earlier = [fold_folder(folder, own) for own in range(fold + 1)]
        unsure = {other.folder for other in list(self.unsure)}
        return any(own in unsure or own.with_name(own.name + MARK).is_file() for own in earlier)

    def ended(self, run: FoldRun, code: int) -> None:
        """Take note of a fold that ended here; one that was told to stop, or killed, goes on another time.

        Raises InputError where the folds of `most` trials failed and none was finished.
        """
        with self.one_tells:
            if code == 0:
                self.finished = True
                self.keep_unsure()
            elif code > 0 and code not in INTERRUPTED:
                log.warning("%s failed with exit code %d: %s", run.name, code, last_words(run.log))
                if self.finished:
                    keep(run, code)
                    return
                self.unsure[run] = code
                trials = len({own.folder.parent for own in self.unsure})
                if trials >= self.most:
                    raise InputError(
                        f"{trials} trials failed here and no fold was finished; the last: {last_words(run.log)} (see "
                        f"{run.log}). None is kept as failed. If it is their recipes and not this machine, give more "
                        "`most_failures`"
                    )

    def keep_unsure(self) -> None:
        """Keep what failed before this process finished a fold, or all folds were over."""
        for run, code in self.unsure.items():
            held = claim(run)
            if held is not None:  # nobody tries it
                if not run.finished:
                    keep(run, code)
                held.free()
        self.unsure.clear()


def mark_of(run: FoldRun) -> Path:
    """The file that says that a fold failed."""
    return run.folder.with_name(run.folder.name + MARK)


def keep(run: FoldRun, code: int) -> None:
    write_json(mark_of(run), {"exit_code": code, "said": last_words(run.log)})


def failure_in(folder: Path, folds: int) -> str:
    """Why a trial failed, of the first of its folds that did; "" for none."""
    for fold in range(folds):
        path = folder / f"{fold_folder(folder, fold).name}{MARK}"
        if path.is_file():
            told = read_json(path, expected="what a fold failed with")
            return f"fold {fold}, exit code {told.get('exit_code')}: {told.get('said')}"
    return ""
