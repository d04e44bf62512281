"""Run a file that need not be ours in every runtime there is here: does it open, and is the answer the same?

    dermedge matrix theirs.tflite --images pictures/
    dermedge matrix theirs.tflite --pixels -1..1 --runtime xnnpack --runtime android
    dermedge matrix a.tflite b.mlpackage c.onnx --images pictures/
    dermedge matrix build/hierattn_xs
    dermedge matrix build/hierattn_xs build/efficientnet_lite0
    dermedge matrix build/mine --data PAD-UFES-20/ --checkpoint runs/mine/checkpoint.safetensors

Any .tflite with a picture in and a vector out, on LiteRT three ways, and in phones' own libraries that `dermedge setup`
has put here; what is not set up is listed with the command for it. Where an answer differs by more than rounding
explains, every operator is run alone in both runtimes, and the one that makes the difference is named. How far rounding
goes is derived from the file's own operators and values (docs/matrix.md). Several files of one network are held
against the first. A folder stands for the files in it; several folders are several networks in one table.

Writes report.html (one file, no network) and matrix.json. Exit code 1 where an answer differs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from dermedge.commands._noise import runtimes_quiet
from dermedge.console import entry, screen
from dermedge.flags import add_several, add_threads, checkpoint_path
from edge.errors import GATE_FAILED, GOOD

OUT = Path("build/matrix")
PIXELS = ("0..255", "0..1", "-1..1", "imagenet")
IMAGES = 8


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument(
        "files",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="a .tflite, .mlpackage, .onnx or .aimodel, or a folder of them",
    )
    p.add_argument(
        "--images", type=Path, metavar="FOLDER",
        help="any folder with pictures (default: the photographs in DERMEDGE_PHOTOS, else drawn ones)",
    )  # fmt: skip
    p.add_argument(
        "--data", type=Path, metavar="FOLDER",
        help="data sets, in place of --images: without augmented copies, nor, for files of dermedge, those whom the "
        "network saw",
    )  # fmt: skip
    p.add_argument(
        "--checkpoint", type=checkpoint_path, action="append", metavar="FILE",
        help="with --data: one that files were converted from, which says whom the network saw; repeatable (default: "
        "the one in their folder, or shipped under their model's name)",
    )  # fmt: skip
    p.add_argument("--count", type=int, default=IMAGES, help="at most so many of them (default: %(default)s)")
    p.add_argument(
        "--pixels", choices=PIXELS, help="what a float input expects of a pixel, where the file does not say it"
    )
    add_several(
        p, "--runtime", metavar="NAME",
        help="run .tflite files in this one alone: xnnpack, xnnpack-fp16, reference, or a phone's own library, as in "
        "android:2.14.0:cortex-a53 (default: all)",
    )  # fmt: skip
    add_threads(p)
    p.add_argument("--out", type=Path, default=OUT, help="folder for the report (default: %(default)s)")
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from edge.files import check_writable
    from edge.questions.matrix.measure import measure, networks_in

    check_writable(args.out)
    with runtimes_quiet(args.out):
        report = measure(
            networks_in(args.files), args.images, photos=args.data, checkpoints=args.checkpoint or (),
            pixels=args.pixels, modes=args.runtime, count=args.count, threads=args.threads,
        )  # fmt: skip
        page = report.write(args.out)
    for table in report.tables():
        screen().print(table, soft_wrap=isinstance(table, str))
    screen().print(f"page: {page}", markup=False, soft_wrap=True)
    if report.failed:
        screen().print("[bold red]failed[/]", end=" ")
        screen().print(", ".join(report.failed), soft_wrap=True, markup=False)
        return GATE_FAILED
    return GOOD


if __name__ == "__main__":
    raise SystemExit(main())
