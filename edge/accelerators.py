"""What phones' processors refuse or are reported to get wrong: one row per rule, old CPU kernels first.

The audits look for each in a converted file and name the operator, its module and its place. A finding is a notice, no
broken rule: it may not hold for a given phone or release, and `--strict` keeps the file. docs/accelerators.md has the
table for readers.
"""

from __future__ import annotations

from dataclasses import dataclass

PREFIX = "known-fault"  # of a notice
READ = "2026-11-29"  # when documents without a date were read
PROVIDER = "provider"  # of a notice about an execution provider of ONNX Runtime


@dataclass(frozen=True)
class Fault:
    """A rule: of which part, in which versions it was seen, when that was reported, where, and what happens."""

    name: str  # `LiteRT#9277`
    part: str
    versions: str
    reported: str  # year, month and day; of a document, when it was read
    link: str
    happens: str  # in one sentence: what has to be there, and what comes of it


def issue(repository: str, number: int, part: str, versions: str, reported: str, happens: str) -> Fault:
    """A row of a report on GitHub."""
    name = f"{repository.rpartition('/')[2]}#{number}"
    return Fault(name, part, versions, reported, f"https://github.com/{repository}/issues/{number}", happens)


LITERT, COREMLTOOLS, COREAI = "google-ai-edge/LiteRT", "apple/coremltools", "apple/coreai-torch"
HALF_SUM = "onnxruntime#31626"
OLD_PRODUCT, OLD_WHOLE_PRODUCT = "arm-product-per-channel", "whole-product-per-channel"
WHOLE_INTEGERS, EDGE_TPU_RANK = "whole-integers", "edge-tpu-rank"
FAULTS = {
    fault.name: fault
    for fault in (
        Fault(
            OLD_PRODUCT, "CPU, ARM", "TFLite before 2.17 (2.14.0 and 2.16.1 seen)", READ, "docs/phones.md",
            "float operand, 8-bit weights with a scale for each channel: old kernels take the first scale for all",
        ),
        Fault(
            OLD_WHOLE_PRODUCT, "CPU", "TFLite before 2.10 (2.8.0 and 2.9.0 seen)", READ, "docs/phones.md",
            "operand, weights and result in int8, a scale for each channel: old kernels take one scale for all",
        ),
        issue(
            LITERT, 9277, "GPU, ML Drift: Mali, WebGPU", "LiteRT 2.1.3, 2.1.5", "2026-08-13",
            "int8 weights, float operand of rank 3, read by an ADD: does not compile on Mali GPUs",
        ),
        issue(
            LITERT, 9523, "GPU, ML Drift: Metal, OpenCL, WebGPU", "LiteRT 2.1.6", "2026-08-24",
            "int8 weights that a DEQUANTIZE expands: the product does not compile, and with it the whole file",
        ),
        issue(
            LITERT, 8619, "GPU, ML Drift and classic: Mali, Adreno", "LiteRT 1.4.5, 2.1.3", "2026-07-10",
            "attention of rank 3: the GPU delegate is reported to answer wrongly; rank 4 is right",
        ),
        issue(
            LITERT, 9249, "GPU, ML Drift: Apple", "LiteRT 2.1.5", "2026-08-12",
            "a sum over a map in fp16: not a number on GPUs where the total exceeds 65504",
        ),
        issue(
            "microsoft/onnxruntime", 31626, "GPU: WebGPU; ML Drift seen", "LiteRT 2.3.0", "2026-08-04",
            "squares of a norm beyond 65504 together: infinite in half precision, and the norm gives 0",
        ),
        issue(
            LITERT, 8980, "GPU delegate", "LiteRT up to 2.1.6", "2026-07-29",
            "computed operands of different ranks: GPU delegates align their axes wrongly",
        ),
        issue(
            LITERT, 8593, "GPU, ML Drift: Mali", "LiteRT before 2.1.6", "2026-07-10",
            "a product of two computed values read by an ADD of another shape, as masked attention: wrong on GPUs",
        ),
        issue(
            LITERT, 8599, "GPU delegate", "not stated", "2026-07-10",
            "a sum that is an output of the file and is read inside it, too: GPUs give one of its operands",
        ),
        issue(
            LITERT, 9272, "GPU: Apple", "not stated", "2026-08-20",
            "padding of an outer axis at rank 3: GPUs give shifted rows; rank 4 is right",
        ),
        issue(
            LITERT, 9191, "GPU, ML Drift and classic", "not stated", "2026-08-09",
            "BROADCAST_TO: GPUs refuse it, and with it the whole file",
        ),
        issue(
            LITERT, 6518, "GPU, ML Drift: Adreno", "LiteRT 2.1.1", "2026-03-21",
            "a product with a transposed factor of more rows than the other, not a multiple of 4: does not compile",
        ),
        Fault(
            WHOLE_INTEGERS, "NPU: Edge TPU, Ethos-U (Vela), Hexagon (TFLite's delegate)", "all", READ,
            "https://coral.ai/docs/edgetpu/models-intro",
            "operators in float: these parts take whole integers only, and leave the rest to the CPU",
        ),
        Fault(
            EDGE_TPU_RANK, "NPU: Edge TPU", "all", READ, "https://coral.ai/docs/edgetpu/models-intro",
            "8-bit tensors with more than three sides above 1: Edge TPUs leave them to the CPU",
        ),
        issue(
            COREMLTOOLS, 2687, "Neural Engine", "macOS 14 and later, M1 to M4", "before 2026-08",
            "softplus in float16: 0 above 10.4 on the Neural Engine",
        ),
        issue(
            COREMLTOOLS, 2772, "Core ML", "coremltools 9.0", "2026-08-04",
            "windows beyond the map: Apple's runtime divides them by their whole size",
        ),
        issue(
            COREMLTOOLS, 1901, "Core ML", "not stated", "2023-07-06",
            "padding that is counted: Apple's runtime is wrong for some windows",
        ),
        issue(
            COREAI, 115, "Core AI: Neural Engine of iPhone 17 Pro", "iOS 27.0, coreai-torch 0.4.2", "2026-09-18",
            "float16: wrong answers by default on iPhone 17 Pro, right on the CPU and the GPU",
        ),
        issue(
            COREAI, 51, "Core AI: Neural Engine", "not stated", "2026-07-23",
            "a linear layer of rank 2 before hard-swish: wrong on the Neural Engine in float16",
        ),
        issue(
            COREAI, 106, "Core AI", "not stated", "2026-09-13",
            "float16: activations beyond 65504 overflow",
        ),
    )
}  # fmt: skip


def notice(fault: str, operators: str, place: str) -> str:
    """A line for an audit: `operators` in words with their number, `place` the first one's name."""
    row = FAULTS[fault]
    return f"{PREFIX}: {operators} ({place}), {row.happens} ({row.name}, {row.link})"


def provider_notice(name: str, takes: str, source: str) -> str:
    """A line for an audit: what an execution provider takes of a file, and by which list."""
    return f"{PROVIDER}: {name} takes {takes} ({source})"


def is_notice(line: str) -> bool:
    return line.startswith((f"{PREFIX}:", f"{PROVIDER}:"))
