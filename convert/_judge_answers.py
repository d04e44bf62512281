"""Run a converted file that takes answers, with no, some and all of them, and say whether it may stay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from edge.manifest import AnsweredParity
from edge.metrics.gates import FileParity, Verdict, overall
from edge.questions.answered import NONE
from edge.questions.observe import parity_summary, shortfalls, undecided
from edge.runtimes import Outputs
from edge.runtimes.open import modes_of

from ._format import Format, Prepared, Source
from ._judge import Judged, answers_on_views, broken_rules, compared, opened

ORDER = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS, Verdict.REPORTED)  # the worst first


def judge_with_answers(
    form: Format,
    prepared: Prepared,
    source: Source,
    alone: Judged,
    path: Path,
    test_images: np.ndarray,
    *,
    strict: bool,
) -> Judged:
    """What came of a file that takes answers, made of the file of `alone`: by its gate with no, some and all of them.

    What is told of it is the worst of the three. A float file has to say exactly what the other says while nothing is
    answered.
    """
    answered, recipe = source.answered, alone.recipe
    assert answered is not None and alone.candidate is not None
    wrong = prepared.shortcomings(recipe, path, answers=answered.places)
    if wrong:
        return Judged(recipe, path, rejected=True, verdict="fail", remarks=tuple(wrong), answers=True)
    views = source.views_for(form.recipes[recipe])
    runtime = opened(path, form, source)
    candidates, times = {}, []
    try:
        for case, rows in answered.vectors.items():
            task = f"judging {path.name}, {case} answered"
            candidates[case], milliseconds = answers_on_views(
                runtime, path, form, source, views, task=task, answers=rows
            )
            times.append(milliseconds)
        plain, told = runtime.run(test_images), runtime.run(test_images, answered.test_vectors)
    finally:
        runtime.close()
    audit = prepared.audit(recipe, path)
    results = {
        case: compared(source, recipe, answered.outputs[case], candidate, audit, views)
        for case, candidate in candidates.items()
    }
    binding = form.recipes[recipe].binds(trained=source.checkpoint.learned, strict=strict)
    remarks = [f"{case} answered: {line}" for case, result in results.items() for line in shortfalls(result)]
    off = form.recipes[recipe].activations > 8 and apart(candidates[NONE], alone.candidate)
    if off:
        remarks.append(f"with nothing answered it is not {alone.path.name}, but {off:.2g} from it")
    verdict = "fail" if off else overall(Verdict(result.verdict) for result in results.values()).value
    worst = min(results.values(), key=lambda result: (ORDER.index(result.verdict), median_sqnr(result)))
    parity = parity_summary(worst, runtime=modes_of(form.name)[0], photos=source.photos, binding=binding)
    return Judged(
        recipe,
        path,
        rejected=bool(off) or (binding and verdict == "fail") or (strict and bool(broken_rules(audit, recipe))),
        verdict=verdict,
        parity=replace(parity, by_answers=tuple(by_case(case, result) for case, result in results.items())),
        milliseconds=float(np.median(times)),
        remarks=tuple(remarks),
        undecided=tuple(check for result in results.values() for check in undecided(result)) if binding else (),
        opens_from=prepared.opens_from(recipe, path),
        audit=audit,
        fine_tuned=prepared.fine_tuned(recipe),
        self_test=plain,
        answers=True,
        self_test_answered=told,
    )


def median_sqnr(result: FileParity) -> float:
    return result.statistics.sqnr_db.value if result.statistics else -np.inf


def by_case(case: str, result: FileParity) -> AnsweredParity:
    """The manifest's words on one case."""
    statistics, sqnr = result.statistics, median_sqnr(result)
    return AnsweredParity(
        answered=case,
        verdict=str(result.verdict),
        sqnr_db_median=sqnr if np.isfinite(sqnr) else None,
        agreement=statistics.agreement.value if statistics else 0.0,
        largest_delta_p=min(1.0, statistics.largest_delta_p) if statistics else 1.0,
    )


def apart(a: Outputs, b: Outputs) -> float:
    """The largest difference of a probability, of a class or a pixel; what is not finite counts as infinite."""
    pairs = [(a.probabilities, b.probabilities)]
    if a.masks is not None and b.masks is not None:
        pairs.append((a.masks, b.masks))
    return max(float(np.nan_to_num(np.abs(x - y), nan=np.inf).max()) for x, y in pairs)
