"""What bad photographs cost the float model and each quantised file, and whether quantisation costs more on them.

    dermedge robustness build/hierattn_xs --data photographs/

Photographs of patients that the checkpoint never saw are made worse in eleven ways at five severities, seeded, and
shown to the float model and to each .tflite file. Writes its section of report.html (one file, no network) and
robustness.json.
The default is 128 photographs, chosen by a hash of their ids, three quarters of the first data set;
they take two to three minutes of one core.
No gate: exit code 0, or 2 for bad input.
"""

from __future__ import annotations

import argparse

from dermedge.commands._noise import runtimes_quiet
from dermedge.console import entry, screen
from dermedge.flags import add_build_and_photographs, add_report_folder, add_threads
from edge.questions.robustness.levels import LEVELS, SEVERITIES


def count(text: str) -> int | None:
    return None if text == "all" else int(text)


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_build_and_photographs(p)
    add_report_folder(p)
    p.add_argument(
        "--images", type=count, default=128, help="at most so many photographs, or `all` (default: %(default)s)"
    )
    p.add_argument(
        "--file", "--recipe", action="append", dest="files", metavar="NAME",
        help="a .tflite file or recipe to hold against float; repeatable (default: int8-dynamic and int8)",
    )  # fmt: skip
    p.add_argument(
        "--corruption", action="append", choices=list(LEVELS), metavar="NAME",
        help=f"repeatable (default: all): {', '.join(LEVELS)}",
    )  # fmt: skip
    p.add_argument(
        "--severities", type=int, nargs="+", choices=SEVERITIES, default=list(SEVERITIES), help="default: 1 to 5"
    )
    p.add_argument("--seed", type=int, default=0, help="of what is left to chance (default: %(default)s)")
    add_threads(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from edge.build import open_build
    from edge.files import check_writable
    from edge.questions.robustness.measure import measure

    build = open_build(args.build, checkpoint=args.checkpoint)
    check_writable(args.out or build.folder)
    with runtimes_quiet(build.folder):
        report = measure(
            build,
            args.data,
            images=args.images,
            files=args.files,
            corruptions=args.corruption,
            severities=args.severities,
            threads=args.threads,
            seed=args.seed,
            skip_unreadable=args.skip_unreadable,
        )
        page = report.write(args.out or build.folder)
    for table in report.tables():
        screen().print(table, soft_wrap=isinstance(table, str))
    screen().print(f"page: {page}", markup=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
