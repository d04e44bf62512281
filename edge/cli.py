"""dermedge: photographs -> a model on a phone, with the proof. The dispatcher: it starts a command by name."""

from __future__ import annotations

import importlib
import importlib.util
import sys

from edge import __version__

# command -> (module in a clone, what it does). The wheel carries train/ and convert/ inside edge/.
COMMANDS = {
    "prepare": ("train.prepare", "look a data set over, or draw the synthetic sample"),
    "train": ("train.train", "photographs -> checkpoint"),
    "cross-validate": ("train.cross_validate", "train on every fold, pool the answers on unseen patients"),
    "evaluate": ("train.evaluate", "how good a checkpoint is on photographs"),
    "import-upstream": ("edge.commands.import_upstream", "the authors' weights -> a checkpoint of ours"),
    "to-tflite": ("convert.to_tflite", "checkpoint -> .tflite files, judged"),
    "to-coreml": ("convert.to_coreml", "checkpoint -> .mlpackage files, checked"),
    "to-coreai": ("convert.to_coreai", "checkpoint -> .aimodel files (iOS 27, beta), checked"),
    "simulate": ("edge.commands.simulate", "run exported files as phones would"),
    "parity": ("edge.commands.parity", "prove that exported files give the model's answers: page, JSON, JUnit"),
    "mistakes": ("edge.commands.mistakes", "what the usual mistakes of an app cost: page, JSON"),
    "diagnose": ("edge.commands.diagnose", "which of these mistakes explains an app's answer"),
    "decide": ("edge.commands.decide", "class, uncertain or retake: measure the thresholds, judge the gate"),
    "robustness": ("edge.commands.robustness", "what bad photographs cost, and if 8 bits cost more on them"),
    "zoo": ("edge.commands.zoo", "every model by every recipe: one table, one plot"),
    "predict": ("edge.commands.predict", "the answer for one photograph, with any file"),
    "demo": ("edge.commands.demo", "the whole chain on embedded data"),
}


def usage() -> str:
    lines = [f"  {name:16s} {purpose}" for name, (_, purpose) in COMMANDS.items()]
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


def locate(module: str) -> str:
    """`train.x` in a clone, `edge.train.x` where dermedge is installed."""
    installed = module if module.startswith("edge.") else f"edge.{module}"
    package = installed.rpartition(".")[0]
    return installed if importlib.util.find_spec(package) else module


def main(argv: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(usage())
        return 0
    if arguments[0] in {"-V", "--version"}:
        print(f"dermedge {__version__}")
        return 0
    if arguments[0] not in COMMANDS:
        print(f"error: unknown command {arguments[0]!r}; known: {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    sys.argv[0] = f"dermedge {arguments[0]}"  # what `--help` shows as the program's name
    module = importlib.import_module(locate(COMMANDS[arguments[0]][0]))
    return module.main(arguments[1:])


if __name__ == "__main__":
    raise SystemExit(main())
