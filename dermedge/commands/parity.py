"""Prove that exported files give the model's answers, or show where they do not.

    dermedge parity build/hierattn_xs --data photographs/
    dermedge parity build/hierattn_xs --layers

Runs every file of the folder on photographs of patients that the checkpoint never saw and writes report.html
(one file, no network), parity.json and parity.xml (JUnit). Exit code 1 if a file's binding gate fails; --strict
makes every gate bind.

--layers looks inside instead: it finds the first operation of each file that loses more than its precision explains,
shows the torch module and both value ranges, and writes its section of report.html and layers.json. Exit code 1 if a
file with a binding gate has one.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from dermedge.console import entry, screen
from dermedge.flags import add_build_and_photographs, add_images, add_report_folder, add_threads

if TYPE_CHECKING:
    from edge.build import Build


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_build_and_photographs(p)
    add_report_folder(p)
    add_images(p)
    p.add_argument(
        "--mode", action="append", choices=["xnnpack", "xnnpack-fp16", "reference"],
        help="how .tflite files run; repeatable (default: xnnpack, and xnnpack-fp16 for the fp16 file)",
    )  # fmt: skip
    add_threads(p)
    p.add_argument("--layers", action="store_true", help="find the first layer that leaves the torch model (4 images)")
    p.add_argument(
        "--file", action="append", metavar="NAME", help="with --layers: this file or recipe alone; repeatable"
    )
    p.add_argument("--strict", action="store_true", help="let every gate bind (smaller palettes have none)")
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from edge.build import open_build
    from edge.errors import InputError
    from edge.questions.parity.run import observe_files, write_report

    if args.file and not args.layers:
        raise InputError("--file goes with --layers")
    if args.layers and args.mode:
        raise InputError("--layers reads inner values, which only one way of running gives; leave out --mode")
    build = open_build(args.build, checkpoint=args.checkpoint)
    if args.layers:
        return layers(args, build)
    seen = observe_files(
        build,
        data=args.data,
        skip_unreadable=args.skip_unreadable,
        limit=args.images,
        modes=args.mode,
        threads=args.threads,
        judged=True,
    )
    page = write_report(seen, args.out or args.build)
    screen().print(seen.table())
    failed = seen.failed(strict=args.strict)
    screen().print(f"page: {page}", soft_wrap=True)
    if failed:
        screen().print(f"[bold red]failed[/] {', '.join(failed)}", soft_wrap=True)
        return 1
    return 0


def layers(args: argparse.Namespace, build: Build) -> int:
    from edge.questions.layers.run import look_into, write

    found = look_into(
        build, data=args.data, skip_unreadable=args.skip_unreadable, images=args.images, files=args.file,
        strict=args.strict,
    )  # fmt: skip
    written = write(found, args.out or args.build)
    for table in found.tables():
        screen().print(table, soft_wrap=isinstance(table, str))
    screen().print(f"page: {written}", soft_wrap=True)
    if found.failed:
        screen().print(f"[bold red]failed[/] {', '.join(found.failed)}", soft_wrap=True)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
