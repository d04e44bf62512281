"""Run a converted file, compare it with the float model, and say whether it may stay. The same for every format."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edge.accelerators import is_notice
from edge.errors import InputError
from edge.manifest import Audit, FineTuned, Parity
from edge.metrics.gates import FileParity
from edge.metrics.gates import judge as judge_arrays
from edge.questions.observe import observations_of, parity_summary, shortfalls, undecided
from edge.runtimes import Outputs, Runtime, joined
from edge.runtimes.open import modes_of, open_file
from edge.runtimes.phone import run_side_by_side
from edge.runtimes.timing import timed_run

from ._answered import STEM
from ._format import Format, Prepared, Source

SIDE_BY_SIDE = {
    "tflite"
}  # formats whose runtime computes outside of Python, so that threads do not wait for each other
SAME_PROCESS = {"tflite", "onnx"}  # computed by this process on any system: on a Mac others may use another processor


@dataclass(frozen=True)
class Judged:
    """One converted file and what came of it."""

    recipe: str
    path: Path
    rejected: bool  # a binding gate failed
    verdict: str  # pass, fail, inconclusive or reported
    parity: Parity | None = None
    milliseconds: float | None = None  # on this host, median, one thread
    time_ratio: float | None = None  # by the float32 file's time, both in turn on this host
    remarks: tuple[str, ...] = ()  # what fell short, in words
    undecided: tuple[dict[str, Any], ...] = ()  # checks for which too few patients were seen
    opens_from: str = ""  # the oldest runtime or system that opens it
    audit: Audit | None = None
    fine_tuned: FineTuned | None = None
    self_test: Outputs | None = None  # what it says of the self-test images
    answers: bool = False  # it has the second input
    self_test_answered: Outputs | None = None  # of the self-test images with answers
    candidate: Outputs | None = None  # what it says of the judged images, with nothing answered
    furthest: tuple[int, ...] = ()  # places of the images, those whose answer is furthest from the model's first

    @property
    def name(self) -> str:
        """The recipe, and before it that the file takes answers."""
        return f"{STEM}-{self.recipe}" if self.answers else self.recipe


def judge(
    form: Format, prepared: Prepared, source: Source, recipe: str, path: Path, test_images: np.ndarray, *, strict: bool
) -> Judged:
    """Open what was written, check what it says of itself, and compare its answers with the model's."""
    wrong = prepared.shortcomings(recipe, path)
    if wrong:
        return Judged(recipe, path, rejected=True, verdict="fail", remarks=tuple(wrong))
    views = source.views_for(form.recipes[recipe])
    runtime = opened(path, form, source)
    try:
        candidate, milliseconds = answers_on_views(runtime, path, form, source, views, task=f"judging {path.name}")
        answers = runtime.run(test_images)
    finally:
        runtime.close()
    audit = prepared.audit(recipe, path)
    result = compared(source, recipe, source.reference, candidate, audit, views)
    binding = form.recipes[recipe].binds(trained=source.checkpoint.learned, strict=strict)
    return Judged(
        recipe,
        path,
        rejected=(binding and result.verdict == "fail") or (strict and bool(broken_rules(audit, recipe))),
        verdict=result.verdict,
        parity=parity_summary(result, runtime=modes_of(form.name)[0], photos=source.photos, binding=binding),
        milliseconds=milliseconds,
        remarks=shortfalls(result),
        undecided=undecided(result) if binding else (),
        opens_from=prepared.opens_from(recipe, path),
        audit=audit,
        fine_tuned=prepared.fine_tuned(recipe),
        self_test=answers,
        candidate=candidate,
        furthest=furthest_first(
            source.reference.probabilities[: len(candidate.probabilities)], candidate.probabilities
        ),
    )


def opened(path: Path, form: Format, source: Source) -> Runtime:
    """The runtime of a written file; InputError where it takes another side than the model."""
    runtime = open_file(path, form.name)
    if runtime.side != source.checkpoint.preprocess.side:
        runtime.close()
        raise InputError(f"{path.name} takes {runtime.side} pixels, the model {source.checkpoint.preprocess.side}")
    return runtime


def answers_on_views(
    runtime: Runtime,
    path: Path,
    form: Format,
    source: Source,
    views: int,
    *,
    task: str,
    answers: np.ndarray | None = None,
) -> tuple[Outputs, float]:
    """What a file says of the judged photographs in so many views, and the milliseconds of one.

    The photographs themselves are run one after the other and timed, their other views on all cores where the runtime
    lets threads run side by side. `answers`: the second input, a row for each image of `source`.
    """
    photographs, images = len(source.photos), len(source.photos) * views
    plain = None if answers is None else answers[:photographs]
    candidate, milliseconds = timed_run(
        runtime, source.images[:photographs], task=task, answers=plain, own_process=form.name in SAME_PROCESS
    )
    if views == 1:
        return candidate, milliseconds
    others = source.images[photographs:images]
    rows = None if answers is None else answers[photographs:images]
    if form.name in SIDE_BY_SIDE:
        rest = run_side_by_side(partial(open_file, path, form.name), others, task=f"{task}, more views", answers=rows)
    else:
        rest = timed_run(runtime, others, task=f"{task}, more views", answers=rows)[0]
    return joined([candidate, rest]), milliseconds


def compared(
    source: Source, recipe: str, reference: Outputs, candidate: Outputs, audit: Audit | None, views: int
) -> FileParity:
    """What a file says of the judged photographs, in so many views, against what the model says, by its gate."""
    images = len(source.photos) * views
    probabilities, masks = reference
    return judge_arrays(
        recipe,
        observations_of(source.photos, probabilities[:images], None if masks is None else masks[:images], views=views),
        candidate.probabilities,
        masks=candidate.masks,
        mac_share_int8=audit.share_8bit if audit else None,
        untrained=bool(source.checkpoint.untrained),
    )


def furthest_first(wanted: np.ndarray, answers: np.ndarray) -> tuple[int, ...]:
    """Places of the images in the order of their largest difference, what is not a number first; empty if misshapen."""
    if wanted.shape != answers.shape:
        return ()
    apart = np.nan_to_num(np.abs(wanted - answers).max(axis=1), nan=np.inf, posinf=np.inf)
    return tuple(int(place) for place in np.argsort(-apart, kind="stable"))


def broken_rules(audit: Audit | None, recipe: str) -> list[str]:
    """The warnings of an audit, but not that a float32 package is float32, nor notices of accelerators' faults."""
    warnings = [line for line in (audit.warnings if audit else ()) if not is_notice(line)]
    return [line for line in warnings if not (recipe == "fp32" and line.startswith("ane-float32"))]
