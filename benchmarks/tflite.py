"""How fast, how large and how faithful: the plain conversion, ours by recipe, and well-known networks, in one run.

    python benchmarks/tflite.py --model hierattn_xs --side 256 --peers

Every file runs in a process of its own with its threads pinned; rounds are interleaved, so that a machine that slows
down slows all of them down. Ratios can be compared between machines, milliseconds cannot. `plain` is what
`litert_torch.convert` makes of the same module without any rewrite. Peers have random weights; they are there for their
speed. Writes --out/tflite.md, tflite.json, tflite.png and tflite.svg.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.tflite`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

from pathlib import Path

from dermedge.console import entry, third_party_noise_into
from dermedge.flags import add_data, add_rounds, add_skip_unreadable
from edge.errors import GOOD, InputError, at_least_one
from edge.files import scratch_in, write_json, write_text
from edge.progress import track
from edge.questions.zoo.rounds import timed
from edge.runtimes.timing import cores

from ._flags import add_network, add_out

LOG = "benchmark.log"


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_network(p)
    p.add_argument("--threads", metavar="N,N", help="numbers of threads (default: 1,2, or 1 on one core)")
    add_rounds(p)
    p.add_argument(
        "--peers", action="store_true", help="also MobileNetV2, EfficientNet-B0 and MobileViT-S (slow to convert)"
    )
    add_data(p, "for SQNR and agreement")
    p.add_argument("--images", type=int, default=64, help="how many of them at most (default: 64)")
    add_skip_unreadable(p)
    add_out(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    counts = threads_of(args.threads)
    at_least_one(rounds=args.rounds, images=args.images)
    with scratch_in(args.out) as work, third_party_noise_into(args.out / LOG):
        report = measure_files(args, counts, work)
    from . import _page, _plot

    page = _page.markdown(report)
    write_text(args.out / "tflite.md", page)
    write_json(args.out / "tflite.json", report)
    _plot.write(report["rows"], [args.out / "tflite.png", args.out / "tflite.svg"])
    print(page)
    return GOOD


def threads_of(threads: str | None) -> list[int]:
    """'1,2' -> [1, 2]; InputError for what is no number of threads, or more than there are cores to pin them to."""
    if threads is None:
        return [n for n in (1, 2) if n <= cores()]
    try:
        counts = [int(word) for word in threads.split(",")]
    except ValueError:
        counts = [0]
    if min(counts) < 1 or max(counts) > cores() or len(set(counts)) < len(counts):
        raise InputError(
            f"--threads takes different numbers from 1 to {cores()}, the cores here, as in 1,2; got {threads!r}"
        )
    return counts


def measure_files(args: argparse.Namespace, counts: list[int], work: Path) -> dict:
    """What tflite.json holds; files are made in `work`."""
    from edge.data.selection import judging_set
    from edge.data.squares import load_squares

    from ._answers import answers
    from ._files import PLAIN, candidates, checkpoint_at, count, settled_on, trained
    from ._page import machine, row

    checkpoint = checkpoint_at(args.model, args.side)
    skip = args.skip_unreadable
    photos = judging_set(checkpoint, args.data, limit=args.images, skip_missing=skip)
    photos, images = load_squares(photos, args.side, skip_unreadable=skip)
    if not trained(checkpoint):
        checkpoint = settled_on(images, checkpoint)
    by_name, files = {}, {}
    every = candidates(checkpoint, images, peers=args.peers, data=args.data)
    for candidate in track(every, "converting", count(peers=args.peers)):
        by_name[candidate.name], files[candidate.name] = candidate, work / f"{candidate.name}.tflite"
        files[candidate.name].write_bytes(candidate.content)
    comparisons = answers(by_name, files, checkpoint, photos, images)
    # One number of threads after the other, so that half as many processes are open at a time.
    times = {n: timed(files, n, args.rounds) for n in counts}
    of_file = {name: {n: times[n][name] for n in counts} for name in files}
    return {
        "model": args.model,
        "trained": trained(checkpoint),
        "side": args.side,
        "rounds": args.rounds,
        "machine": machine(),
        "data": {"name": photos.name, "images": len(photos), "synthetic": photos.synthetic},
        "rows": [row(by_name[n], files[n], of_file[n], of_file[PLAIN], comparisons[n]) for n in files],
    }


if __name__ == "__main__":
    raise SystemExit(main())
