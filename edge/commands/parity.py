"""Prove that exported files give the model's answers, or show where they do not.

    dermedge parity build/hierattn_xs --data photographs/

Runs every file of the folder on photographs of patients that the checkpoint never saw and writes parity.html
(one file, no network), parity.json and parity.xml (JUnit). Exit code 1 if a file's binding gate fails; --strict
makes every gate bind.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from edge.console import entry, screen


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build", type=Path, help="folder with the files and manifest.json")
    p.add_argument("--data", type=Path, help="photographs (default: $DERMEDGE_PHOTOS, else synthetic)")
    p.add_argument("--checkpoint", type=Path, help="the checkpoint the files came from (default: the shipped one)")
    p.add_argument("--skip-unreadable", action="store_true", help="leave out photographs that are missing or broken")
    p.add_argument("--out", type=Path, help="folder for the report (default: the build folder)")
    p.add_argument("--images", type=int, help="at most so many photographs (default: all unseen ones)")
    p.add_argument(
        "--mode", action="append", choices=["xnnpack", "xnnpack-fp16", "reference"],
        help="how .tflite files run; repeatable (default: xnnpack, and xnnpack-fp16 for the fp16 file)",
    )  # fmt: skip
    p.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    p.add_argument("--strict", action="store_true", help="let every gate bind, also those that are only reported")
    return p


@entry
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from edge.parity.run import observe_files, open_build, write_report

    build = open_build(args.build, checkpoint=args.checkpoint)
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
    screen().print(f"parity page: {page}", soft_wrap=True)
    if failed:
        screen().print(f"[bold red]failed[/] {', '.join(failed)}", soft_wrap=True)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
