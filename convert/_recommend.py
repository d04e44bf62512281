"""Of the files that a conversion kept: which to ship, and which is next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge.metrics.gates import Verdict

from ._judge import Judged

# Format -> recipes in the order in which one would ship them, for most phones first. Smaller palettes have no gate.
PREFERRED: Mapping[str, tuple[str, ...]] = {
    "tflite": ("int8", "int8-weights", "int8-dynamic", "int8-io", "fp16", "fp32", "int8-full"),
    "mlpackage": ("fp16", "int8-weights", "palette8", "int8", "fp32"),
    "aimodel": ("fp16", "fp32"),
    "onnx": ("fp32", "int8", "fp16"),  # int8 saves bytes, and on x86 no time (docs/onnx.md)
}
# What earlier runtimes were seen to do with the files (docs/phones.md), beside what a recipe is for.
SEEN: Mapping[tuple[str, str], str] = {
    ("tflite", "int8"): "with a runtime of your own in the app, LiteRT 1.1.2 or later",
    ("tflite", "int8-weights"): "for phones whose runtime you do not know",
}
BASE = "fp32"
SLOWER = 1.25  # times the fp32 file's time on this host: what saves bytes alone is not the first to ship


def recommended(form: str, judged: Sequence[Judged]) -> list[Judged]:
    """The files with a picture alone that passed their gate, the one to ship first; empty where none passed.

    A file that was slower here than the fp32 file beside it comes after all that were not.
    """
    passed = [result for result in judged if result.verdict == Verdict.PASS and not (result.rejected or result.answers)]
    order = PREFERRED[form]

    def rank(result: Judged) -> tuple[bool, int]:
        slow = result.time_ratio is not None and result.time_ratio > SLOWER
        return slow, order.index(result.recipe) if result.recipe in order else len(order)

    return sorted(passed, key=rank)
