"""What phones' accelerators are publicly reported to get wrong: one row per report.

The audits look for each in a converted file and name the operator and its place. A finding is a notice, no broken rule:
the report may not hold for a given phone or release, and `--strict` keeps the file.
"""

from __future__ import annotations

from dataclasses import dataclass

PREFIX = "known-fault"  # of a notice
PROVIDER = "provider"  # of a notice about an execution provider of ONNX Runtime


@dataclass(frozen=True)
class Fault:
    """A report: where it is, and what is said to happen."""

    link: str
    happens: str

    @property
    def name(self) -> str:
        """`LiteRT#9277`"""
        *_, repository, _, number = self.link.split("/")
        return f"{repository}#{number}"


LITERT = "https://github.com/google-ai-edge/LiteRT/issues/"
COREMLTOOLS = "https://github.com/apple/coremltools/issues/"
COREAI = "https://github.com/apple/coreai-torch/issues/"
FAULTS = {
    fault.name: fault
    for fault in (
        Fault(LITERT + "9277", "int8 weights, float operand of rank 3, read by an ADD: does not compile on Mali GPUs"),
        Fault(LITERT + "8619", "attention of rank 3: the GPU delegate is reported to answer wrongly; rank 4 is right"),
        Fault(LITERT + "9249", "a sum over a map in fp16: not a number on GPUs where the total exceeds 65504"),
        Fault(LITERT + "8980", "computed operands of different ranks: GPU delegates align their axes wrongly"),
        Fault(COREMLTOOLS + "2687", "softplus in float16: 0 above 10.4 on the Neural Engine"),
        Fault(COREMLTOOLS + "2772", "windows beyond the map: Apple's runtime divides them by their whole size"),
        Fault(COREMLTOOLS + "1901", "padding that is counted: Apple's runtime is wrong for some windows"),
        Fault(COREAI + "115", "float16: wrong answers by default on iPhone 17 Pro, right on the CPU and the GPU"),
        Fault(COREAI + "51", "a linear layer of rank 2 before hard-swish: wrong on the Neural Engine in float16"),
        Fault(COREAI + "106", "float16: activations beyond 65504 overflow"),
    )
}


def notice(fault: str, operators: str, place: str) -> str:
    """A line for an audit: `operators` in words with their number, `place` the first one's name."""
    row = FAULTS[fault]
    return f"{PREFIX}: {operators} ({place}), {row.happens} ({row.name}, {row.link})"


def provider_notice(name: str, takes: str, source: str) -> str:
    """A line for an audit: what an execution provider takes of a file, and by which list."""
    return f"{PROVIDER}: {name} takes {takes} ({source})"


def is_notice(line: str) -> bool:
    return line.startswith((f"{PREFIX}:", f"{PROVIDER}:"))
