"""Files by the converters, each in a process of its own; what is there already is not made again."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import edge
from dermedge.cli import module_of
from dermedge.console import screen
from edge import artifact
from edge.checkpoint import load
from edge.data.selection import Photographs
from edge.errors import GATE_FAILED, GOOD, InputError
from edge.files import read_json, write_json
from edge.progress import report

from .plan import FORMATS, Job

LOG = "zoo.log"
TRIED = "tried.json"  # what was converted from which weights, also where a gate then rejected the file


def made(jobs: Sequence[Job], out: Path, *, side: int, data: Photographs) -> None:
    """Convert what is missing, with a progress bar. InputError if a converter cannot; a rejected file is no error."""
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
            convert(job, missing, folder, side=side, data=data)
            tried |= {f"{job.format} {recipe}" for recipe in missing}
            write_json(folder / TRIED, {**identity, "tried": sorted(tried)})
            done += len(missing)
            screen().print(f"{job.model} {job.format}: {', '.join(missing)}, {time.monotonic() - begun:.0f} s")
    report("converting", done, total, ended=True)


def identity_of(job: Job, side: int) -> dict:
    """What must be the same for a file not to be made again."""
    weights = {"sha256": load(job.checkpoint).sha256} if job.checkpoint else {"untrained": 0, "side": side}
    return {"dermedge": edge.__version__, **weights}


def tried_in(folder: Path, identity: dict) -> set[str]:
    """What was tried with the same weights and version; the folder is emptied if it is of others, or not whole."""
    path = folder / TRIED
    if path.is_file():
        found = read_json(path, what="what the zoo has made")
        tried = found.pop("tried", [])
        if found == identity and (folder / artifact.MANIFEST).is_file():
            try:
                artifact.verify(folder, artifact.read(folder))
                return set(tried)
            except InputError as error:
                screen().print(f"[yellow]note[/] {error}: {folder.name} is made anew", soft_wrap=True)
    if folder.exists():
        if not path.is_file() and any(folder.iterdir()):
            raise InputError(f"{folder} was not made by `dermedge zoo`; give another --out, or remove it")
        shutil.rmtree(folder)
    return set()


def convert(job: Job, recipes: Sequence[str], folder: Path, *, side: int, data: Photographs) -> None:
    command = FORMATS[job.format][0]
    weights = ["--checkpoint", str(job.checkpoint)] if job.checkpoint else ["--untrained", "--side", str(side)]
    arguments = ["--model", job.model, *weights, "--out", str(folder), "--force"]
    arguments += [word for recipe in recipes for word in ("--recipe", recipe)] + (["--data", str(data)] if data else [])
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / TRIED).exists():
        write_json(folder / TRIED, {})  # whose folder this is, also if the converter is stopped
    with (folder / LOG).open("a") as log:
        log.write(f"$ dermedge {command} {' '.join(arguments)}\n")
        log.flush()
        module = module_of(command)
        done = subprocess.run([sys.executable, "-m", module, *arguments], stdout=log, stderr=log, check=False)
    if done.returncode == GATE_FAILED:
        screen().print(f"[yellow]{job.model}[/] {job.format}: a gate rejected a file; {folder / LOG} says why")
    elif done.returncode != GOOD:
        last = (folder / LOG).read_text(encoding="utf-8").strip().splitlines()[-1]
        raise InputError(f"`dermedge {command} {' '.join(arguments)}` ended with {done.returncode}: {last}")
