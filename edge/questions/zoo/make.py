"""Files by whatever converts; what is there already is not made again."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import edge
from edge import artifact
from edge.checkpoint import load
from edge.errors import InputError
from edge.files import read_json, write_json
from edge.progress import report
from edge.questions.zoo.plan import Job

log = logging.getLogger("dermedge")

TRIED = "tried.json"  # what was converted from which weights, also where a gate then rejected the file

# Writes a job's files of these recipes into a folder that is there; InputError if it cannot. That a gate rejects a file
# is no error. It is given, because a converter lies beyond what this package may import.
Convert = Callable[[Job, Sequence[str], Path], None]


def make_missing(jobs: Sequence[Job], out: Path, *, side: int, convert: Convert) -> None:
    """Convert what is not in `out` yet. `side`: of random weights, pixels. InputError if a converter cannot."""
    total, done = sum(len(job.recipes) for job in jobs), 0
    for job in jobs:
        folder = out / job.model
        identity = identity_of(job, side)
        tried = tried_in(folder, identity)
        missing = [recipe for recipe in job.recipes if f"{job.format} {recipe}" not in tried]
        done += len(job.recipes) - len(missing)
        report("converting", done, total, f"{job.model} {job.format}")
        if missing:
            begun = time.monotonic()
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / TRIED).exists():
                write_json(folder / TRIED, {})  # whose folder this is, also if the converter is stopped
            convert(job, missing, folder)
            tried |= {f"{job.format} {recipe}" for recipe in missing}
            write_json(folder / TRIED, {**identity, "tried": sorted(tried)})
            done += len(missing)
            log.info(f"{job.model} {job.format}: {', '.join(missing)}, {time.monotonic() - begun:.0f} s")
    report("converting", done, total, ended=True)


def identity_of(job: Job, side: int) -> dict:
    """What must be the same for a file not to be made again."""
    weights = {"sha256": load(job.checkpoint).sha256} if job.checkpoint else {"untrained": 0, "side": side}
    return {"dermedge": edge.__version__, **weights}


def tried_in(folder: Path, identity: dict) -> set[str]:
    """What was tried with the same weights and version; the folder is emptied if it is of others, or not whole."""
    path = folder / TRIED
    if path.is_file():
        kept = read_json(path, expected="what the zoo has made")
        tried = kept.pop("tried", [])
        if kept == identity and (folder / artifact.MANIFEST).is_file():
            try:
                artifact.verify(folder, artifact.read(folder))
                return set(tried)
            except InputError as error:
                log.warning(f"{error}: {folder.name} is made anew")
    if folder.exists():
        if not path.is_file() and any(folder.iterdir()):
            raise InputError(f"{folder} was not made by `dermedge zoo`; give another folder with `out`, or remove it")
        shutil.rmtree(folder)
    return set()
