"""`int8-full` of network after network: what it loses, its time by the float file's, or why there is none.

    python benchmarks/whole_numbers.py --models mobilenetv2,mnasnet --side 128
    python benchmarks/whole_numbers.py --models efficientnet_lite0,runs/mobilenetv2/checkpoint.safetensors

Weights that are shipped or in a file that training wrote, else random ones whose answers depend on the picture; of
those the figures say how much 8 bits lose in such a network, and nothing of a trained one. Both forms of the weights
have their SQNR (docs/edge_graph.md, Eight bits); `int8-full` is the one that a third of the calibrating images chose,
as conversion does. Ratios are of processor time on one thread, both files in turn. Writes --out/whole_numbers.md and
whole_numbers.json.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.whole_numbers`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dermedge.console import entry, third_party_noise_into
from dermedge.flags import add_data
from edge.errors import GOOD, at_least_one
from edge.files import write_json, write_text
from edge.progress import track

from ._flags import add_out

if TYPE_CHECKING:
    from edge.checkpoint import Checkpoint

MODELS = (
    "efficientnet_lite0,mobilenetv2,mobilenetv3_large,mnasnet,shufflenetv2,efficientnet_b0,hifuse_tiny_compact,"
    "hierattn_xs"
)
SIDE = 128  # pixels, of random weights
LOG = "benchmark.log"
COLUMNS = (
    "network", "weights, side", "int8-full", "scaled and split", "as they were", "same class", "bytes by float",
    "time by float",
)  # fmt: skip
HEAD = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--models", default=MODELS, metavar="NAME,NAME", help="or .safetensors files (default: %(default)s)")
    p.add_argument("--side", type=int, help=f"input side in pixels (default: that of trained weights, else {SIDE})")
    p.add_argument("--images", type=int, default=64, help="that give ranges, and that judge, at most (default: 64)")
    add_data(p, "for ranges and SQNR")
    add_out(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    at_least_one(images=args.images)
    names = args.models.split(",")
    args.out.mkdir(parents=True, exist_ok=True)
    with third_party_noise_into(args.out / LOG):
        rows = [measured(name, args) for name in track(names, "networks", len(names))]
    page = HEAD + "".join(line(row) for row in rows)
    write_text(args.out / "whole_numbers.md", page)
    write_json(args.out / "whole_numbers.json", {"rows": rows})
    print(page)
    return GOOD


def measured(name: str, args: argparse.Namespace) -> dict:
    """One network's row."""
    from convert._tflite.file import float_model
    from convert._tflite.whole import Chain
    from edge.data.selection import calibration_set, judging_set
    from edge.data.squares import load_squares

    from ._files import settled_on, trained

    checkpoint = weights_of(name, args.side)
    side = checkpoint.preprocess.side
    sets = (
        calibration_set(checkpoint, args.data, limit=args.images),
        judging_set(checkpoint, args.data, limit=args.images),
    )
    calibrating, judging = (load_squares(photos, side)[1] for photos in sets)
    kind = "untrained" if not trained(checkpoint) else "trained" if is_file(name) else "shipped"
    row = {"network": checkpoint.model, "weights": kind, "side": side, "images": len(judging)}
    if not trained(checkpoint):
        checkpoint = settled_on(calibrating, checkpoint)
    lowered = float_model(checkpoint)
    refusal = Chain(lowered.content).refusal(lowered.modules)
    return row | ({"refusal": refusal} if refusal else figures(lowered.content, calibrating, judging))


def weights_of(name: str, side: int | None) -> Checkpoint:
    """What is shipped as `name`, what is in the .safetensors file of that name, or random weights; for that side."""
    from edge.checkpoint import check_side, load, shipped, shipped_models

    from ._files import checkpoint_at

    if not is_file(name) and name not in shipped_models():
        return checkpoint_at(name, side or SIDE)
    checkpoint = load(name if is_file(name) else shipped(name))
    if side is None:
        return checkpoint
    return replace(checkpoint, preprocess=replace(checkpoint.preprocess, side=check_side(side, where="--side")))


def is_file(name: str) -> bool:
    return name.endswith(".safetensors")


def figures(content: bytes, calibrating: np.ndarray, judging: np.ndarray) -> dict:
    """Of `int8-full` of a float file; ranges and rounding from uint8 images `calibrating`."""
    from convert._fidelity import sqnr
    from convert._tflite.choose import answers
    from convert._tflite.layer_inputs import moments_of
    from convert._tflite.quantise import recipe_file
    from convert._tflite.rounding import rounding_for
    from convert._tflite.try_chain import time_ratio
    from convert._tflite.whole import Chain
    from convert._tflite.whole_weights import WholeWeights, nearest, whole_weights_for

    wanted, _ = answers(content, judging)
    ranging, choosing = parts(calibrating)
    plain = WholeWeights({}, {}, rounding_for(content, moments_of(content, ranging)))
    changed = whole_weights_for(content, Chain(content).ranges(ranging), ranging)
    taken, taken_limits = nearest([changed, plain], content, ranging, choosing)
    rows = {}
    for weights in (changed, plain):
        limits = taken_limits if weights is taken else Chain(weights.floats(content)).ranges(ranging)
        chain = Chain(weights.on_grid(content)).written(limits, camera=True)
        file = recipe_file("int8-full", content, content, None, chain=chain)
        outputs, _ = answers(file, judging)
        rows[weights is changed] = float(np.median(sqnr(wanted, outputs)))
        if weights is taken:
            same = float((outputs.probabilities.argmax(1) == wanted.probabilities.argmax(1)).mean())
            bytes_ratio, time = len(file) / len(content), time_ratio(file, content, judging[0])
    return {
        "sqnr_db": rows[taken is changed],
        "sqnr_db_changed": rows[True],
        "sqnr_db_as_they_were": rows[False],
        "changed": taken is changed,
        "agreement": same,
        "bytes_ratio": bytes_ratio,
        "time_ratio": time,
    }


def parts(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two thirds that give ranges and rounding, and the third that chooses, with all sets in both, as in conversion."""
    mixed = images[np.random.default_rng(0).permutation(len(images))]
    ranging, choosing = np.split(mixed, [len(mixed) * 2 // 3])
    return ranging, choosing


def line(row: dict) -> str:
    weights = f"{row['weights']}, {row['side']} px"
    if "refusal" in row:
        return f"| {row['network']} | {weights} | {row['refusal']} | | | | | |\n"
    return (
        f"| {row['network']} | {weights} | {row['sqnr_db']:.1f} dB "
        f"| {row['sqnr_db_changed']:.1f} dB | {row['sqnr_db_as_they_were']:.1f} dB "
        f"| {row['agreement']:.1%} | {row['bytes_ratio']:.2f} | {row['time_ratio']:.2f} |\n"
    )


if __name__ == "__main__":
    raise SystemExit(main())
