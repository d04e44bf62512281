"""What the usual mistakes between camera and model cost: the page to read when the phone gives other answers.

    dermedge mistakes build/hierattn_xs --data photographs/

Runs nearest and bilinear resizes, no crop, BGR, ignored orientation, misread camera frames, doubled normalisation and
more through the float and the int8 .tflite of the folder, on photographs of patients that the checkpoint never saw.
Writes its section of report.html (one file, no network) and mistakes.json, the worst mistake first: how many
photographs keep their class, how far probabilities move, and what becomes of balanced accuracy. `dermedge diagnose`
tells which of them an app makes.

Exit codes: 0 good, 2 bad input. Research and engineering use; not a medical device.
"""

from __future__ import annotations

import argparse

from dermedge.commands._noise import runtimes_quiet
from dermedge.console import entry, screen
from dermedge.flags import add_build_and_photographs, add_images, add_report_folder, add_threads


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_build_and_photographs(p)
    add_report_folder(p)
    add_images(p)
    add_threads(p)
    p.add_argument(
        "--docs", action="store_true", help="for a document: the table as Markdown, mistakes.svg and mistakes.jpg"
    )
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from edge.build import open_build
    from edge.files import check_writable
    from edge.questions.mistakes.measure import measure

    build = open_build(args.build, checkpoint=args.checkpoint)
    folder = args.out or build.folder
    check_writable(folder)
    with runtimes_quiet(build.folder):
        report = measure(
            build, args.data, images=args.images, threads=args.threads, skip_unreadable=args.skip_unreadable
        )
        page = report.write(folder)
    if args.docs:
        from dermedge.commands._mistakes_docs import markdown, write_figures

        write_figures(report, folder)
        print(markdown(report.report))
    else:
        for table in report.tables():
            screen().print(table)
    screen().print(f"page: {page}", markup=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
