"""The training recipe: defaults here, overridden by whoever trains, written into the checkpoint."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

from edge.errors import InputError
from edge.models import DEFAULT_MODEL, SIDE_MULTIPLE

from ._options import SEEDS, check_ranges

QAT_EPOCHS = 4
OWN, SYNCHRONISED, FROZEN = BATCH_NORMS = ("own", "synchronised", "frozen")
MAX_SIDE = 1024  # pixels
# What the numbers of a recipe may be; beyond, training breaks or means nothing.
RANGES = {
    "seed": SEEDS, "learning_rate": (1e-7, 1.0), "final_rate": (0.0, 1.0), "warmup": (0.0, 0.9),
    "weight_decay": (0.0, 10.0), "label_smoothing": (0.0, 0.9), "balance": (0.0, 1.0), "evenness": (0.0, 1.0),
    "mixup": (0.0, 10.0), "descriptors": (0.0, 100.0), "guide": (0.0, 100.0),
    "distil": (0.0, 100.0), "distil_features": (0.0, 100.0), "class_weight": (0.0, 100.0), "contrast": (0.0, 100.0),
    "deep_supervision": (0.0, 100.0),
    "variants": (0, 10_000), "ema": (0.0, 1.0), "augment": (0.0, 1.0),
}  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    model: str = DEFAULT_MODEL
    # (side in pixels, epochs), one after the other: small images first cost a quarter and learn as much early on
    stages: tuple[tuple[int, int], ...] = ((64, 40), (128, 60))
    batch: int = 16  # images per step and process
    learning_rate: float = 2e-3  # peak of AdamW, after the warm-up
    final_rate: float = 0.01  # of the peak, at the end of the cosine
    warmup: float = 0.05  # share of all steps
    weight_decay: float = 0.05  # on matrices and kernels only
    label_smoothing: float = 0.05
    balance: float = 1.0  # strength of the logit adjustment: 0 none, 1 full
    evenness: float = 0.5  # of the draws: 0 photograph by photograph, 1 class by class
    mixup: float = 0.2  # Beta(a, a); 0 for none
    descriptors: float = 3.0  # weight of predicting hand-made descriptors beside the class
    guide: float = 6.0  # weight of agreeing with a linear classifier on those descriptors
    distil: float = 6.0  # weight of agreeing with the teachers, where there are some
    distil_features: float = 3.0  # weight of predicting what the first teacher's last layer gets
    class_weight: float = 0.25  # of the class against the mask, of networks that give both; ResFormer's
    variants: int = 0  # different views of a photograph, drawn once and kept; 0: a new one every epoch
    ema: float = 0.995  # decay per step of the averaged weights that are kept
    augment: float = 0.8  # strength: 0 none
    seed: int = 0
    # whose statistics: of each process's batch, of the batches of all, or those of the weights to start from
    batch_norm: str = OWN
    contrast: float = 0.0  # weight of drawing photographs of a class together, beside the class; PPCANet has 1
    deep_supervision: float = 0.0  # weight of telling the class from earlier maps as well, their mean

    def check(self) -> None:
        """InputError that names the first number with which no training could go on."""
        if self.batch < 2:
            raise InputError(f"`batch` is at least 2 (batch norm needs company), got {self.batch}")
        check_ranges(asdict(self), RANGES)
        if self.batch % self.views:
            raise InputError(f"with `contrast` each photograph is in a batch twice: `batch` is even, got {self.batch}")
        if self.batch_norm not in BATCH_NORMS:
            raise InputError(f"`batch_norm` is one of {', '.join(BATCH_NORMS)}, got {self.batch_norm!r}")
        check_stages(self.stages)

    @property
    def side(self) -> int:
        """The side that the finished model takes, in pixels."""
        return self.stages[-1][0]

    @property
    def views(self) -> int:
        """Of each photograph in a batch; to contrast it takes two, as PPCANet and arXiv:2004.11362 have."""
        return 2 if self.contrast else 1

    @property
    def sides(self) -> tuple[int, ...]:
        """All that are learned at, in pixels."""
        return tuple(dict.fromkeys(side for side, _ in self.stages))

    @property
    def epochs(self) -> int:
        return sum(epochs for _, epochs in self.stages)

    def share_done(self, epochs: float) -> float:
        """How far along the run is, 0 to 1, counted in pixels: a short last stage of large images still gets its
        share of the schedule, and with it the rate to adapt to the new scale."""
        pixels = [side * side * count for side, count in self.stages]
        done = 0.0
        for (_, count), weight in zip(self.stages, pixels, strict=True):
            done += weight * min(max(epochs, 0.0), count) / count
            epochs -= count
        return done / sum(pixels)

    def side_at(self, epoch: int) -> int:
        for side, epochs in self.stages:
            if epoch < epochs:
                return side
            epoch -= epochs
        return self.side


def for_qat(model: str, side: int) -> Recipe:
    """The defaults of fine-tuning for an 8-bit file: short and gentle, since the float answers shall stay."""
    return Recipe(
        model=model,
        stages=((side, QAT_EPOCHS),),
        learning_rate=2e-4,
        weight_decay=0.0,
        mixup=0.0,
        descriptors=0.0,
        guide=0.0,
        ema=0.98,
        augment=0.4,
    )


def parse_stages(text: str) -> tuple[tuple[int, int], ...]:
    """`128x60,256x20` -> ((128, 60), (256, 20)); InputError for anything else."""
    if not re.fullmatch(r"\d{1,4}x\d{1,5}(,\d{1,4}x\d{1,5})*", text):
        raise InputError(f"`stages` is SIDExEPOCHS, several joined by commas, like 128x60,256x20; got {text!r}")
    stages = tuple((int(side), int(epochs)) for side, epochs in (part.split("x") for part in text.split(",")))
    check_stages(stages)
    return stages


def stages_text(stages: tuple[tuple[int, int], ...]) -> str:
    """What `parse_stages` reads."""
    return ",".join(f"{side}x{epochs}" for side, epochs in stages)


def check_stages(stages: tuple[tuple[int, int], ...]) -> None:
    if not stages:
        raise InputError("`stages` is empty; give at least one pair of side and epochs, like 128x60")
    for side, epochs in stages:
        if side < SIDE_MULTIPLE or side % SIDE_MULTIPLE or side > MAX_SIDE or epochs < 1:
            raise InputError(
                f"`stages`: a side is a multiple of {SIDE_MULTIPLE} up to {MAX_SIDE}, epochs at least 1; "
                f"got {stages_text(stages)!r}"
            )
