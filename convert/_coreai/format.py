"""The .aimodel format: written files are run by Apple's own runtime, a beta."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge.accelerators import notice
from edge.checkpoint import Checkpoint
from edge.manifest import Audit, FineTuned, Manifest
from edge.recipes import COREAI
from edge.runtimes.coreai import CoreAI, check_installed

from .._format import Source
from .program import float_program, save

HALF_FAULTS = ("coreai-torch#115", "coreai-torch#106")  # `edge/accelerators.py`


@dataclass(frozen=True)
class Prepared:
    checkpoint: Checkpoint
    masks: bool  # whether the network gives them
    remark: str = "files are run by Core AI's own runtime, a beta; what the chips of a phone make of them may differ"

    def measured(self, source: Source, recipes: Sequence[str]) -> Prepared:
        return replace(self, remark="; ".join((self.remark, *known_faults(recipes))))

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


def known_faults(recipes: Sequence[str]) -> list[str]:
    """What Apple's chips are reported to get wrong of these recipes. Issue 51 is not: fp16 has no linear layers."""
    return [notice(fault, "fp16", "whole file") for fault in HALF_FAULTS if "fp16" in recipes]
