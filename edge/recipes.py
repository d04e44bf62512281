"""Every recipe of every format in one table: what it stores, what part of a phone it is for, what it has to keep."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Gate:
    """Limits against the float model; None: not limited. A gate without limits only reports."""

    logit_difference: float | None = None  # at most, in units of max(1, largest |logit| of that image)
    median_sqnr_db: float | None = None  # at least
    agreement: float | None = None  # at least, share of images with the same class
    wide_margin_disagreements: int | None = None  # at most, images
    balanced_accuracy_drop: float | None = None  # at most, share
    mac_share_int8: float | None = None  # at least; the MACs on 8-bit activations
    mask_dice: float | None = None  # at least, median over images; of networks that give masks


FLOAT32 = Gate(logit_difference=1e-4, mask_dice=0.999)
FLOAT16 = Gate(median_sqnr_db=55.0, mask_dice=0.99)
EIGHT_BIT_WEIGHTS = Gate(
    median_sqnr_db=30.0, agreement=0.98, wide_margin_disagreements=0, balanced_accuracy_drop=0.01, mask_dice=0.95
)
EIGHT_BITS = replace(EIGHT_BIT_WEIGHTS, mac_share_int8=0.8)
REPORTED = Gate()
# Of random weights (`convert … --untrained`), which have not learned to bear a rounding. The limits lie below what the
# baselines give (docs/models.md has the lowest seen) and well above the 0 dB of a wrong operator.
UNTRAINED_FLOAT16 = Gate(median_sqnr_db=35.0)
UNTRAINED_EIGHT_BITS = Gate(median_sqnr_db=6.0)

ALWAYS, TRAINED, NEVER = "always", "trained", "reported"  # when a failed gate rejects a file


@dataclass(frozen=True)
class Recipe:
    format: str  # "tflite", "mlpackage", "aimodel" or "onnx"
    name: str
    weights: int  # bits of a stored weight, or of an index into a palette
    activations: int  # bits of what a layer with weights multiplies with
    purpose: str  # what part of a phone it is for
    gate: Gate
    binding: str  # ALWAYS; of a checkpoint that was TRAINED (random weights have no answers to keep); or NEVER
    opens_from: str  # the oldest system that opens it; empty where that depends on the file's operators (TFLite)
    layout: str = "NHWC"  # of the input: NHWC, or image
    dtype: str = "float32"  # of the input
    measured: bool = False  # which layers are in 8 bits is chosen by measurement, and kept as a scheme
    on_request: bool = False  # made only where it is asked for by name
    palette: bool = False  # weights are indices into a table of values
    untrained_gate: Gate | None = None  # of random weights, where that is another

    def binds(self, *, trained: bool, strict: bool) -> bool:
        """Whether a failed gate rejects a file of a checkpoint that was `trained`; `strict` lets every gate bind."""
        return strict or self.binding == ALWAYS or (self.binding == TRAINED and trained)

    def gate_for(self, *, untrained: bool) -> Gate:
        """The gate of a checkpoint; of an `untrained` one the answers mean nothing, and only the logits count."""
        return self.untrained_gate if untrained and self.untrained_gate is not None else self.gate


# int16x8 is left out: XNNPACK has no kernels for it (17 times float's time), and of a hybrid the answers were wrong.
# 8 bits of Core AI need Apple's separate optimisation package; left out while Core AI is beta.
TABLE = (
    Recipe(
        "tflite", "fp32", 32, 32, "CPU of any phone; the reference file that the others are measured against",
        FLOAT32, ALWAYS, "",
    ),
    Recipe(
        "tflite", "fp16", 16, 32,
        "GPU delegate, which computes in fp16 anyway; on a CPU float32 arithmetic, half the download",
        FLOAT16, ALWAYS, "", untrained_gate=UNTRAINED_FLOAT16,
    ),
    Recipe(
        "tflite", "int8-weights", 8, 32,
        "CPU or GPU where the download must be small; weights are expanded to float at load",
        EIGHT_BIT_WEIGHTS, TRAINED, "", untrained_gate=UNTRAINED_EIGHT_BITS,
    ),
    Recipe(
        "tflite", "int8-dynamic", 8, 8,
        "any CPU; 8-bit products with ranges taken at run time, float between the layers",
        EIGHT_BITS, TRAINED, "", untrained_gate=UNTRAINED_EIGHT_BITS,
    ),
    Recipe(
        "tflite", "int8", 8, 8,
        "CPU with 8-bit dot products (ARMv8.2 and later, AVX-512 VNNI): fixed ranges for convolutions where that "
        "hurts little, the rest as int8-dynamic",
        EIGHT_BITS, TRAINED, "", measured=True, untrained_gate=UNTRAINED_EIGHT_BITS,
    ),
    Recipe(
        "tflite", "int8-io", 8, 8, "as int8, taking the camera's bytes: uint8 in, nothing to convert in the app",
        EIGHT_BITS, TRAINED, "", dtype="uint8", measured=True,
        untrained_gate=UNTRAINED_EIGHT_BITS,
    ),
    Recipe(
        "tflite", "int8-full", 8, 8,
        "NPUs that take whole integers only (Edge TPU, Ethos-U, Hexagon), and old CPUs: 8 bits from the camera's bytes "
        "to the logits; networks without attention",
        EIGHT_BITS, TRAINED, "", dtype="uint8", measured=True, on_request=True,
        untrained_gate=UNTRAINED_EIGHT_BITS,
    ),
    Recipe(
        "mlpackage", "fp32", 32, 32, "CPU and GPU; the reference package that the others are measured against",
        FLOAT32, ALWAYS, "iOS 16 / macOS 13", "image", "uint8",
    ),
    Recipe(
        "mlpackage", "fp16", 16, 16, "Neural Engine and GPU; Core ML's usual form",
        FLOAT16, ALWAYS, "iOS 16 / macOS 13", "image", "uint8", untrained_gate=UNTRAINED_FLOAT16,
    ),
    Recipe(
        "mlpackage", "int8-weights", 8, 16, "Neural Engine where the download must be small; fp16 arithmetic",
        EIGHT_BIT_WEIGHTS, TRAINED, "iOS 16 / macOS 13", "image", "uint8", untrained_gate=UNTRAINED_EIGHT_BITS,
    ),
    Recipe(
        "mlpackage", "int8", 8, 8,
        "Neural Engine with 8-bit products (A17 Pro, M4 and later): weights and the activations that bear it, the rest "
        "fp16",
        EIGHT_BITS, TRAINED, "iOS 17 / macOS 14", "image", "uint8", measured=True,
        untrained_gate=UNTRAINED_EIGHT_BITS,
    ),
    Recipe(
        "mlpackage", "palette8", 8, 16,
        "Neural Engine: 256 values a tensor, fp16 arithmetic; for networks that one scale a channel does not suit",
        EIGHT_BIT_WEIGHTS, TRAINED, "iOS 16 / macOS 13", "image", "uint8", palette=True,
        untrained_gate=UNTRAINED_EIGHT_BITS,
    ),
    Recipe(
        "mlpackage", "palette6", 6, 16, "Neural Engine, 64 values a tensor: smaller, and not without loss",
        REPORTED, NEVER, "iOS 16 / macOS 13", "image", "uint8", palette=True,
    ),
    Recipe(
        "mlpackage", "palette4", 4, 16, "Neural Engine, 16 values a tensor: smallest, to be fine-tuned",
        REPORTED, NEVER, "iOS 16 / macOS 13", "image", "uint8", palette=True,
    ),
    Recipe(
        "aimodel", "fp32", 32, 32, "CPU and GPU; the reference that the others are measured against",
        FLOAT32, ALWAYS, "iOS 27 / macOS 27", dtype="uint8",
    ),
    Recipe(
        "aimodel", "fp16", 16, 16, "Neural Engine and GPU: half the download, linear layers as 1 x 1 convolutions",
        FLOAT16, ALWAYS, "iOS 27 / macOS 27", dtype="uint8", untrained_gate=UNTRAINED_FLOAT16,
    ),
    Recipe(
        "onnx", "fp32", 32, 32, "CPU of any machine with ONNX Runtime; the reference file that the others are measured "
        "against", FLOAT32, ALWAYS, "ONNX Runtime 1.6",
    ),
    Recipe(
        "onnx", "fp16", 16, 32, "half the download; weights are expanded when the file is opened, float32 arithmetic",
        FLOAT16, ALWAYS, "ONNX Runtime 1.6", untrained_gate=UNTRAINED_FLOAT16,
    ),
    Recipe(
        "onnx", "int8", 8, 8,
        "where the download must be small, and accelerators that take QuantizeLinear: fixed ranges for convolutions "
        "that bear them, live ranges for linear layers, the rest float32",
        EIGHT_BITS, TRAINED, "ONNX Runtime 1.6", measured=True, untrained_gate=UNTRAINED_EIGHT_BITS,
    ),
)  # fmt: skip

# format -> recipe name -> recipe, in the order of the table
RECIPES: dict[str, dict[str, Recipe]] = {
    form: {recipe.name: recipe for recipe in TABLE if recipe.format == form}
    for form in dict.fromkeys(recipe.format for recipe in TABLE)
}
TFLITE, COREML, COREAI, ONNX = RECIPES["tflite"], RECIPES["mlpackage"], RECIPES["aimodel"], RECIPES["onnx"]
