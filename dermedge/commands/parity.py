"""Prove that exported files give the model's answers, or show where they do not.

    dermedge parity build/hierattn_xs --data photographs/
    dermedge parity build/hierattn_xs --simulate
    dermedge parity build/hierattn_xs --layers

Runs every file of the folder on photographs of patients that the checkpoint never saw and writes report.html
(one file, no network), parity.json and parity.xml (JUnit). Exit code 1 if a file's binding gate fails; --strict
makes every gate bind.

--simulate only looks: it runs every file in every way that there is here, prints the table and writes no report. A
.tflite runs on XNNPACK, on XNNPACK with fp16 forced (as ARMv8.2 phones do), and on the reference kernels; an .mlpackage
runs by the interpreter, an .onnx in ONNX Runtime with and without its rewrites of the graph, an .aimodel by Core AI's
own runtime where that is installed. Times are this host's.

LiteRT for ARM and Android's library, where `dermedge setup arm` and `dermedge setup android` have put them, say what
they answer for the first photograph, for at most 15 seconds (DERMEDGE_PHONE_SECONDS); --no-phones leaves them out. Exit
code 1 where one answers something else than XNNPACK here.

--runtime arm64, android or browser runs the files in a phone's own library too, set up by `dermedge setup`, and writes
into the manifest where each was right. An emulated processor is not timed, because it says nothing about a phone's; on
android-x86_64, android-java, browser and earlier interpreters (tflite-runtime, tensorflow, litert) the manifest also
says where a file is slower than the fp32 file beside it.

--device-report device-report.json, as an app's self-test saves it, says instead what a phone answered: whether it is
right, its largest difference to what the manifest expects, and its times; report.html shows all devices that reported.
A report of another file or of other images, or one that was changed, is refused. Where the device was right, the
manifest says so under seen_right, until it is wrong; exit code 1 where one of them was not.

--layers looks inside instead: it finds the first operation of each file that loses more than its precision explains,
shows the torch module and both value ranges, and writes its section of report.html and layers.json. Exit code 1 if a
file with a binding gate has one.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dermedge.commands._noise import runtimes_quiet
from dermedge.console import entry, screen
from dermedge.flags import (
    add_build_and_photographs,
    add_images,
    add_no_phones,
    add_report_folder,
    add_several,
    add_threads,
)
from edge.errors import GATE_FAILED, GOOD, InputError

if TYPE_CHECKING:
    from edge.build import Build
    from edge.report.question import QuestionReport

SIMULATED = 16  # photographs


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_build_and_photographs(p)
    add_report_folder(p)
    add_images(p)
    p.add_argument(
        "--views", type=int, metavar="N",
        help="judge each photograph in so many views, as a hand-held phone would have taken it; 1: as it is "
        "(default: 4 to 16, more of few photographs)",
    )  # fmt: skip
    add_several(
        p, "--mode", choices=["xnnpack", "xnnpack-fp16", "reference"], metavar="MODE",
        help="how .tflite files run: xnnpack, xnnpack-fp16, reference (default: xnnpack, and xnnpack-fp16 for the fp16 "
        "file)",
    )  # fmt: skip
    add_several(
        p, "--runtime", metavar="NAME",
        help="a phone's own library beside XNNPACK here (`dermedge setup`): arm64, android, android-x86_64, "
        "android-java, browser, tflite-runtime, tensorflow or litert; with version and processor as in "
        "android:2.12.0:cortex-a53",
    )  # fmt: skip
    add_no_phones(p)
    add_threads(p)
    looks = p.add_mutually_exclusive_group()
    looks.add_argument(
        "--simulate", action="store_true", help=f"run every file in every way, do not judge ({SIMULATED} images)"
    )
    looks.add_argument(
        "--layers", action="store_true", help="find the first layer that leaves the torch model (4 images)"
    )
    add_several(
        p,
        "--recipes",
        "--recipe",
        "--file",
        dest="file",
        metavar="NAME",
        help="with --layers: this file or recipe alone",
    )
    p.add_argument(
        "--device-report",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="judge what a phone answered in an app's self-test",
    )
    p.add_argument("--strict", action="store_true", help="let every gate bind (smaller palettes have none)")
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from edge.build import open_build, remember
    from edge.files import check_writable
    from edge.questions.parity.measure import seen_right, seen_slow, seen_wrong

    if args.device_report:
        return judge_devices(args)
    if args.views is not None and (args.layers or args.simulate):
        raise InputError("--views goes with the verdicts; --layers and --simulate look at photographs as they are")
    if args.file and not args.layers:
        raise InputError("--file goes with --layers")
    if args.layers and (args.mode or args.runtime):
        raise InputError(
            "--layers reads inner values, which only one way of running gives; leave out --mode and --runtime"
        )
    build = open_build(args.build, checkpoint=args.checkpoint)
    if not args.simulate:
        check_writable(args.out or build.folder)
        if args.runtime:
            check_writable(build.folder)  # whose manifest says where its files were right
    with runtimes_quiet(build.folder):
        report = measured(args, build)
        page = None if args.simulate else report.write(args.out or build.folder)
    if args.runtime and not args.simulate:
        seen = report.report
        remember(build, seen_right(seen), seen_slow(seen), wrong=seen_wrong(seen))
    return told(report, page, strict=args.strict)


def told(report: QuestionReport, page: Path | None, *, strict: bool = False) -> int:
    """The report on the screen, and the exit code that it stands for; without a page nothing is judged."""
    for table in report.tables():
        screen().print(table, soft_wrap=isinstance(table, str))
    if page is None:
        return GOOD
    screen().print(f"page: {page}", soft_wrap=True, markup=False)
    failed = report.failing(strict=strict)
    if failed:
        screen().print("[bold red]failed[/]", end=" ")
        screen().print(", ".join(failed), soft_wrap=True, markup=False)
        return GATE_FAILED
    return GOOD


def judge_devices(args: argparse.Namespace) -> int:
    """What phones answered, judged, remembered and put on the page; nothing is run here."""
    from edge import artifact
    from edge.build import remember_in
    from edge.files import check_writable
    from edge.questions.devices.measure import judge

    if args.layers or args.simulate or args.mode or args.runtime or args.views is not None:
        raise InputError(
            "--device-report runs nothing here; leave out --layers, --simulate, --mode, --runtime and --views"
        )
    report, judged = judge(args.build, args.device_report, out=args.out)
    check_writable(Path(args.build))  # whose manifest says where its files were right
    page = report.write(args.out or args.build)
    # of two reports of one device the last counts, as on the page
    wrong = {(device.entry.file, device.run): bool(device.wrong) for device in judged}
    right = [seen for seen in wrong if not wrong[seen]]
    remember_in(Path(args.build), artifact.read(args.build), right, wrong=[seen for seen in wrong if wrong[seen]])
    return told(report, page)


def ways(args: argparse.Namespace) -> list[str] | None:
    """How .tflite files run: in phones' libraries beside XNNPACK here, so that one sees which of them is off."""
    return [*(args.mode or ["xnnpack"]), *args.runtime] if args.runtime else args.mode


def measured(args: argparse.Namespace, build: Build) -> QuestionReport:
    """The answer to the question that the flags ask."""
    if args.layers:
        from edge.questions.layers import measure as layers

        return layers.measure(
            build, args.data, images=args.images, files=args.file, skip_unreadable=args.skip_unreadable
        )
    from edge.questions.parity import measure as parity
    from edge.questions.parity.beside import seconds_allowed

    return parity.measure(
        build,
        args.data,
        images=SIMULATED if args.simulate and args.images is None else args.images,
        views=1 if args.simulate else args.views,
        modes=ways(args),
        every_way=args.simulate,
        phone_seconds=0.0 if args.no_phones or args.simulate else seconds_allowed(),
        threads=args.threads,
        skip_unreadable=args.skip_unreadable,
    )


if __name__ == "__main__":
    raise SystemExit(main())
