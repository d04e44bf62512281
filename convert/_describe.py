"""The manifest's facts about a model, and the table on the screen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge import thresholds
from edge.artifact import INTENDED_USE, SCHEMA, share_8bit
from edge.checkpoint import Checkpoint, versions_here
from edge.files import size
from edge.labels import to_json
from edge.metrics.masks import THRESHOLD
from edge.models.cost import cost
from edge.models.deployed import OUTPUTS

from ._format import Judged, Source

if TYPE_CHECKING:
    from rich.table import Table

COLOURS = {"pass": "green", "checked": "green", "fail": "red", "inconclusive": "yellow", "reported": "yellow"}
# What must be said of a data set wherever its photographs have gone into a model.
ATTRIBUTIONS = {
    "PAD-UFES-20": (
        "PAD-UFES-20: Pacheco AGC, Lima GR, Salomão AS, Krohling B, Biral IP, de Angelo GG, Alves Jr FCR, Esgario JGM, "
        "Simora AC, Castro PBC, Rodrigues FB, Frasson PHL, Krohling RA, Knidel H, Santos MCS, Espírito Santo RB, "
        "Macedo TLSG, Canuto TRP, de Barros LFS, Mendeley Data V1, 2020, doi:10.17632/zr7vgbcyr2.1, CC BY 4.0"
    ),
    "ISIC dermoscopy": "International Skin Imaging Collaboration (ISIC) Archive, CC0 images",
}


def base_manifest(source: Source, family: str) -> dict:
    """Everything but the files and the self-test."""
    checkpoint = source.checkpoint
    parameters, macs = cost(checkpoint.network(), checkpoint.preprocess.side)
    return {
        "schema": SCHEMA,
        "model": checkpoint.model,
        "family": family,
        "checkpoint_sha256": checkpoint.sha256,
        "parameters": parameters,
        "macs": macs,
        "labels": to_json(checkpoint.labels),
        "input": {"name": "image", "side": checkpoint.preprocess.side, "colour": "RGB", "range": [0, 255]},
        "preprocess": {
            "version": checkpoint.preprocess.version,
            "crop": "centred square",
            "resize": "mean over the area of each pixel, both ways, in whole numbers, half up (docs/preprocess.md)",
        },
        "output": {
            "name": "probabilities",
            "meaning": "softmax of logits / temperature, in the order of the labels",
            "temperature": checkpoint.temperature,
            "abstain_threshold": None,
        },
        **({"mask": mask_output(checkpoint.preprocess.side)} if source.reference.masks is not None else {}),
        "files": [],
        "self_test": [],
        "training": {
            "data": checkpoint.data,
            "attribution": attribution(checkpoint),
            **({"untrained": checkpoint.untrained} if checkpoint.untrained else {}),
        },
        "intended_use": INTENDED_USE,
        "versions": versions_here(),
    }


def mask_output(side: int) -> dict:
    """The manifest's `mask`, of a network that gives one."""
    return {
        "name": OUTPUTS[1],
        "meaning": "probability that a pixel of the input is lesion; rows from the top, columns from the left",
        "side": side,
        "threshold": THRESHOLD,
    }


def with_decision(manifest: dict, source: Source) -> dict:
    """The manifest with the thresholds that were measured with this checkpoint, if they were."""
    checkpoint = source.checkpoint
    section = thresholds.find(source.path, checkpoint_sha256=checkpoint.sha256, side=checkpoint.preprocess.side)
    return thresholds.with_section(manifest, section)


def attribution(checkpoint: Checkpoint) -> str:
    if checkpoint.untrained:
        return "nobody: the weights are random and the answers mean nothing"
    names = [str(part.get("name")) for part in checkpoint.data if isinstance(part, dict)]
    return "; ".join(ATTRIBUTIONS.get(name, name) for name in names) or "unknown"


def audit_table(judged: list[Judged]) -> Table:
    """What each file is made of."""
    from rich.table import Table

    pieces = ["XNNPACK pieces"] if any("xnnpack_partitions" in (result.audit or {}) for result in judged) else []
    table = Table(title="what the files are made of")
    table.add_column("recipe")
    for name in ("operators", "layout", "rank", "MACs", "8-bit layers", "peak memory", *pieces, "warnings"):
        table.add_column(name, justify="right")
    for result in judged:
        if result.audit:
            a = result.audit
            table.add_row(
                result.recipe,
                str(sum(a["operators"].values())),
                f"{a['layout_operators']}, {a['layout_bytes'] / 1e6:.1f} MB",
                str(a["largest_rank"]),
                f"{a['macs'] / 1e6:.0f} M",
                f"{share_8bit(a) or 0:.0%}",
                f"{a['peak_activation_bytes'] / 1e6:.1f} MB",
                *(str(a.get("xnnpack_partitions", "-")) for _ in pieces),
                str(len(a["warnings"])),
            )
    return table


def dice_of(parity: Mapping[str, Any]) -> str:
    """The median image's, of the file's mask and the float model's."""
    dice = (parity.get("masks") or {}).get("dice_median")
    return "-" if dice is None else f"{dice:.4f}"


def result_table(judged: list[Judged], source: Source, folder: Path) -> Table:
    from rich.table import Table

    photos = source.photos
    kind = "synthetic images" if photos.synthetic else "photographs of unseen patients"
    weights = ", random weights" if source.checkpoint.untrained else ""
    table = Table(
        title=f"{source.checkpoint.model}{weights}: {len(photos)} {kind} ({photos.name}), one thread of this host"
    )
    table.add_column("recipe")
    masks = source.reference.masks is not None
    dice = ("mask Dice",) if masks else ()
    for name in ("bytes", "host ms", "SQNR dB", "agreement", "largest |Δp|", *dice):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for result in judged:
        path = result.path if result.path.exists() else folder / result.path.name
        found = result.parity or {}
        sqnr = found.get("sqnr_db_median")
        colour = COLOURS[result.verdict]
        table.add_row(
            result.recipe,
            f"{size(path):,}" if path.exists() else "-",
            f"{result.milliseconds:.1f}" if result.milliseconds is not None else "-",
            "-" if not found else f"{sqnr:.1f}" if sqnr is not None else "equal",
            f"{found['agreement']:.1%}" if found else "-",
            f"{found['largest_delta_p']:.2g}" if found else "-",
            *([dice_of(found)] if masks else []),
            f"[{colour}]{result.verdict}[/]" + (" (rejected)" if result.rejected else ""),
        )
    return table
