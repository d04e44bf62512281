"""The .aimodel format: what a saved file says of itself is checked, then Apple's runtime runs it and it is judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.metrics.gates import judge as judge_arrays
from edge.questions.observe import observations_of, parity_summary, shortfalls
from edge.recipes import COREAI
from edge.runtimes.coreai import MODE, CoreAI

from .._format import Judged, Source, timed_run
from .program import float_program, save


class CoreAIFormat:
    suffix = ".aimodel"

    def entry(self, recipe: str) -> dict:
        return {"format": "aimodel", "input": {"layout": "NHWC", "dtype": "uint8"}}

    def prepare(self, source: Source, recipes: list[str]) -> str:
        import coreai_torch  # noqa: F401 - its import belongs here, where a status line is shown

        return "files are run by Core AI's own runtime, a beta; what the chips of a phone make of them may differ"

    def convert(self, source: Source, recipe: str, target: Path, manifest: dict) -> None:
        save(float_program(source.checkpoint, recipe), target, manifest, recipe)

    def judge(self, source: Source, recipe: str, path: Path, test_images: np.ndarray, *, strict: bool) -> Judged:
        runtime = CoreAI(path)
        try:
            labels = [label.code for label in source.checkpoint.labels]
            wrong = runtime.shortcomings(
                recipe=recipe,
                side=source.checkpoint.preprocess.side,
                labels=labels,
                mask=source.reference.masks is not None,
            )
            if wrong:
                return Judged(recipe, path, rejected=True, verdict="fail", remarks=tuple(wrong))
            candidate, milliseconds = timed_run(runtime, source.images)
            answers = runtime.run_all(test_images)
        finally:
            runtime.close()
        found = judge_arrays(
            recipe,
            observations_of(source.photos, *source.reference),
            candidate.probabilities,
            masks=candidate.masks,
            untrained=bool(source.checkpoint.untrained),
        )
        binding = COREAI[recipe].binds(source.checkpoint, strict=strict)
        return Judged(
            recipe,
            path,
            rejected=binding and found.verdict == "fail",
            verdict=found.verdict,
            parity=parity_summary(found, runtime=MODE, photos=source.photos, binding=binding),
            milliseconds=milliseconds,
            remarks=shortfalls(found) if binding else (),
            self_test=answers,
        )
