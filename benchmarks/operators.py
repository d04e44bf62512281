"""What the operators of a .tflite cost by kind: each run alone on XNNPACK, and what that is of the file's own time.

    python benchmarks/operators.py build/hierattn_xs/hierattn_xs-fp32.tflite --out build/operators

Every operator becomes a file of its own, with the same shapes, constants and types. A file of one RESHAPE of one number
tells what a call costs by itself, which is taken off. All are timed by processor time, on one thread, in rounds that
take turns with the whole file; the median counts. What XNNPACK joins to a product stays with it: the DEQUANTIZE of its
weights, the PAD in front of it. The shares add up to less than 100 %: alone, an operator finds its numbers in the
cache. Writes --out/operators.md.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.operators`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dermedge.console import entry, screen, third_party_noise_into
from edge.errors import GOOD, at_least_one
from edge.files import scratch_in, write_text
from edge.progress import track

from ._flags import add_out

PRODUCTS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL", "TRANSPOSE_CONV"}
CALLS = 20  # of an operator in a round


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("file", type=Path, help="a .tflite")
    p.add_argument("--rounds", type=int, default=15, help="of every operator and the file (default: %(default)s)")
    add_out(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    at_least_one(rounds=args.rounds)
    with scratch_in(args.out), third_party_noise_into(args.out / "benchmark.log"):
        page = measured(args.file, args.rounds)
    write_text(args.out / "operators.md", page)
    screen().print(page, markup=False, soft_wrap=True)
    return GOOD


def measured(path: Path, rounds: int) -> str:
    from edge.runtimes.litert import check_tflite

    check_tflite(path)
    content = path.read_bytes()
    alone = files_of(content)
    runs = [runner(file) for _, file in alone]
    whole, nothing = runner(content), runner(empty_call())
    seconds: list[list[float]] = [[] for _ in (*runs, whole, nothing)]
    for _ in track(range(rounds), "operators, each alone", rounds):
        for times, run in zip(seconds, (*runs, whole, nothing), strict=True):
            begun = time.process_time_ns()
            for _ in range(CALLS):
                run()
            times.append((time.process_time_ns() - begun) / CALLS)
    *own, total, call = (float(np.median(times)) for times in seconds)
    return table(path.name, [kind for kind, _ in alone], [max(0.0, one - call) for one in own], total - call)


def table(name: str, kinds: list[str], costs: list[float], total: float) -> str:
    """`costs` and `total` in one unit."""
    rows = {kind: [cost for one, cost in zip(kinds, costs, strict=True) if one == kind] for kind in set(kinds)}
    lines = [f"| {name}: operator | number | share of the file's time |", "|---|---:|---:|"]
    for kind, some in sorted(rows.items(), key=lambda row: -sum(row[1])):
        lines.append(f"| {kind} | {len(some)} | {sum(some) / total:.1%} |")
    products = sum(sum(some) for kind, some in rows.items() if kind in PRODUCTS)
    lines.append(f"| products together | {sum(kind in PRODUCTS for kind in kinds)} | {products / total:.1%} |")
    lines.append(f"| all, each alone | {len(kinds)} | {sum(costs) / total:.1%} |")
    return "\n".join(lines) + "\n"


def files_of(content: bytes) -> list[tuple[str, bytes]]:
    """Kind and file of each operator that computes something, with what is joined to it."""
    from edge.tflite.flatbuffer import code_name, pack, readers_in, unpack

    model = unpack(content)
    graph, operators = model.subgraphs[0], list(model.subgraphs[0].operators)
    held = [model.buffers[t.buffer].data is not None and len(model.buffers[t.buffer].data) > 0 for t in graph.tensors]
    expanding = {int(o.outputs[0]): o for o in operators if all(held[int(n)] for n in o.inputs if n >= 0)}
    model.signatureDefs, model.metadata = None, None
    kinds = [code_name(model.operatorCodes[operator.opcodeIndex]) for operator in operators]
    readers = readers_in(model)
    joined = dict(expanding)
    for kind, operator in zip(kinds, operators, strict=True):
        after = [kinds[operators.index(one)] for one in readers[int(operator.outputs[0])]]
        if kind == "PAD" and len(after) == 1 and after[0] in {"CONV_2D", "DEPTHWISE_CONV_2D"}:
            joined[int(operator.outputs[0])] = operator
    files = []
    for kind, operator in zip(kinds, operators, strict=True):
        if int(operator.outputs[0]) in joined:
            continue
        graph.operators = [*(joined[int(n)] for n in operator.inputs if int(n) in joined), operator]
        read = {int(n) for one in graph.operators for n in one.inputs if n >= 0}
        graph.inputs = np.array(sorted(n for n in read if not held[n] and n not in joined), np.int32)
        graph.outputs = operator.outputs
        files.append((kind, pack(model)))
    return files


def empty_call() -> bytes:
    """A file that moves one number."""
    from convert._tflite.emit.writer import Code, Writer

    writer = Writer()
    x = writer.tensor([1, 1], "x")
    (y,) = writer.operator(Code.RESHAPE, [x, writer.constant(np.array([1, 1, 1]), "shape")], [[1, 1, 1]], "y")
    return writer.finish({"x": x}, {"y": y}, description="a call")


def runner(content: bytes) -> Callable[[], Any]:
    """A call of the file, its inputs filled once; the first call is made."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    rng = np.random.default_rng(0)
    for one in interpreter.get_input_details():
        values = rng.uniform(0, 1, one["shape"]) if one["dtype"] == np.float32 else rng.integers(0, 100, one["shape"])
        interpreter.set_tensor(one["index"], values.astype(one["dtype"]))
    interpreter.invoke()
    return interpreter.invoke


if __name__ == "__main__":
    main()
