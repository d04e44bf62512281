"""The recipes, one line each: what they store, what part of a phone they are for, whether their gate binds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    purpose: str  # what part of a phone it is for
    # A binding recipe that fails its gate is an error and leaves no file. The others say how far they are.
    binding: bool
    minimum_runtime: str


TFLITE = {
    "fp32": Recipe(
        "CPU of any phone; the reference file that the others are measured against", True, "LiteRT / TFLite 2.14"
    ),
    "fp16": Recipe(
        "GPU delegate, which computes in fp16 anyway; on a CPU float32 arithmetic, half the download",
        True,
        "LiteRT / TFLite 2.14",
    ),
    "int8-weights": Recipe(
        "CPU where the download must be small; weights are expanded to float at load", False, "LiteRT / TFLite 2.17"
    ),
    "int8-dynamic": Recipe(
        "CPU; 8-bit products with ranges taken at run time, float between the layers", False, "LiteRT / TFLite 2.17"
    ),
    "int8": Recipe(
        "NPU, DSP and the CPU's 8-bit units; ranges fixed by calibration, float in and out",
        False,
        "LiteRT / TFLite 2.17",
    ),
}

COREML = {
    "fp32": Recipe(
        "CPU and GPU; the reference package that the others are measured against", True, "iOS 16 / macOS 13"
    ),
    "fp16": Recipe("Neural Engine and GPU; Core ML's usual form", True, "iOS 16 / macOS 13"),
    "int8-weights": Recipe(
        "Neural Engine where the download must be small; fp16 arithmetic", False, "iOS 16 / macOS 13"
    ),
}
