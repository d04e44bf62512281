"""Operations, cost and Neural Engine warnings of a Core ML package, read from the saved program.

Apple does not publish which operations its Neural Engine takes. The rules here are what Apple's own article on
transformers for it says (machinelearning.apple.com/research/neural-engine-transformers: float16, few layout changes),
what coremltools refuses (rank 5 at most) and what developers have collected (github.com/hollance/neural-engine: the
operations that fall back to the CPU). A program that breaks none of them probably runs there; only Xcode's performance
report on a Mac or an iPhone confirms it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

from edge.manifest import Audit
from edge.runtimes.coreml.bind import bind
from edge.runtimes.coreml.classifier import ANSWERS
from edge.runtimes.coreml.program import Operation, Program, Ref, read_program, read_spec
from edge.runtimes.coreml.runtime_dependent import runtime_dependent
from edge.runtimes.coreml.values import ELEMENTS, Value, Weights

from .._graph.refusals import module_of
from .._liveness import peak_bytes
from .layers import PRODUCTS, has_weight, macs_of, numbers_of, resizes, shapes_of, stored

HALF = "_cast_fp16"  # ends coremltools' name of an operation in half precision
LAYOUT = {"transpose", "reshape"}
LARGEST_RANK = 5
CPU_ONLY = {
    "gather", "gather_along_axis", "gather_nd", "scatter", "scatter_along_axis", "scatter_nd", "non_zero", "topk",
    "argsort", "cumsum", "one_hot", "non_maximum_suppression", "resample", "affine", "crop_resize", "lstm", "gru",
    "rnn", "random_uniform", "random_normal", "random_bernoulli", "random_categorical", "band_part", "shape",
}  # fmt: skip
LARGEST_POOL, LARGEST_POOL_STRIDE = 13, 2


def audit(path: Path, modules: Mapping[str, str] | None = None) -> Audit:
    """Operations by type, ranks, layout operations, MACs, memory and broken rules of one package.

    `modules`: what torch calls an operation -> the network's module that it is computed in, for the rules' places.

    `macs_8bit` are products that read a dequantize: with 8-bit weights
    they are 8-bit products on hardware that has them.
    """
    spec = read_spec(path)
    program = read_program(spec, Weights(path / "Data" / "com.apple.CoreML"))
    shapes, constants = shapes_of(program), stored(program)
    dequantised = {operation.outputs[0].name for operation in program.operations if operation.kind == "dequantize"}
    live = [
        operation
        for operation in program.operations
        if not operation.kind.startswith("constexpr_") and operation.kind != "classify"
    ]
    macs, macs_8bit, macs_weights = 0, 0, 0
    for operation in live:
        work = macs_of(operation, shapes, program.constants)
        macs += work
        if not work or resizes(operation):
            continue
        macs_weights += work if has_weight(operation, constants) else 0
        macs_8bit += work if dequantised & set(names_in(operation)[:1]) else 0
    sizes = {
        tensor.name: prod(tensor.shape) * bits_of(tensor.element) // 8
        for tensor in (*program.inputs, *(o for operation in live for o in operation.outputs))
        if tensor.shape is not None
    }
    layout = [operation for operation in live if operation.kind in LAYOUT]
    place = partial(place_of, modules=modules or {})
    return Audit(
        operators=dict(sorted(Counter(operation.kind for operation in live).items())),
        largest_rank=max((len(shape) for shape in shapes.values()), default=0),
        layout_operators=len(layout),
        layout_bytes=sum(sizes.get(operation.outputs[0].name, 0) for operation in layout),
        macs=macs,
        macs_8bit=macs_8bit,
        macs_weights=macs_weights,
        peak_activation_bytes=peak_bytes(
            [(names_in(operation), [o.name for o in operation.outputs]) for operation in live],
            sizes,
            [tensor.name for tensor in program.inputs],
            program.outputs,
        ),
        warnings=(*warnings_of(program, live, place), *known_faults(program, live, place)),
    )


def names_in(operation: Operation) -> list[str]:
    """Names of the tensors that an operation reads, constants included; its data input comes first."""
    names = []
    for argument in operation.inputs.values():
        names += [
            value.name for value in (argument if isinstance(argument, list) else [argument]) if isinstance(value, Ref)
        ]
    first = operation.inputs.get("x", operation.inputs.get("query"))
    return sorted(names, key=lambda name: not (isinstance(first, Ref) and name == first.name))


def bits_of(element: str) -> int:
    return ELEMENTS[element][1] if element in ELEMENTS else 0


def modules_of(program: Any) -> dict[str, str]:
    """What torch calls an operation of an exported program -> path of the network's module that called it."""
    return {node.name: module_of(node)[0] for node in program.graph.nodes if node.op == "call_function"}


def place_of(operation: str, modules: Mapping[str, str]) -> str:
    """An operation's name, and in which module it is computed where that is known.

    coremltools gives one operation of torch's that takes several of its own that name for the last of them alone.
    """
    module = modules.get(operation) or modules.get(operation.removesuffix(HALF))
    return f"{operation} in {module}" if module else operation


def warnings_of(program: Program, live: list[Operation], place: Callable[[str], str] = str) -> list[str]:
    """One line for each broken rule, naming what breaks it first; `place` says in which module that is."""
    lines = []
    for operation in live:
        rank = max((len(output.shape or ()) for output in operation.outputs), default=0)
        if rank > LARGEST_RANK:
            lines.append(
                f"ane-rank: {operation.kind} ({place(operation.name)}) has rank {rank}, Core ML takes {LARGEST_RANK}"
            )
            break
    open_shape = next((operation for operation in live if any(o.shape is None for o in operation.outputs)), None)
    if open_shape is not None:
        lines.append(
            f"static-shapes: the shape of {open_shape.kind} ({place(open_shape.name)}) is open; "
            "the Neural Engine wants it closed"
        )
    counted = Counter(operation.kind for operation in live)
    for kind in sorted(CPU_ONLY & counted.keys()):
        first = next(operation.name for operation in live if operation.kind == kind)
        lines.append(f"ane-operator: {counted[kind]} {kind} ({place(first)}), which falls back to the CPU")
    for operation in live:
        odd = odd_window(operation, program.constants)
        if odd:
            lines.append(
                f"ane-operator: {operation.kind} ({place(operation.name)}) has {odd}, which falls back to the CPU"
            )
            break
    # the product of what was answered is float32 on purpose, and as small as its two vectors
    pictures = [operation for operation in live if ANSWERS not in names_in(operation)]
    products = [operation for operation in pictures if operation.kind in PRODUCTS]
    single = sum(operation.outputs[0].element == "FLOAT32" for operation in products)
    if single:
        lines.append(f"ane-float32: {single} of {len(products)} products in float32; the Neural Engine has float16")
    return lines


def known_faults(program: Program, live: list[Operation], place: Callable[[str], str] = str) -> list[str]:
    """A notice for each operation that Apple's hardware or runtime is reported to get wrong."""
    kinds = {"avg_pool", "softplus", "softplus_parametric"}
    return runtime_dependent(program, bind(program)[0], place) if any(o.kind in kinds for o in live) else []


def odd_window(operation: Operation, constants: Mapping[str, Value]) -> str | None:
    """In words, why the Neural Engine is said to refuse a convolution's or pool's window; None if it is not."""
    largest = {
        key: max(numbers_of(operation, key, constants), default=1) for key in ("dilations", "kernel_sizes", "strides")
    }
    if operation.kind in {"conv", "conv_transpose"} and largest["dilations"] > 1:
        return f"a dilation of {largest['dilations']}"
    if operation.kind in {"max_pool", "avg_pool", "l2_pool"}:
        if largest["kernel_sizes"] > LARGEST_POOL:
            return f"a window of {largest['kernel_sizes']}"
        if largest["strides"] > LARGEST_POOL_STRIDE:
            return f"a stride of {largest['strides']}"
    return None
