"""The page of a finished run: a section of the one report, in the run's folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge.checkpoint import Checkpoint
from edge.data.squares import load_squares
from edge.data.table import PhotoSet
from edge.files import sha256
from edge.questions.training.measure import Judged, training_report

from ._cut import ROLES, Cut
from ._folder import MASKS, UNSEEN
from ._leaks import SplitLeaks


@dataclass(frozen=True)
class Evidence:
    """What a run's page shows beside its figures; not kept in the checkpoint."""

    judged: Judged
    cuts: tuple[Cut, ...]
    leaks: SplitLeaks


def write_page(
    folder: Path, checkpoint: Checkpoint, metrics: dict[str, Any], history: Sequence[dict], evidence: Evidence
) -> Path:
    """Write training.json and render report.html in the run's folder; returns the page. InputError as `render`."""
    photos = evidence.judged.photos
    report = training_report(
        evidence.judged,
        load_squares(photos, checkpoint.preprocess.side)[1],
        model=checkpoint.model,
        checkpoint_sha256=checkpoint.sha256,
        unseen_sha256=sha256(folder / UNSEEN),
        masks=masks_of(folder, metrics),
        figures={name: value for name, value in metrics.items() if name not in {"answers", "masks"}},
        history=history,
        recipe=checkpoint.recipe,
        sets=[part_of(cut, own["sha256"]) for cut, own in zip(evidence.cuts, checkpoint.data, strict=False)],
        leaks=asdict(evidence.leaks),
    )
    return report.write(folder)


def masks_of(folder: Path, metrics: dict[str, Any]) -> dict[str, Any] | None:
    """The figures of the masks by set and the digest of their list; None of a network that learned none."""
    return {"by_set": metrics["masks"], "sha256": sha256(folder / MASKS)} if metrics.get("masks") else None


def part_of(cut: Cut, digest: str) -> dict[str, Any]:
    """How much of a set is in each part; `digest`: of what was learned from."""
    whole: PhotoSet = cut.train
    counts = {role: getattr(cut, role) for role in ROLES}
    return {
        "name": whole.name,
        "licence": whole.licence,
        "synthetic": whole.synthetic,
        "packed_side": whole.packed_side,
        "sha256": digest,
        **{role: {"photographs": len(part), "patients": len(set(part.patients))} for role, part in counts.items()},
    }
