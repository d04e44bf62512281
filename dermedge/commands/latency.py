"""How long a .tflite may take on a phone, from what others published of other networks, or why nothing can be said.

    dermedge latency build/mobilenetv3_large/mobilenetv3_large-fp32.tflite
    dermedge latency build/net/net-fp32.tflite --device-report one.json two.json three.json --builds build/*/

For each phone, processor and arithmetic with published figures: the time with its interval, and beside it the largest
factor by which the rule misses a network that is left out. Where that is above 1.5, or the file is unlike the published
networks, no number stands there but the reason. The figures, each with its source, are in edge/published_latency.csv;
see docs/latency.md. They are of the TFLite of their year. A phone that you have says more: --device-report adds what
apps measured there in their self-tests, from three networks on.
"""

from __future__ import annotations

import argparse
import json
import struct
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from dermedge._rooms import room
from dermedge.commands._noise import runtimes_quiet
from dermedge.console import entry, screen
from edge.errors import GOOD, InputError

if TYPE_CHECKING:
    from edge.latency import Figure


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("file", type=Path, help="a .tflite, of dermedge or not")
    p.add_argument(
        "--device-report", type=Path, nargs="+", default=[], metavar="REPORT",
        help="what a phone took, as an app's self-test saved it: figures beside the published ones, in this run alone",
    )  # fmt: skip
    p.add_argument(
        "--builds", type=Path, nargs="+", default=[], metavar="FOLDER",
        help="builds or bundles of the files that the reports are of (default: the folder of the file)",
    )  # fmt: skip
    p.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from edge.exporting import first_line
    from edge.files import sha256
    from edge.latency import foretell
    from edge.runtimes.litert import check_tflite

    check_tflite(args.file)
    try:
        with runtimes_quiet():
            audit = room("convert._tflite.audit").audit(args.file)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, struct.error) as error:
        raise InputError(f"{args.file}: its operators cannot be read ({first_line(error)}); is it whole?") from error
    rows = foretell(audit, reported_in(args), sha256(args.file))
    if args.json:
        screen().print_json(json.dumps([asdict(row) for row in rows]))
        return GOOD
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(f"{args.file.name}: foretold from figures of other networks, not measured"))
    for name in ("phone", "processor", "arithmetic", "ms", "interval", "left-out error", "figures"):
        table.add_column(name)
    for row in rows:
        time = "-" if row.milliseconds is None else f"{row.milliseconds:.0f}"
        interval = "-" if row.lowest is None else f"{row.lowest:.0f} to {row.highest:.0f}"
        off = "-" if row.off is None else f"x {row.off:.2f}"
        counts = f"{row.figures} of {row.networks}"
        table.add_row(row.device, row.processor, row.arithmetic, time, interval, off, counts)
    screen().print(table)
    for row in rows:
        if row.reason:
            line = f"{row.device}, {row.processor}, {row.arithmetic}: no number, because {row.reason}"
            screen().print(line, soft_wrap=True, markup=False)
    for source in dict.fromkeys(source for row in rows for source in row.sources):
        screen().print(f"source: {source}", soft_wrap=True, markup=False)
    return GOOD


def reported_in(args: argparse.Namespace) -> list[Figure]:
    """The figures of the reports that are named."""
    if not args.device_report:
        if args.builds:
            raise InputError("--builds goes with --device-report: it names the builds that reports are of")
        return []
    from edge.bundles.device_latency import reported

    return reported(args.device_report, args.builds or [args.file.parent])


if __name__ == "__main__":
    raise SystemExit(main())
