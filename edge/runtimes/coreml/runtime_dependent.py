"""Operations of a program to which Apple's runtime and this interpreter are known to give different answers.

Average pools whose windows reach beyond the padded map (`ceil_mode`): by the interpreter, as in torch, what lies beyond
is not counted; Apple's runtime divides by the whole window, unless padding is excluded (coremltools issue 2772). Padded
pools whose padding is counted are reported to be wrong for some windows (issue 1901).

Softplus in half precision: the Neural Engine is reported to give 0 above 10.4 (issue 2687); the interpreter gives x.

Local response norms of tensors of three axes: Apple's description and the numbers of its test have the channels on
different axes. The interpreter follows the test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from edge.accelerators import notice

from .bind import Call, all_calls
from .ops.padding import amounts
from .program import Program, Ref


def runtime_dependent(program: Program, calls: Sequence[Call], place: Callable[[str], str] = str) -> list[str]:
    """A notice for each kind of such an operation, with their number and the first one's name, or what `place` makes
    of it."""
    shapes = {tensor.name: tensor.shape for tensor in program.inputs}
    hits: dict[tuple[str, str], list[str]] = {}
    norms: list[str] = []
    for call in all_calls(calls):
        shapes |= {output.name: output.shape for output in call.operation.outputs}
        fault, kind = fault_of(call, shapes), call.operation.kind
        if kind == "local_response_norm" and len(call.operation.outputs[0].shape or ()) == 3:
            norms.append(call.operation.name)
        if fault:
            hits.setdefault((fault, kind), []).append(call.operation.name)
    notices = [notice(fault, f"{len(names)} {kind}", place(names[0])) for (fault, kind), names in hits.items()]
    if norms:
        notices.append(
            f"{len(norms)} local_response_norm ({place(norms[0])}), of three axes: the windows lie along the first, as "
            "the numbers of Apple's test have it (coremltools 9.0); Apple's description says along the second"
        )
    return notices


def fault_of(call: Call, shapes: Mapping[str, tuple[int, ...] | None]) -> str | None:
    kind = call.operation.kind
    if kind in {"softplus", "softplus_parametric"} and call.operation.outputs[0].element == "FLOAT16":
        return "coremltools#2687"
    if kind != "avg_pool":
        return None
    x, result = call.operation.inputs.get("x"), call.operation.outputs[0].shape
    old = shapes.get(x.name) if isinstance(x, Ref) else None
    if call.fixed.get("exclude_padding_from_average"):
        return None
    kernel = call.fixed["kernel_sizes"]
    strides = call.fixed.get("strides") or [1] * len(kernel)
    if call.fixed.get("ceil_mode"):
        if old is None or result is None:
            return "coremltools#2772"
        pads = amounts(call.fixed["pad_type"], call.fixed.get("pad") or [], old[2:], kernel, strides)
        ends = zip(old[2:], result[2:], kernel, strides, pads, strict=True)
        if any((count - 1) * s + k > n + sum(pad) for n, count, k, s, pad in ends):
            return "coremltools#2772"
    padded = any(call.fixed.get("pad") or []) or str(call.fixed["pad_type"]).lower().startswith("same")
    return "coremltools#1901" if padded and max(kernel) > 3 else None
