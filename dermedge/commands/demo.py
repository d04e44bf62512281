"""The whole chain on embedded data: sample, short training, conversion, simulation, report.

    dermedge demo

Everything is computer-drawn, so its figures say nothing about skin; they show that the chain works here.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

from dermedge.cli import module_of
from dermedge.console import entry, screen
from edge.checkpoint import shipped
from edge.models import DEFAULT_MODEL

# The shipped weights meet the drawn lesions: in a dozen short epochs the loss falls and the balanced accuracy leaves
# chance (0.17).
TRAINING = (
    "--stages",
    "96x6",
    "--batch",
    "8",
    "--learning-rate",
    "5e-4",
    "--mixup",
    "0",
    "--augment",
    "0.3",
    "--ema",
    "0.9",
)


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, default=Path("build/demo"), help="folder to write to (default: %(default)s)")
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    out: Path = args.out
    sample, run, built = out / "sample", out / "run", out / DEFAULT_MODEL
    weights = shipped(DEFAULT_MODEL)
    if built.exists():
        shutil.rmtree(built)
    steps: list[tuple[str, list[str]]] = [
        (
            "a short training run on it",
            ["train", "--data", str(sample), "--init", str(weights), "--out", str(run), "--force", *TRAINING],
        ),
        (
            "the shipped checkpoint as .tflite",
            ["to-tflite", "--model", DEFAULT_MODEL, "--data", str(sample), "--out", str(built)],
        ),
        # Only recipes whose gate cannot fail by chance on so few synthetic images; int8 and palettes also take minutes.
        (
            "and as .mlpackage",
            [
                "to-coreml",
                "--model",
                DEFAULT_MODEL,
                "--recipe",
                "fp32",
                "--recipe",
                "fp16",
                "--data",
                str(sample),
                "--out",
                str(built),
            ],
        ),
        ("simulation", ["parity", str(built), "--simulate", "--data", str(sample), "--images", "4"]),
        ("the report", ["parity", str(built), "--data", str(sample), "--images", "48"]),
    ]
    if not sample.exists():
        steps.insert(0, ("the synthetic sample", ["prepare", "--sample", str(sample), "--patients", "36"]))
    begun = time.monotonic()
    took = []
    for number, (step, command) in enumerate(steps, start=1):
        screen().rule(f"[bold]{number}/{len(steps)}[/] {step}", align="left")
        screen().print(f"[dim]dermedge {' '.join(command)}[/]", soft_wrap=True)
        start = time.monotonic()
        code = subprocess.run([sys.executable, "-m", module_of(command[0]), *command[1:]], check=False).returncode
        took.append((step, time.monotonic() - start))
        if code:
            screen().print(f"`dermedge {' '.join(command)}` ended with exit code {code}", soft_wrap=True)
            return code
    screen().rule("[bold]summary[/]", align="left")
    for step, seconds in took:
        screen().print(f"  {seconds:5.0f} s  {step}")
    screen().print(f"  {time.monotonic() - begun:5.0f} s  in all")
    screen().print("The sample is computer-drawn: these figures show that the chain works, not how good a model is.")
    screen().print(f"files        {built}", soft_wrap=True)
    screen().print(f"learning     {run / 'curves.png'}", soft_wrap=True)
    screen().print(f"report       {built / 'report.html'}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
