"""Every wanted recipe of one lowered network, written and judged; none of a network that was lowered wrongly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge.errors import InputError
from edge.manifest import Manifest
from edge.progress import busy

from ._first_off import first_off
from ._format import Format, Prepared, Source
from ._judge import Judged, judge
from ._judge_answers import judge_with_answers

FLOAT = "fp32"  # the recipe from which all others are made
NOT_MADE = f"not made, because {FLOAT}, from which it would be, fails its gate"
LOOKED_INTO = 2  # images, those furthest off, in which the operation that is off is looked for


@dataclass(frozen=True)
class Job:
    """What is written, from what, and where to."""

    form: Format
    source: Source
    manifest: Manifest  # whose facts go into the files
    work: Path  # a folder for files that are not judged yet
    names: Mapping[str, str]  # wanted recipe -> file name
    answers_names: Mapping[str, str]  # the same of files that take answers; empty where none are wanted
    test_images: np.ndarray  # uint8 (N, S, S, 3)


def write_and_judge(job: Job, prepared: Prepared, judged: list[Judged]) -> str:
    """Append every wanted recipe to `judged` as soon as it is; returns the remark about what was done.

    The list is the caller's, so that whoever interrupts this still has what is finished.
    """
    with busy(f"{FLOAT}: converting and judging the lowered network"):
        float32 = written_and_judged(job, prepared, FLOAT)
    if float32.verdict == "fail":  # with `strict` it may also be rejected for a warning of its audit
        refused = rejections(job, float32)
        judged += [*refused, *(without_its_base(job, result) for result in refused if job.answers_names)]
        return prepared.remark
    if FLOAT in job.names:
        judged.append(float32)
        judged += with_answers(job, prepared, float32)
    others = [recipe for recipe in job.names if recipe != FLOAT]
    if not others:
        return prepared.remark
    prepared = prepared.measured(job.source, others)
    for recipe in others:
        with busy(f"{recipe}: converting and judging"):
            why = prepared.unreachable(recipe)
            if why:
                result = Judged(recipe, target(job, recipe), rejected=True, verdict="fail", remarks=(why,))
            else:
                result = written_and_judged(job, prepared, recipe)
            judged.append(result)
        judged += with_answers(job, prepared, result)
    return prepared.remark


def with_answers(job: Job, prepared: Prepared, alone: Judged) -> list[Judged]:
    """The file that takes answers, made of the recipe's other file and judged, where such files are wanted."""
    if not job.answers_names:
        return []
    if alone.rejected:
        return [without_its_base(job, alone)]
    path = job.work / job.answers_names[alone.recipe]
    with busy(f"{alone.recipe} with answers: converting and judging"):
        try:
            prepared.write_with_answers(alone.recipe, alone.path, path, job.manifest)
        except InputError as error:
            return [Judged(alone.recipe, path, rejected=True, verdict="fail", remarks=(str(error),), answers=True)]
        strict = job.source.strict
        return [judge_with_answers(job.form, prepared, job.source, alone, path, job.test_images, strict=strict)]


def without_its_base(job: Job, alone: Judged) -> Judged:
    """That there is no file with answers where the one that it would be made of was rejected."""
    path = job.work / job.answers_names[alone.recipe]
    why = f"not made, because {alone.path.name}, of which it would be, was rejected"
    return Judged(alone.recipe, path, rejected=True, verdict="fail", remarks=(why,), answers=True)


def written_and_judged(job: Job, prepared: Prepared, recipe: str) -> Judged:
    path = target(job, recipe)
    prepared.write(recipe, path, job.manifest)
    return judge(job.form, prepared, job.source, recipe, path, job.test_images, strict=job.source.strict)


def target(job: Job, recipe: str) -> Path:
    """Where a recipe is written before it is judged."""
    return job.work / job.names.get(recipe, f"{job.source.checkpoint.model}-{recipe}{job.form.suffix}")


def rejections(job: Job, float32: Judged) -> list[Judged]:
    """Every wanted recipe, rejected because of the float file that it would be made from, with the cause."""
    remarks = (*float32.remarks, *causes(job, float32))
    return [
        replace(float32, rejected=True, remarks=remarks)
        if recipe == FLOAT
        else Judged(recipe, target(job, recipe), rejected=True, verdict="fail", remarks=(NOT_MADE, *remarks))
        for recipe in job.names
    ]


def causes(job: Job, float32: Judged) -> list[str]:
    """In words: the first operation that is off; nothing for a file that was not run."""
    if float32.parity is None:
        return []
    places = list(float32.furthest[:LOOKED_INTO]) or list(range(min(LOOKED_INTO, len(job.source.images))))
    with busy("looking for the first operation that is off"):
        return [first_off(job.source.checkpoint, float32.path, job.form.name, job.source.images[places])]
