"""The .aimodel format: written files are run by Apple's own runtime, a beta."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge.checkpoint import Checkpoint
from edge.manifest import Audit, FineTuned, Manifest
from edge.recipes import COREAI
from edge.runtimes.coreai import CoreAI, check_installed

from .._format import Source
from .audit import known_faults
from .program import float_program, rewritten, save


@dataclass(frozen=True)
class Prepared:
    checkpoint: Checkpoint
    masks: bool  # whether the network gives them
    remark: str = "files are run by Core AI's own runtime, a beta; what the chips of a phone make of them may differ"

    def measured(self, source: Source, recipes: Sequence[str]) -> Prepared:
        if "fp16" not in recipes:
            return self
        faults = known_faults(rewritten(self.checkpoint, half=True), self.checkpoint)
        return replace(self, remark="; ".join((self.remark, *faults)))

    def unreachable(self, recipe: str) -> str | None:
        return None

    def write(self, recipe: str, target: Path, manifest: Manifest) -> None:
        save(float_program(self.checkpoint, recipe), target, manifest, recipe)

    def write_with_answers(self, recipe: str, alone: Path, target: Path, manifest: Manifest) -> None:
        save(float_program(self.checkpoint, recipe, answers=True), target, manifest, recipe, answers=True)

    def shortcomings(self, recipe: str, path: Path, *, answers: int = 0) -> list[str]:
        runtime = CoreAI(path)
        try:
            return runtime.shortcomings(
                recipe=recipe,
                side=self.checkpoint.preprocess.side,
                labels=[label.code for label in self.checkpoint.labels],
                mask=self.masks,
                answers=answers,
            )
        finally:
            runtime.close()

    def audit(self, recipe: str, path: Path) -> Audit | None:
        return None

    def opens_from(self, recipe: str, path: Path) -> str:
        return COREAI[recipe].opens_from

    def fine_tuned(self, recipe: str) -> FineTuned | None:
        return None


class CoreAIFormat:
    name, suffix, recipes = "aimodel", ".aimodel", COREAI

    def lower(self, source: Source) -> Prepared:
        check_installed(converting=True)
        return Prepared(source.checkpoint, source.reference.masks is not None)
