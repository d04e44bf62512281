"""What a file of timm's weights says about itself: which network it is of, and the colours that it expects.

Its names and shapes do not tell: `efficientnet_b0` and `tf_efficientnet_b0` differ in padding alone. Asked are, in this
order, a `config.json` beside the file, as timm's repositories have it, and the names of the file and its folders.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import InputError
from edge.files import read_json
from edge.models import normalisation
from edge.models.timm_names import is_timm

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger("dermedge")

Colours = tuple[tuple[float, float, float], tuple[float, float, float]]  # mean and deviation of RGB in [0, 1]
# Model -> the network of timm that is the same.
NETWORKS = {
    "mobilenetv2": "mobilenetv2_100",
    "mobilenetv3_large": "mobilenetv3_large_100",
    "mnasnet": "mnasnet_100",
    "efficientnet_b0": "efficientnet_b0",
    "efficientnet_b0_tf": "tf_efficientnet_b0",
    "efficientnet_lite0": "tf_efficientnet_lite0",
    "efficientnet_lite1": "tf_efficientnet_lite1",
    "efficientnet_lite2": "tf_efficientnet_lite2",
    "mobilevit_s": "mobilevit_s",
}
# Networks that have the same tensors as one of those and give other answers with them.
TWINS = {
    "mobilenetv3_large_100": "tf_mobilenetv3_large_100",
    "efficientnet_b0": "tf_efficientnet_b0",
    "tf_efficientnet_b0": "efficientnet_b0",
    "tf_efficientnet_lite0": "efficientnet_lite0",
    "tf_efficientnet_lite1": "efficientnet_lite1",
    "tf_efficientnet_lite2": "efficientnet_lite2",
}
FORMER = {"mnasnet_b1": "mnasnet_100"}  # how files called a network before
HALF: Colours = ((0.5,) * 3, (0.5,) * 3)
PLAIN: Colours = ((0.0,) * 3, (1.0,) * 3)
# What weights expect that differs from the family's; by (network, tag), of timm 1.0.31's tables.
TAGGED = (
    (r"tf_efficientnet_lite\d", r".*", HALF),
    (r"tf_efficientnet_b0", r"ap\b.*|ap_in1k", HALF),
    (r"mobilenetv3_large_100|efficientnet_b0", r".*ra4_e3600.*", HALF),
    (r"mobilenetv3_large_100", r".*miil.*", PLAIN),
)


@dataclass(frozen=True)
class Said:
    """What is known of a file; empty where nothing says it."""

    network: str = ""
    tag: str = ""  # which of a network's weights
    colours: Colours | None = None


def colours_of(file: Path, state: dict[str, Tensor], model: str) -> Colours:
    """Mean and deviation that published weights of `model` expect: those of the family, or what timm says of the file.

    InputError for weights of a network that is not `model`, though its tensors have the same names.
    """
    if not is_timm(state) or model not in NETWORKS:
        return normalisation(model)
    said, network = said_of(file), NETWORKS[model]
    if said.network and said.network != network:
        other = next((name for name, theirs in NETWORKS.items() if theirs == said.network), None)
        if other:
            instead = f"give `model` {other}"
        elif TWINS.get(network) == said.network:
            instead = (
                f"they have the same tensors, but {said.network} pads otherwise and is another network, which dermedge "
                f"does not have; take weights of timm's {network}"
            )
        else:
            instead = f"dermedge does not have timm's {said.network}; take weights of its {network}"
        raise InputError(f"{file} is of timm's {said.network}, and dermedge's {model} is timm's {network}: {instead}")
    if not said.network and network in TWINS:
        log.warning(
            f"nothing says whether {file.name} is of timm's {network} or {TWINS[network]}, which has the same tensors "
            f"and pads otherwise; it is taken for {network}. A config.json of timm's beside the file tells"
        )
    if said.colours:
        return said.colours
    for known, tag, colours in TAGGED:
        if re.fullmatch(known, network) and re.fullmatch(tag, said.tag):
            return colours
    return normalisation(model)


def said_of(file: Path) -> Said:
    """From timm's config.json beside the file, else from the names."""
    described = file.parent / "config.json"
    facts = read_json(described, expected="timm's description of its weights") if described.is_file() else None
    if isinstance(facts, dict) and isinstance(facts.get("architecture"), str):
        pretrained = facts.get("pretrained_cfg")
        pretrained = pretrained if isinstance(pretrained, dict) else facts
        return Said(facts["architecture"], str(pretrained.get("tag", "")), colours_in(pretrained, described))
    for name in (file.name, *(folder.name for folder in list(file.absolute().parents)[:3])):
        # folders as Hugging Face's cache names them, models--timm--NETWORK.TAG
        joint = r"[._-]" if name == file.name else r"\."
        names = sorted({*NETWORKS.values(), *TWINS.values(), *FORMER}, key=len, reverse=True)
        if match := re.match(rf"(?:models-{{2}}timm-{{2}})?({'|'.join(names)}){joint}(.*)", name):
            return Said(FORMER.get(match[1], match[1]), match[2])
    return Said()


def colours_in(facts: dict, where: Path) -> Colours | None:
    """Mean and deviation of a description; None where it has none, InputError where they are malformed."""
    if "mean" not in facts and "std" not in facts:
        return None
    mean, std = (facts.get(key) for key in ("mean", "std"))
    for values, low in ((mean, 0.0), (std, 1e-3)):
        if not (isinstance(values, list) and len(values) == 3 and all(is_between(v, low, 1.0) for v in values)):
            raise InputError(f"{where}: mean and std are three numbers up to 1 each, got {mean!r} and {std!r}"[:500])
    return tuple(map(float, mean)), tuple(map(float, std))  # type: ignore[arg-type, return-value]


def is_between(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
