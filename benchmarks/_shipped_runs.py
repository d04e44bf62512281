"""How the checkpoints that come with dermedge are trained: every run behind them, as the flags of `dermedge`.

The shipped hierattn_xs is older than its runs here; its card has its own command.

A run stands behind those whose weights it starts from and those that teach it. Folders of runs are in one folder, by
the run's name, so that a cross-validation's teacher of the same fold is found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# flags that most runs share: ImageNet's weights need neither descriptors nor the linear guide
FROM_IMAGENET = "--init imagenet --learning-rate 5e-4 --weight-decay 0.05 --descriptors 0 --guide 0"
DRAWN = "--data {runs}/drawn --also {isic} --held-back 0.05 --precision bf16-mixed"
FOLDS = "--data {pad} --precision bf16-mixed --answers"


@dataclass(frozen=True)
class Run:
    name: str  # of its folder
    command: str  # of dermedge; {pad}, {isic} and {runs} are folders
    after: tuple[str, ...] = ()  # runs that it needs

    @property
    def is_cross_validation(self) -> bool:
        return self.command.startswith("cross-validate ")

    @property
    def result(self) -> str:
        """The file in its folder that is written last."""
        if not self.is_training:
            return "SYNTHETIC.txt"
        return "cross_validation.json" if self.is_cross_validation else "checkpoint.json"

    @property
    def is_training(self) -> bool:
        return not self.command.startswith("prepare ")

    def words(self, places: Mapping[str, Path]) -> list[str]:
        """The arguments of `dermedge`; `places`: pad, isic, runs."""
        words = [word.format(**{name: str(path) for name, path in places.items()}) for word in self.command.split()]
        return [*words, "--out" if self.is_training else "--sample", str(places["runs"] / self.name)]


RUNS = (
    Run(
        "lite2",
        f"cross-validate --model efficientnet_lite2 --stages 128x8,192x22 --mixup 0.2 --ema 0.99 "
        f"{FROM_IMAGENET} {FOLDS}",
    ),
    Run(
        "lite0_first",
        f"cross-validate --model efficientnet_lite0 --stages 128x8,192x22 --mixup 0.2 --ema 0.99 "
        f"{FROM_IMAGENET} {FOLDS}",
    ),
    Run(
        "efficientnet_lite0",
        "cross-validate --model efficientnet_lite0 --teacher {runs}/lite2 --teacher {runs}/lite0_first --distil 3 "
        f"--distil-features 1 --stages 128x8,192x24 --mixup 0.3 --ema 0.99 {FROM_IMAGENET} {FOLDS}",
        after=("lite2", "lite0_first"),
    ),
    Run(
        "resformer_lite",
        "train --model resformer_lite --also {isic} --teacher {runs}/lite0_first --stages 96x30,160x30 --variants 8 "
        f"--mixup 0 --guide 3 {FOLDS}",
        after=("lite0_first",),
    ),
    # the fold that the shipped efficientnet_lite0 never saw is the one that these keep apart
    Run(
        "hierattn_s",
        "train --model hierattn_s --also {isic} --teacher efficientnet_lite0 --stages 64x24,128x20 --variants 8 "
        f"{FOLDS}",
    ),
    Run(
        "hifuse_tiny_compact",
        "train --model hifuse_tiny_compact --also {isic} --teacher efficientnet_lite0 --stages 96x30,160x14 "
        f"--variants 8 --mixup 0.1 {FOLDS}",
    ),
    Run("drawn", "prepare --patients 260 --seed 77 --side 192"),
    Run(
        "lite0_drawn",
        f"train --model efficientnet_lite0 --stages 128x8 --mixup 0.2 --ema 0.98 {FROM_IMAGENET} {DRAWN}",
        after=("drawn",),
    ),
    Run(
        "hierattn_xs_drawn",
        "train --model hierattn_xs --teacher {runs}/lite0_drawn --stages 64x60,128x16 --learning-rate 1.5e-3 "
        f"--distil 3 --distil-features 6 --guide 0 --evenness 0 --variants 24 {DRAWN}",
        after=("drawn", "lite0_drawn"),
    ),
    Run(
        "hierattn_xs",
        "cross-validate --model hierattn_xs --init {runs}/hierattn_xs_drawn/checkpoint.safetensors "
        "--teacher {runs}/efficientnet_lite0 --distil 4 --distil-features 1 --descriptors 1 --guide 1 --mixup 0.2 "
        f"--evenness 0.5 --stages 96x40,128x80,160x24 --variants 12 {FOLDS}",
        after=("hierattn_xs_drawn", "efficientnet_lite0"),
    ),
)


def runs_behind(name: str, runs: Sequence[Run] = RUNS) -> list[Run]:
    """The run of that name and all that it needs, in an order in which they can be made. KeyError for another name."""
    by_name = {run.name: run for run in runs}
    ordered: dict[str, Run] = {}

    def add(run: Run) -> None:
        for needed in run.after:
            add(by_name[needed])
        ordered.setdefault(run.name, run)

    add(by_name[name])
    return list(ordered.values())
