"""Every family in 8 bits in phones' libraries on an emulated ARM processor, against LiteRT here.

    python benchmarks/phone_families.py --out build/phone_families

Converts each network of the table up to --limit million parameters with random weights, statistics settled on
photographs (`--untrained`), or takes its shipped weights, and runs its files on the same photographs on LiteRT here, on
LiteRT for ARM and in Android's TFLite (`dermedge setup arm`, `dermedge setup android`, also `--tflite 2.14.0`). The
page gives the median SQNR against the float network in dB, or the library's refusal. What is there already is not
converted again. Writes --out/phone_families.md.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.phone_families`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

import subprocess
import sys
from pathlib import Path

from dermedge.console import entry, screen
from edge.artifact import MANIFEST
from edge.errors import GOOD
from edge.files import write_text
from edge.models import MODELS
from edge.progress import track

from ._flags import add_out

RECIPES = ("fp32", "int8-dynamic", "int8")
RUNTIMES = ("xnnpack", "arm64", "android:2.16.1", "android:2.14.0")
HEADS = ("LiteRT here", "LiteRT on ARM", "Android 2.16.1 on ARM", "Android 2.14.0 on ARM")
CONVERTER = Path(__file__).resolve().parents[1] / "convert" / "to_tflite.py"


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--models", help="some of the table, joined by commas (default: all up to --limit)")
    p.add_argument("--limit", type=float, default=6.0, help="millions of parameters (default: %(default)s)")
    p.add_argument("--side", type=int, default=96, help="of random weights' input in pixels (default: %(default)s)")
    p.add_argument("--images", type=int, default=4, help="photographs for each file (default: %(default)s)")
    add_out(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    rows = []
    for model in track(models(args), "families", len(models(args))):
        folder = converted(model, args)
        rows += measured(model, folder, args.images)
    head = "| network | file | " + " | ".join(HEADS) + " |"
    page = "\n".join([head, "|---|---|" + "---:|" * len(HEADS), *rows]) + "\n"
    write_text(args.out / "phone_families.md", page)
    screen().print(page, markup=False, soft_wrap=True)
    return GOOD


def models(args: argparse.Namespace) -> list[str]:
    if args.models:
        return args.models.split(",")
    from edge.models import create_model

    sizes = {name: sum(p.numel() for p in create_model(name).parameters()) for name in MODELS}
    return [name for name, size in sizes.items() if size <= args.limit * 1e6]


def converted(model: str, args: argparse.Namespace) -> Path:
    """The folder of a network's files; a gate that random weights fail leaves the other files."""
    from edge.checkpoint import SHIPPED

    folder = args.out / model
    if not (folder / MANIFEST).is_file():
        random = [] if (SHIPPED / f"{model}.safetensors").is_file() else ["--untrained", "--side", str(args.side)]
        recipes = [word for recipe in RECIPES for word in ("--recipe", recipe)]
        command = [sys.executable, CONVERTER, "--model", model, *random, *recipes, "--out", folder]
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    return folder


def measured(model: str, folder: Path, images: int) -> list[str]:
    """A row for each file."""
    import dermedge

    report = dermedge.parity(folder, images=images, modes=RUNTIMES).report
    rows = []
    for recipe in RECIPES:
        cells = {row["runtime"]: cell(row["statistics"]) for row in report["files"] if row["recipe"] == recipe}
        if cells:
            rows.append(f"| {model} | {recipe} | " + " | ".join(cells.get(mode, "refused") for mode in RUNTIMES) + " |")
    return rows


def cell(statistics: dict | None) -> str:
    if statistics is None:
        return "not a number"
    value = statistics["sqnr_db"]["value"]
    return "equal" if value is None else f"{value:.1f}"


if __name__ == "__main__":
    main()
