"""Judge the last link of the chain: which photographs are sent back, which answers are too unsure to be given.

    dermedge decide --data photographs/
    dermedge decide --data photographs/ --measure --checkpoint runs/mine/checkpoint.safetensors

Runs the float model and the gate on photographs of patients that nothing has seen, on copies of them that were made
worse, and on pictures of what is no skin; writes its section of report.html (one file, no network) and decision.json.

--measure first takes the limits from the photographs of training patients and the threshold from those held back, and
keeps them beside the checkpoint (<checkpoint>.decision.json), where conversion finds them for the manifest.

Exit code 1 if more good photographs are sent back than --alarm-limit allows, beyond doubt (95 % interval).
Research and engineering use; not a medical device.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from dermedge.console import entry, screen
from dermedge.flags import add_checkpoint, add_data, add_report_folder, add_shipped_model, add_skip_unreadable
from edge.errors import GATE_FAILED, GOOD, InputError


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shipped_model(p, "the model to judge")
    add_checkpoint(p)
    add_data(p)
    add_skip_unreadable(p)
    add_report_folder(p, default="build/<model>")
    p.add_argument("--measure", action="store_true", help="measure limits and threshold, and keep them")
    p.add_argument(
        "--coverage", type=float, help="with --measure: share of held-back photographs to answer (default: 0.9)"
    )
    p.add_argument(
        "--alarm-share", type=float,
        help="with --measure: share of training photographs that each of the checks may send back (default: 0.005)",
    )  # fmt: skip
    p.add_argument(
        "--alarm-limit", type=float, default=0.05, help="good photographs that may be sent back (default: %(default)s)"
    )
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from dataclasses import replace

    from edge import thresholds
    from edge.checkpoint import load, shipped
    from edge.files import check_writable
    from edge.questions.decision import thresholds as measured
    from edge.questions.decision.measure import measure
    from edge.report.page import Belongs, check_folder

    if not args.measure and (args.coverage is not None or args.alarm_share is not None):
        raise InputError("--coverage and --alarm-share say how to measure; they go with --measure")
    if not 0 < args.alarm_limit < 1:
        raise InputError(f"--alarm-limit is a share between 0 and 1, got {args.alarm_limit}")
    path = args.checkpoint or shipped(args.model)
    checkpoint = load(path)
    folder = args.out or Path("build") / checkpoint.model
    check_folder(folder, Belongs(checkpoint.sha256, {}))  # before an hour of work
    check_writable(folder)
    kept = thresholds.beside(path)
    if args.measure:
        check_writable(kept.parent)
    if args.measure:
        section = measured.measure_thresholds(
            checkpoint,
            args.data,
            coverage=measured.COVERAGE if args.coverage is None else args.coverage,
            alarm_share=measured.ALARM_SHARE if args.alarm_share is None else args.alarm_share,
            skip_unreadable=args.skip_unreadable,
        )
    else:
        if not kept.is_file():
            raise InputError(f"{kept} does not exist: nobody has measured thresholds for {path}; add --measure")
        section = thresholds.load(kept, checkpoint_sha256=checkpoint.sha256, side=checkpoint.preprocess.side)
    report = measure(
        checkpoint,
        args.data,
        thresholds=section,
        alarm_limit=args.alarm_limit,
        skip_unreadable=args.skip_unreadable,
    )
    if args.measure:
        section = measured.with_false_alarms(section, report.report)
        report = replace(report, report=report.report | {"decision": section})
        thresholds.save(kept, section, checkpoint_sha256=checkpoint.sha256)
        screen().print(f"thresholds: {kept}", soft_wrap=True, markup=False)
    page = report.write(folder)
    for table in report.tables():
        screen().print(table)
    screen().print(f"page: {page}", soft_wrap=True, markup=False)
    failed = report.failed
    if failed:
        screen().print(
            f"[bold red]failed[/] more than {args.alarm_limit:.1%} sent back: {', '.join(failed)}", soft_wrap=True
        )
        return GATE_FAILED
    return GOOD


if __name__ == "__main__":
    raise SystemExit(main())
