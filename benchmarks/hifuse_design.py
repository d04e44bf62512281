"""Widths, depths, windows and MLPs of the HiFuse for phones, each against what it costs and what it learns.

    python benchmarks/hifuse_design.py --data photographs/

Every candidate is trained with the same short schedule on the same patients, then all of them are converted and timed
round after round beside MobileNetV2 with random weights. Rows that are trained already are not trained again, and an
interrupted one is resumed, so the same command goes on where it was stopped. A short schedule on few photographs ranks
candidates roughly: mind the intervals. Writes --out/hifuse_design.md and hifuse_design.json.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.hifuse_design`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dermedge.console import entry, third_party_noise_into
from dermedge.flags import add_rounds
from edge.checkpoint import check_side
from edge.errors import GOOD, InputError, at_least_one
from edge.files import read_json, scratch_in, write_json, write_text
from edge.progress import track
from edge.questions.zoo.rounds import timed
from edge.report.markdown import heading, line

from ._flags import OUT, add_out
from ._out_of_fold import compare_runs, sample, words
from ._page import machine

MODEL = "hifuse_tiny_compact"
PEER = "mobilenetv2"
RECIPES = ("fp32", "int8-dynamic")  # timed; the static one takes photographs and minutes a candidate to choose
# How each candidate differs from `reference`, which is spelled out.
REFERENCE = {"widths": (24, 48, 96, 192), "depths": (2, 2, 2, 2), "head": 24, "wider": 4, "window": 7}
CANDIDATES: dict[str, dict[str, Any]] = {
    "reference": {},
    "wide and shallow": {"widths": (32, 64, 128, 256), "depths": (1, 1, 2, 1), "head": 32, "wider": 3},
    "narrow and deep": {"widths": (16, 32, 96, 192), "depths": (2, 2, 4, 2), "head": 16},
    "wider MLP": {"wider": 6},
    "small windows": {"window": 4},
    "layer norm, GELU": {"layer_norm": True, "activation": "GELU"},
}
# Without hand-made descriptors, whose cost is that of the network here; all else is train/train.py's own recipe.
PLAIN = ("--descriptors", "0", "--guide", "0")
LOG = "benchmark.log"


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, required=True, help="photographs, as train/train.py takes them")
    p.add_argument("--only", metavar="NAME,NAME", help=f"of {', '.join(CANDIDATES)} (default: all)")
    p.add_argument("--fold", default="0", metavar="K,K", help="folds that stay unseen in turn (default: 0)")
    p.add_argument("--stages", default="64x16,96x5", help="SIDExEPOCHS of every training (default: %(default)s)")
    p.add_argument("--side", type=int, default=224, help="input side that is costed and timed (default: 224)")
    add_rounds(p)
    p.add_argument("--threads", type=int, default=1, help="of training and of timing (default: 1)")
    add_out(p, OUT / "hifuse")
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    at_least_one(rounds=args.rounds, threads=args.threads)  # now, not after hours of training
    check_side(args.side, where="--side")
    names = chosen(args.only)
    if not all(fold.isdecimal() for fold in args.fold.split(",")):
        raise InputError(f"--fold takes numbers of folds as in 0,1,2; got {args.fold!r}")
    folds = args.fold.split(",")
    with scratch_in(args.out) as work:
        learnt = {}
        for name in names:
            with offered(name):
                learnt[name] = [trained(args, name, fold) for fold in folds]
        with third_party_noise_into(args.out / LOG):
            rows = costed(args, names, work)
    for name in names:
        rows[name]["folds"] = [
            {key: metrics[key] for key in ("balanced_accuracy", "images")} for metrics in learnt[name]
        ]
    against = {}
    if len(folds) > 1:  # patients that a run of some fold never saw, all folds together
        first, *others = (run_of(args, name, folds[0]).parent for name in names)
        against = {name: compare_runs(first, other) for name, other in zip(names[1:], others, strict=True)}
    report = {
        "machine": machine(), "side": args.side, "rounds": args.rounds, "threads": args.threads, "stages": args.stages,
        "folds": folds, "reference": REFERENCE, "rows": list(rows.values()), "against_the_first": against,
    }  # fmt: skip
    page = markdown(report)
    write_text(args.out / "hifuse_design.md", page)
    write_json(args.out / "hifuse_design.json", report)
    print(page)
    return GOOD


def chosen(only: str | None) -> list[str]:
    """Names of candidates; InputError with the known ones."""
    names = [word.strip() for word in only.split(",")] if only else list(CANDIDATES)
    for name in names:
        if name not in CANDIDATES:
            raise InputError(f"--only: unknown candidate {name!r}; known: {', '.join(CANDIDATES)}")
    return names


def config(name: str):
    """The candidate as the family takes it."""
    from torch import nn

    from edge.models.hifuse_compact import Config

    fields: dict[str, Any] = REFERENCE | CANDIDATES[name]
    if "activation" in fields:
        fields["activation"] = getattr(nn, fields["activation"])
    return Config(**fields)


@contextmanager
def offered(name: str) -> Iterator[None]:
    """While this lasts, the model MODEL is the candidate."""
    from edge.models.hifuse_compact import VARIANTS

    before = VARIANTS[MODEL]
    VARIANTS[MODEL] = config(name)
    try:
        yield
    finally:
        VARIANTS[MODEL] = before


def run_of(args: argparse.Namespace, name: str, fold: str) -> Path:
    return args.out / "runs" / name.replace(", ", " ").replace(" ", "-").lower() / f"fold-{fold}"


def trained(args: argparse.Namespace, name: str, fold: str) -> dict[str, Any]:
    """Metrics on the unseen patients of a candidate, trained now unless it is there."""
    from train.train import main as train

    out = run_of(args, name, fold)
    if not (out / "checkpoint.json").is_file():
        print(f"training: {name}, fold {fold}", flush=True)
        command = ["--model", MODEL, "--data", str(args.data), "--fold", fold, "--stages", args.stages, *PLAIN]
        command += ["--threads", str(args.threads), "--out", str(out)]
        command += ["--resume"] if (out / "resume.safetensors").is_file() else ["--force"]
        if train(command):
            raise InputError(f"the training of {name}, fold {fold}, did not finish; run this again to go on")
    facts = read_json(out / "checkpoint.json", expected=f"the checkpoint of {name}")
    stages = ",".join(f"{side}x{epochs}" for side, epochs in facts["recipe"]["stages"])
    if stages != args.stages:
        raise InputError(f"{out} was trained with --stages {stages}; give the same, or another --out")
    return facts["metrics"]["unseen"]


def costed(args: argparse.Namespace, names: Sequence[str], work: Path) -> dict[str, dict[str, Any]]:
    """What each candidate costs at --side: parameters, products, bytes, and milliseconds in the rounds of all."""
    import torch

    from convert._tflite.audit import audit
    from convert._tflite.file import float_model, lower
    from convert._tflite.quantise import quantise
    from edge.checkpoint import load
    from edge.models.cost import cost

    from ._peers import peer

    side = check_side(args.side, where="--side")
    rows: dict[str, dict[str, Any]] = {}
    files: dict[tuple[str, str], Path] = {}
    for name in track(names, "converting", len(names)):
        with offered(name):
            checkpoint = load(run_of(args, name, args.fold.split(",")[0]))
            checkpoint = replace(checkpoint, preprocess=replace(checkpoint.preprocess, side=side))
            parameters, products = cost(checkpoint.network(), side)
            content = float_model(checkpoint).content
        files |= written(name, {recipe: quantise(content, recipe) for recipe in RECIPES}, work)
        made_of = audit(files[name, RECIPES[0]])
        rows[name] = {
            "name": name, "differs": CANDIDATES[name], "parameters": parameters, "macs": products,
            **{key: getattr(made_of, key) for key in ("largest_rank", "layout_operators", "xnnpack_partitions")},
            "bytes": {recipe: files[name, recipe].stat().st_size for recipe in RECIPES},
        }  # fmt: skip
    noise = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    content = lower(peer(PEER, 6, noise), torch.zeros(1, side, side, 3)).content
    files |= written(PEER, {recipe: quantise(content, recipe) for recipe in RECIPES}, work)
    times = timed({str(key): path for key, path in files.items()}, args.threads, args.rounds)
    for name in names:
        rows[name]["time"] = {}
        for recipe in RECIPES:
            ours, theirs = (np.array(times[str(key)].milliseconds) for key in ((name, recipe), (PEER, recipe)))
            ratio = float(np.median(ours / theirs))  # by round, so that a slow moment affects both
            rows[name]["time"][recipe] = {"ms": float(np.median(ours)), "ratio_to_peer": ratio}
    return rows


def written(name: str, contents: Mapping[str, bytes], work: Path) -> dict[tuple[str, str], Path]:
    """Files by (candidate, recipe)."""
    files = {(name, recipe): work / f"{len(list(work.iterdir()))}-{recipe}.tflite" for recipe in contents}
    for (_, recipe), path in files.items():
        path.write_bytes(contents[recipe])
    return files


def markdown(report: Mapping[str, Any]) -> str:
    """`report`: what hifuse_design.json holds."""
    fields = ", ".join(f"{key} {value}" for key, value in report["reference"].items())
    lines = [
        f"`reference`: {fields}. {report['side']} x {report['side']}, {report['rounds']} rounds, "
        f"{report['threads']} thread(s), {report['machine']}; trained {report['stages']}.",
        "",
        *heading(
            "candidate", "differs in", "parameters", "million MACs", "int8-dynamic, bytes",
            *(f"ms {recipe}; of {PEER}'s" for recipe in RECIPES), "balanced accuracy, unseen patients",
        ),
    ]  # fmt: skip
    for row in report["rows"]:
        lines.append(
            line(
                [
                    row["name"],
                    ", ".join(f"{key} {value}" for key, value in row["differs"].items()) or "-",
                    f"{row['parameters']:,}",
                    f"{row['macs'] / 1e6:.0f}",
                    f"{row['bytes'][RECIPES[-1]]:,}",
                    *(f"{row['time'][r]['ms']:.1f}; {row['time'][r]['ratio_to_peer']:.2f}" for r in RECIPES),
                    "; ".join(words(fold["balanced_accuracy"]) for fold in row["folds"]),
                ]
            )
        )
    for name, comparison in report["against_the_first"].items():
        before, after = (words(estimate) for estimate in comparison["balanced_accuracy"])
        lines += [
            "",
            f"All folds together: {report['rows'][0]['name']} {before}, {name} {after}, difference "
            f"{words(comparison['difference'], '+')}; {sample(comparison)}.",
        ]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    raise SystemExit(main())
