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
from dermedge.flags import add_checkpoint, add_data, add_report_folder, add_skip_unreadable
from edge.models import DEFAULT_MODEL


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", default=DEFAULT_MODEL, help="shipped model to judge (default: %(default)s)")
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
    from edge import artifact, thresholds
    from edge.checkpoint import load, shipped
    from edge.errors import GATE_FAILED, GOOD, InputError
    from edge.questions.decision import page, run

    if not args.measure and (args.coverage is not None or args.alarm_share is not None):
        raise InputError("--coverage and --alarm-share say how to measure; they go with --measure")
    if not 0 < args.alarm_limit < 1:
        raise InputError(f"--alarm-limit is a share between 0 and 1, got {args.alarm_limit}")
    path = args.checkpoint or shipped(args.model)
    checkpoint = load(path)
    folder = args.out or Path("build") / checkpoint.model
    if (folder / artifact.MANIFEST).is_file():
        converted = artifact.read(folder).checkpoint_sha256
        if converted != checkpoint.sha256:
            raise InputError(
                f"{folder} holds files of another checkpoint ({converted[:12]}…) than {path} "
                f"({checkpoint.sha256[:12]}…); give that one with --checkpoint, or another --out"
            )
    kept = thresholds.beside(path)
    skip = args.skip_unreadable
    if args.measure:
        section = run.choose(
            checkpoint, args.data, skip_unreadable=skip,
            coverage=run.COVERAGE if args.coverage is None else args.coverage,
            share=run.ALARM_SHARE if args.alarm_share is None else args.alarm_share,
        )  # fmt: skip
    else:
        if not kept.is_file():
            raise InputError(f"{kept} does not exist: nobody has measured thresholds for {path}; add --measure")
        section = thresholds.load(kept, checkpoint_sha256=checkpoint.sha256, side=checkpoint.preprocess.side)
    judged = run.judge(checkpoint, section, args.data, skip_unreadable=skip, limit=args.alarm_limit)
    if args.measure:
        section = run.with_false_alarms(section, judged.report)
        judged.report["decision"] = section
        thresholds.save(kept, section, checkpoint_sha256=checkpoint.sha256)
        screen().print(f"thresholds: {kept}", soft_wrap=True, markup=False)
    written = page.write(judged.report, folder, judged.thumbnails)
    for table in page.tables(judged.report):
        screen().print(table)
    screen().print(f"page: {written}", soft_wrap=True, markup=False)
    if judged.failed:
        screen().print(
            f"[bold red]failed[/] more than {args.alarm_limit:.1%} sent back: {', '.join(judged.failed)}",
            soft_wrap=True,
        )
        return GATE_FAILED
    return GOOD


if __name__ == "__main__":
    raise SystemExit(main())
