"""Inner values of an .aimodel: its program again with every inner value as an output, run by Core AI's own runtime.

The runtime's logger of inner values (coreai-torch's debugging, 0.4.3) gives 54 of the 570 of hierattn_xs, because most
operations are merged with others before it sees them. An output is never merged away. The answers of the longer program
are compared with those of the file, to make sure that both compute the same.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import InputError
from edge.runtimes.coreai import ENTRY, INPUT, OUTPUT, CoreAI, first_line

from .operations import FLOAT16, FLOAT32, Inside, Op, Precision

FLOATS = {"f16": FLOAT16, "f32": FLOAT32}
UNNAMED = ("coreai.", "decomposable.", "broadcasting_")  # parts in front of an operation's name


def of_aimodel(path: Path, images_u8: np.ndarray) -> Inside:
    whole = CoreAI(path)  # checks the file, and that Core AI is here
    try:
        answers = whole.run(images_u8).probabilities
        with tempfile.TemporaryDirectory(prefix="dermedge-") as folder:
            try:
                image, ops, asset = with_inner_outputs(path, Path(folder, "inner.aimodel"))
            except (AttributeError, ImportError, KeyError, TypeError, RuntimeError) as error:
                raise InputError(
                    f"{path.name}: this version of Core AI does not let its programs be looked into "
                    f"({type(error).__name__}: {first_line(error)}); expected coreai-core 1.0.0b3"
                ) from error
            values, longer_answers = whole.wait(inner_values(asset, image, ops, images_u8))
    finally:
        whole.close()
    if not np.array_equal(longer_answers, answers):
        raise InputError(
            f"{path.name}: with its inner values as outputs it answers otherwise, by "
            f"{np.abs(longer_answers - answers).max():.1e}; its layers cannot be compared"
        )
    return Inside(image, tuple(ops), values)


def with_inner_outputs(path: Path, target: Path) -> tuple[str, list[Op], Any]:
    """The key of the image, the operations, and an asset at `target` that gives every float result under its key."""
    from coreai._compiler import ir  # beta: its authoring module has no way to add an output
    from coreai.authoring import AIModelAsset

    program = AIModelAsset.load(path).program
    module = program._module._mlir_module
    graph = next(
        op for op in module.body.operations if op.name == "coreai.graph" and op.attributes["sym_name"].value == ENTRY
    )
    block = graph.regions[0].blocks[0]
    *body, last = block.operations
    keys = {value: INPUT for value in block.arguments}
    constants: dict[Any, str] = {}
    ops: list[Op] = []
    outputs: dict[str, Any] = {}
    for op in body:
        results, operands = list(op.results), list(op.operands)
        if op.name == "coreai.constant":
            constants |= {value: element_of(value) for value in results if rank_of(value) > 1}
            continue
        live = tuple(keys[value] for value in operands if value in keys)
        if not live or not results:
            continue
        place, kind = len(ops), kind_of(op)
        keyed = {f"{kind}_{place}" + (f".{number}" if number else ""): value for number, value in enumerate(results)}
        keys |= {value: key for key, value in keyed.items()}
        outputs |= {key: value for key, value in keyed.items() if element_of(value) in FLOATS}
        half = "f16" in [constants[value] for value in operands if value in constants]
        precision = Precision(result=FLOATS.get(element_of(results[0]), FLOAT32), weights=FLOAT16 if half else None)
        ops.append(Op(place, kind, next(iter(keyed)), live, tuple(keyed), precision))
    answer = list(last.operands)
    outputs = {key: value for key, value in outputs.items() if value not in answer}
    with module.context, ir.Location.unknown(module.context):
        with ir.InsertionPoint(last):
            ir.Operation.create(last.name, operands=[*answer, *outputs.values()])
        last.operation.erase()
        input_types, made_types = [a.type for a in block.arguments], [v.type for v in (*answer, *outputs.values())]
        graph.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(input_types, made_types))
        named = [{"coreai.name": ir.StringAttr.get(name)} for name in (OUTPUT, *outputs)]
        graph.attributes["res_attrs"] = ir.ArrayAttr.get([ir.DictAttr.get(attribute) for attribute in named])
        module.operation.verify()
    answered = {keys[value]: OUTPUT for value in answer}
    ops = [with_keys(op, answered) for op in ops]
    return INPUT, ops, program.save_asset(target)


def with_keys(op: Op, other: dict[str, str]) -> Op:
    """The operation with its results under other keys, where there are any."""
    outputs = tuple(other.get(key, key) for key in op.outputs)
    inputs = tuple(other.get(key, key) for key in op.inputs)
    return Op(op.place, op.kind, op.name, inputs, outputs, op.precision)


async def inner_values(
    asset: Any, image: str, ops: list[Op], images_u8: np.ndarray
) -> tuple[dict[str, list[np.ndarray]], np.ndarray]:
    """Every inner value for each image, and the answers."""
    from coreai.runtime import NDArray

    values: dict[str, list[np.ndarray]] = {image: []}
    async with asset.executable() as model:
        function = model.load_function(ENTRY)
        for picture in images_u8:
            outputs = await function({INPUT: NDArray(np.ascontiguousarray(picture[None]))})
            values[image].append(picture[None].astype(np.float32))
            for key, value in outputs.items():
                values.setdefault(key, []).append(np.array(value.numpy(), np.float32))
    return values, np.concatenate(values[OUTPUT]).astype(np.float64)


def kind_of(op: Any) -> str:
    """The operation's plain name; of a call that of the function, without the letters that make it unique."""
    if op.name == "coreai.invoke":
        called = re.search(r"@(\w+)_", str(op.attributes["callee"]))
        return called.group(1) if called else "invoke"
    name = str(op.name)
    for part in UNNAMED:
        name = name.removeprefix(part)
    return name


def element_of(value: Any) -> str:
    return str(getattr(value.type, "element_type", ""))


def rank_of(value: Any) -> int:
    return int(getattr(value.type, "rank", 0))
