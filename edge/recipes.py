"""The recipes, one line each: what they store, what part of a phone they are for, whether their gate binds."""

from __future__ import annotations

from dataclasses import dataclass

from edge.checkpoint import Checkpoint


@dataclass(frozen=True)
class Recipe:
    purpose: str  # what part of a phone it is for
    # A file that fails a binding gate is an error and is not left behind: `always`, of a checkpoint that was `trained`
    # (random weights have no answers to keep), or none: the file is `reported` and kept.
    binding: str
    minimum_runtime: str

    def binds(self, checkpoint: Checkpoint, *, strict: bool) -> bool:
        return strict or self.binding == "always" or (self.binding == "trained" and bool(checkpoint.trained))


# int16x8 is left out: XNNPACK has no kernels for it (17 times float's time), and of a hybrid the answers were wrong.
TFLITE = {
    "fp32": Recipe(
        "CPU of any phone; the reference file that the others are measured against", "always", "LiteRT / TFLite 2.14"
    ),
    "fp16": Recipe(
        "GPU delegate, which computes in fp16 anyway; on a CPU float32 arithmetic, half the download",
        "always",
        "LiteRT / TFLite 2.14",
    ),
    "int8-weights": Recipe(
        "CPU or GPU where the download must be small; weights are expanded to float at load",
        "trained",
        "LiteRT / TFLite 2.17",
    ),
    "int8-dynamic": Recipe(
        "any CPU; 8-bit products with ranges taken at run time, float between the layers",
        "trained",
        "LiteRT / TFLite 2.17",
    ),
    "int8": Recipe(
        "CPU with 8-bit dot products (ARMv8.2 and later, AVX-512 VNNI): fixed ranges for convolutions where that "
        "hurts little, the rest as int8-dynamic",
        "trained",
        "LiteRT / TFLite 2.17",
    ),
    "int8-io": Recipe(
        "as int8, taking the camera's bytes: uint8 in, nothing to convert in the app", "trained", "LiteRT / TFLite 2.17"
    ),
}

COREML = {
    "fp32": Recipe(
        "CPU and GPU; the reference package that the others are measured against", "always", "iOS 16 / macOS 13"
    ),
    "fp16": Recipe("Neural Engine and GPU; Core ML's usual form", "always", "iOS 16 / macOS 13"),
    "int8-weights": Recipe(
        "Neural Engine where the download must be small; fp16 arithmetic", "trained", "iOS 16 / macOS 13"
    ),
    "int8": Recipe(
        "Neural Engine with 8-bit products (A17 Pro, M4 and later): weights and the activations that bear it, the rest "
        "fp16",
        "trained",
        "iOS 17 / macOS 14",
    ),
    "palette8": Recipe(
        "Neural Engine: 256 values a tensor, fp16 arithmetic; for networks that one scale a channel does not suit",
        "trained",
        "iOS 16 / macOS 13",
    ),
    "palette6": Recipe(
        "Neural Engine, 64 values a tensor: smaller, and not without loss", "reported", "iOS 16 / macOS 13"
    ),
    "palette4": Recipe(
        "Neural Engine, 16 values a tensor: smallest, to be fine-tuned", "reported", "iOS 16 / macOS 13"
    ),
}

# 8 bits need Apple's separate optimisation package; left out while Core AI is beta.
COREAI = {
    "fp32": Recipe("CPU and GPU; the reference that the others are measured against", "always", "iOS 27 / macOS 27"),
    "fp16": Recipe(
        "Neural Engine and GPU: half the download, linear layers as 1 x 1 convolutions", "always", "iOS 27 / macOS 27"
    ),
}
