"""The manifest's facts about a model."""

from __future__ import annotations

from edge import thresholds
from edge.checkpoint import Checkpoint, versions_here
from edge.manifest import Manifest, Mask, Output, Reference, Training, Untrained
from edge.metrics.masks import THRESHOLD
from edge.models.cost import cost

from ._format import Source

# What must be said of a data set wherever its photographs have gone into a model.
ATTRIBUTIONS = {
    "PAD-UFES-20": (
        "PAD-UFES-20: Pacheco AGC, Lima GR, Salomão AS, Krohling B, Biral IP, de Angelo GG, Alves Jr FCR, Esgario JGM, "
        "Simora AC, Castro PBC, Rodrigues FB, Frasson PHL, Krohling RA, Knidel H, Santos MCS, Espírito Santo RB, "
        "Macedo TLSG, Canuto TRP, de Barros LFS, Mendeley Data V1, 2020, doi:10.17632/zr7vgbcyr2.1, CC BY 4.0"
    ),
    "ISIC dermoscopy": "International Skin Imaging Collaboration (ISIC) Archive, CC0 images",
}


def base_manifest(source: Source) -> Manifest:
    """Everything but the files and the self-test."""
    checkpoint = source.checkpoint
    parameters, macs = cost(checkpoint.network(), checkpoint.preprocess.side)
    untrained = checkpoint.untrained
    return Manifest(
        model=checkpoint.model,
        family=checkpoint.family,
        checkpoint_sha256=checkpoint.sha256,
        reference=Reference("checkpoint", checkpoint.sha256),
        parameters=parameters,
        macs=macs,
        labels=checkpoint.labels,
        side=checkpoint.preprocess.side,
        preprocess=checkpoint.preprocess.version,
        output=Output("softmax of logits / temperature, in the order of the labels", checkpoint.temperature),
        training=Training(
            tuple(checkpoint.data), attribution(checkpoint), Untrained(**untrained) if untrained else None
        ),
        versions=versions_here(),
        mask=mask_output(checkpoint.preprocess.side) if source.reference.masks is not None else None,
    )


def mask_output(side: int) -> Mask:
    """The manifest's `mask`, of a network that gives one."""
    meaning = "probability that a pixel of the input is lesion; rows from the top, columns from the left"
    return Mask(meaning, side, THRESHOLD)


def with_decision(manifest: Manifest, source: Source) -> Manifest:
    """The manifest with the thresholds that were measured with this checkpoint, if they were."""
    checkpoint = source.checkpoint
    if source.path is None:
        return thresholds.with_section(manifest, None)
    section = thresholds.find(source.path, checkpoint_sha256=checkpoint.sha256, side=checkpoint.preprocess.side)
    return thresholds.with_section(manifest, section)


def attribution(checkpoint: Checkpoint) -> str:
    if checkpoint.untrained:
        return "nobody: the weights are random and the answers mean nothing"
    names = [str(part.get("name")) for part in checkpoint.data if isinstance(part, dict)]
    return "; ".join(ATTRIBUTIONS.get(name, name) for name in names) or "unknown"
