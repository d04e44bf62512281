"""What pixel attention costs and what it gains: a model beside itself with PPCA.

    python benchmarks/ppcr.py --model hierattn_xs --side 256
    python benchmarks/ppcr.py --runs runs/plain runs/ppcr

Cost: parameters, multiply-accumulates, bytes and milliseconds. Both networks have random weights and tables, every file
runs in a process of its own, and rounds are interleaved. Ratios can be compared between machines, milliseconds cannot.
Gain, where --runs are given: balanced accuracy of two cross-validations (train/cross_validate.py, the same flags but
for --model) on the photographs of the folds that both have, each answered by a run that never saw the patient, and the
paired difference. Writes --out/ppcr_cost.md and .json, or ppcr_gain.md and .json.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.ppcr`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

from pathlib import Path
from typing import Any

import numpy as np

from dermedge.console import entry, third_party_noise_into
from dermedge.flags import add_data, add_rounds
from edge.errors import GOOD, at_least_one
from edge.files import scratch_in, write_json, write_text
from edge.questions.zoo.rounds import WARM_UP, timed

from ._flags import add_network, add_out
from ._out_of_fold import compare_runs, sample, words

RECIPES = ("fp32", "fp16", "int8-weights", "int8-dynamic", "int8")
TIMED = ("fp32", "int8-dynamic", "int8")


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_network(p, "the plain model; the other is <model>_ppcr")
    add_rounds(p)
    p.add_argument(
        "--runs", type=Path, nargs=2, metavar=("PLAIN", "PPCR"), help="folders of two cross-validations (fold-0, …)"
    )
    add_data(p, "for SQNR and agreement")
    p.add_argument("--images", type=int, default=64, help="how many of them at most (default: 64)")
    add_out(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    at_least_one(rounds=args.rounds, images=args.images)
    if args.runs:
        report = compare_runs(*args.runs)
        name, page = "ppcr_gain", gain_page(report)
    else:
        with scratch_in(args.out) as work, third_party_noise_into(args.out / "benchmark.log"):
            report = cost_of(args, work)
        name, page = "ppcr_cost", cost_page(report)
    write_text(args.out / f"{name}.md", page)
    write_json(args.out / f"{name}.json", report)
    print(page)
    return GOOD


def cost_of(args: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Size, cost, fidelity and time of both networks; files are written in `work`."""
    from edge.data.selection import judging_set
    from edge.data.squares import load_squares
    from edge.models import PPCR
    from edge.models.cost import cost

    from ._answers import answers
    from ._files import Candidate, ours, settled_on
    from ._page import machine

    rows: list[dict[str, Any]] = []
    files: dict[str, Path] = {}
    for model in (args.model, args.model + PPCR):
        checkpoint = untrained(model, args.side)
        photos, images = load_squares(judging_set(checkpoint, args.data, limit=args.images), args.side)
        checkpoint = settled_on(images, checkpoint)
        parameters, macs = cost(checkpoint.network(), args.side)
        by, contents = ours(checkpoint, args.data)
        candidates = {
            recipe: Candidate(recipe, content, by, parameters) for recipe, content in contents if recipe in RECIPES
        }
        own = {recipe: work / f"{model}-{recipe}.tflite" for recipe in candidates}
        for recipe, candidate in candidates.items():
            own[recipe].write_bytes(candidate.content)
        comparisons = answers(candidates, own, checkpoint, photos, images)
        sizes = {recipe: len(candidate.content) for recipe, candidate in candidates.items()}
        rows.append(
            {"model": model, "parameters": parameters, "macs": macs, "by": by, "bytes": sizes, "answers": comparisons}
        )
        files |= {f"{model} {recipe}": own[recipe] for recipe in TIMED}
    times = timed(files, 1, args.rounds)
    for row in rows:
        row["ms"] = {r: float(np.median(times[f"{row['model']} {r}"].milliseconds)) for r in TIMED}
    ratios = {}
    for recipe in TIMED:
        plain, other = (np.array(times[f"{row['model']} {recipe}"].milliseconds) for row in rows)
        ratios[recipe] = [float(v) for v in np.percentile(other / plain, [25, 50, 75])]
    data = {"name": photos.name, "images": len(photos), "synthetic": photos.synthetic}
    shown = {"side": args.side, "rounds": args.rounds, "machine": machine(), "data": data}
    return {**shown, "rows": rows, "ratio_quartiles": ratios}


def untrained(model: str, side: int):
    """A checkpoint with random weights, and random tables instead of the zeros that they start with."""
    import torch

    from edge.checkpoint import Checkpoint, Preprocess, check_side
    from edge.labels import PAD_UFES_20
    from edge.models import create_model
    from edge.models.ppcr import PPCA
    from edge.preprocess import PREPROCESS_VERSION

    check_side(side, where="--side")
    network = create_model(model, len(PAD_UFES_20))
    torch.manual_seed(0)
    for part in network.modules():
        if isinstance(part, PPCA):
            torch.nn.init.normal_(part.weight, std=0.5)
    return Checkpoint(model, PAD_UFES_20, Preprocess(PREPROCESS_VERSION, side), network.state_dict())


def cost_page(report: dict[str, Any]) -> str:
    from edge.report.markdown import heading, line

    rows, data = report["rows"], report["data"]
    kind = "synthetic images" if data["synthetic"] else "photographs"
    lines = [
        f"{report['side']} x {report['side']}, random weights and tables, {report['rounds']} rounds after {WARM_UP} of "
        f"warm-up, 1 thread, {report['machine']}; SQNR on {data['images']} {kind} ({data['name']})",
        "",
        *heading("", *(row["model"] for row in rows), "ratio"),
    ]
    for name, values in (
        ("parameters", [row["parameters"] for row in rows]),
        ("MACs", [row["macs"] for row in rows]),
        *((f"bytes, {recipe}", [row["bytes"][recipe] for row in rows]) for recipe in RECIPES),
    ):
        lines.append(line([name, *(f"{value:,}" for value in values), f"{values[1] / values[0]:.3f}"]))
    for recipe in TIMED:
        low, middle, high = report["ratio_quartiles"][recipe]
        times = [f"{row['ms'][recipe]:.2f}" for row in rows]
        lines.append(line([f"ms, {recipe}", *times, f"{middle:.3f} [{low:.3f}, {high:.3f}]"]))
    for recipe in RECIPES:
        sqnrs = [row["answers"][recipe]["sqnr_db_median"] for row in rows]
        lines.append(line([f"SQNR, {recipe}", *("-" if v is None else f"{v:.1f} dB" for v in sqnrs), ""]))
    return "\n".join([*lines, ""])


def gain_page(gain: dict[str, Any]) -> str:
    without, with_it = (words(estimate) for estimate in gain["balanced_accuracy"])
    return (
        f"Balanced accuracy without attention {without}, with {with_it}, difference {words(gain['difference'], '+')}: "
        f"{sample(gain)}. {gain['gained']} photographs were right with attention alone, "
        f"{gain['lost']} without it alone (McNemar p {gain['mcnemar_p']:.2f}).\n"
    )


if __name__ == "__main__":
    raise SystemExit(main())
