"""dermedge: photographs -> a model on a phone, with the proof. The dispatcher: it starts a command by name."""

from __future__ import annotations

import importlib
import sys

from edge import __version__
from edge.errors import did_you_mean

# command -> what it does; the module of each is dermedge.commands.<command with underscores>
COMMANDS = {
    "prepare": "look a data set over, or draw the synthetic sample",
    "check-split": "does a split part a patient, a lesion or a picture, and what is the figure without?",
    "join-sets": "several data sets in one table, and what their classes lose by it",
    "train": "photographs -> checkpoint",
    "cross-validate": "train on every fold, pool the answers on unseen patients",
    "search": "many recipes on every fold, on many machines: one table",
    "evaluate": "how good a checkpoint is on photographs",
    "fit-answers": "what people answered -> a checkpoint that takes it beside the picture",
    "import-upstream": "the authors' weights -> a checkpoint of ours",
    "to-tflite": "checkpoint -> .tflite files, judged",
    "to-coreml": "checkpoint -> .mlpackage files, checked",
    "to-coreai": "checkpoint -> .aimodel files (iOS 27, beta), checked",
    "to-onnx": "checkpoint -> .onnx files for ONNX Runtime, judged",
    "parity": "prove that exported files give the model's answers: page, JSON, JUnit",
    "mistakes": "what the usual mistakes of an app cost: page, JSON",
    "diagnose": "which of these mistakes explains an app's answer",
    "decide": "class, uncertain or retake: measure the thresholds, judge the gate",
    "robustness": "what bad photographs cost, and if 8 bits cost more on them",
    "latency": "how long a file may take on a phone, from published figures, or why none",
    "matrix": "any .tflite in every runtime: does it open, is the answer the same, which operator is off",
    "zoo": "every model by every recipe: one table, one plot",
    "predict": "the answer for one photograph, with any file",
    "bundle": "an exported file into an app, checked for the app's runtime",
    "serve-web": "the demo web page with an exported file, on this machine",
    "setup": "a phone's own runtime on this machine, for `parity --runtime`",
    "demo": "the whole chain on embedded data",
}
RENAMED = {"simulate": "parity --simulate"}  # still works, and says so


def module_of(command: str) -> str:
    return f"dermedge.commands.{command.replace('-', '_')}"


def usage() -> str:
    lines = [f"  {name:16s} {purpose}" for name, purpose in COMMANDS.items()]
    return "\n".join(
        [
            f"dermedge {__version__}: from photographs of skin lesions to the same answer on a phone, with the proof.",
            "Research and engineering use; not a medical device.",
            "",
            "usage: dermedge COMMAND [--help] …",
            "",
            *lines,
            "",
            "exit codes: 0 good, 1 a gate failed, 2 bad input, 130 interrupted",
        ]
    )


def main(argv: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(usage())
        return 0
    if arguments[0] in {"-V", "--version"}:
        print(f"dermedge {__version__}")
        return 0
    command, rest = arguments[0], arguments[1:]
    if command in RENAMED:
        new, *flags = RENAMED[command].split()
        print(f"note: `dermedge {command}` is now `dermedge {RENAMED[command]}`", file=sys.stderr)
        command, rest = new, [*flags, *rest]
    if command not in COMMANDS:
        meant = did_you_mean(command, COMMANDS)
        print(f"error: unknown command {command!r}{meant}; known: {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    sys.argv[0] = f"dermedge {command}"  # what `--help` shows as the program's name
    return importlib.import_module(module_of(command)).main(rest)


if __name__ == "__main__":
    raise SystemExit(main())
